import pytest

from kernel.plain_text import is_plain, visible


@pytest.mark.parametrize("text", ["", "Thandi's Spaza, 2 €", "می\u200cروم", "👩\u200d🍳", "שלום"])
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    assert is_plain(text)
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\0", "\\x00"), ("\x1b[31m", "\\x1b[31m"), ("a\nb\r", "a\\x0ab\\x0d"), ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"), ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ufeff", "\\ufeff"), ("\u2028", "\\u2028"), ("\ud800", "\\ud800"), ("\U000e0041", "\\U000e0041"),
    ],
)  # fmt: skip
def test_what_steers_the_screen_or_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert not is_plain(text)
    assert visible(text) == shown
