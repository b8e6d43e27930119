"""Phone numbers in what operators are shown."""

import pytest

from services.ops.masking import masked, masked_key


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("27821234567", "2782*****67"),
        ("+27821234567 wrote", "+278******67 wrote"),
        ("an order of 12345678 cents", "an order of 12345678 cents"),
        ("wamid.HBgLMjc4MjEyMzQ1Njc", "wamid.HBgLMjc4MjEyMzQ1Njc"),
        (r'{"body": "my numbers\n27821234567"}', r'{"body": "my numbers\n2782*****67"}'),
        ("tel27821234567x", "tel2782*****67x"),
        ("of 39c6101b-f860-4b47-9be0-225612345671.", "of 39c6101b-f860-4b47-9be0-225612345671."),
        ("of 39C6101B-F860-4B47-9BE0-225612345671", "of 39C6101B-F860-4B47-9BE0-225612345671"),
        ("of 0-39c6101b-f860-4b47-9be0-225612345671", "of 0-39c6101b-f860-4b47-9be0-2256******71"),
        ("12345678-1234-27821234567", "12345678-1234-2782*****67"),
        (
            '{"entry":{"id":"102290129340398"},"from":"27821234567"}',
            '{"entry":{"id":"102290129340398"},"from":"2782*****67"}',
        ),
        (
            '{"entry": {"time": 1700000000, "id": "102290129340398"}}',
            '{"entry": {"time": 1700000000, "id": "102290129340398"}}',
        ),
        ('{"item":{"id":"27821234567"}}', '{"item":{"id":"2782*****67"}}'),
        ("of 01a206e71a8876c38ef1278212345670.", "of 01a206e71a8876c38ef1278212345670."),
    ],
)
def test_a_number_is_masked_but_for_its_beginning_and_end(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_spared_number_is_shown() -> None:
    assert masked("270000000001 to 27821234567", "270000000001") == "270000000001 to 2782*****67"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("270000000001:27821234567", "270000000001:2782*****67"),
        ("27821234567", "2782*****67"),
        ("27821234567:27821234567", "27821234567:27821234567"),
        ("order-7", "order-7"),
        (f"sha256:{'93d583fa384712345678901234567890' * 2}", f"sha256:{'93d583fa384712345678901234567890' * 2}"),
    ],
)
def test_of_a_key_the_customers_number_alone_is_masked(key: str, shown: str) -> None:
    assert masked_key(key) == shown
