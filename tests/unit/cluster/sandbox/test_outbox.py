"""The bounded memory of what was sent."""

from cluster.sandbox.outbox import Outbox, Sent


def sent(n: int, to: str = "27821234567", payload: bytes = b"{}") -> Sent:
    return Sent(f"wamid.{n}", "1", to, 1_750_000_000.5, payload, None)


def test_pages_go_on_where_the_one_before_ended() -> None:
    outbox = Outbox(max_messages=100, max_bytes=10_000)
    for n in range(5):
        outbox.add(sent(n))

    first, following = outbox.page(limit=3)
    second, end = outbox.page(after=following, limit=3)

    assert [one.wamid for one in first + second] == [f"wamid.{n}" for n in range(5)]
    assert outbox.page(after=end) == ([], end)


def test_pages_hold_only_what_is_asked_for() -> None:
    outbox = Outbox(max_messages=100, max_bytes=10_000)
    for n in range(6):
        outbox.add(sent(n, to=str(n % 2)))

    found, _ = outbox.page(to="1", phone_number_id="1")

    assert [one.wamid for one in found] == ["wamid.1", "wamid.3", "wamid.5"]
    assert outbox.page(phone_number_id="2")[0] == []


def test_the_oldest_are_forgotten_by_count_and_by_size() -> None:
    outbox = Outbox(max_messages=3, max_bytes=100)
    for n in range(5):
        outbox.add(sent(n))
    assert [one.wamid for one in outbox.page()[0]] == ["wamid.2", "wamid.3", "wamid.4"]

    outbox.add(sent(5, payload=b" " * 98))
    assert [one.wamid for one in outbox.page()[0]] == ["wamid.4", "wamid.5"]


def test_clearing_keeps_the_numbers_going_so_that_readers_go_on() -> None:
    outbox = Outbox(max_messages=3, max_bytes=100)
    outbox.add(sent(1))
    _, following = outbox.page()

    assert outbox.clear() == 1
    outbox.add(sent(2))

    assert [one.wamid for one in outbox.page(after=following)[0]] == ["wamid.2"]


def test_a_place_from_an_earlier_run_begins_at_the_end() -> None:
    outbox = Outbox(max_messages=3, max_bytes=100)
    outbox.add(sent(1))

    assert outbox.page(after=999) == ([], 1)


def test_a_status_is_shown_with_its_time_and_forgotten_with_its_message() -> None:
    outbox = Outbox(max_messages=1, max_bytes=100)
    outbox.add(sent(1))
    outbox.reported("wamid.1", "sent", 1_750_000_001.25)
    outbox.reported("wamid.unknown", "sent", 0)

    shown = outbox.page()[0][0].shown()

    assert shown["statuses"] == [{"status": "sent", "at": "2025-06-15T15:06:41.250Z"}]
    assert shown["accepted_at"] == "2025-06-15T15:06:40.500Z"
