"""What a dead letter says of its deaths."""

import orjson
import pytest

from actors.mailbox.deaths import dead_letter
from actors.mailbox.exchange import addressed
from actors.mailbox.message import Message
from actors.mailbox.rows import decode_headers, encode_headers
from config.topology import Queue


def queue(name: str, dlx: str | None = None) -> Queue:
    return Queue.model_validate({"name": name, "bindings": [{"exchange": "x"}], "dlx": dlx})


def message(**fields: object) -> Message:
    made = Message("m", "k", "t", b"", {"correlation_id": "c"}, 0.0)._replace(**fields)  # type: ignore[arg-type]
    return addressed(made, "orders", "orders.new")


def test_a_dead_letter_says_where_and_why_it_died_as_rabbitmq_does() -> None:
    dead = dead_letter(message(ttl_ms=5_000), queue("q", "dlx"), "expired", "", 1_700_000_000.9)

    assert dead.headers == {
        "correlation_id": "c",
        "x-exchange": "dlx",
        "x-routing-key": "q",
        "x-death": [
            {
                "queue": "q", "reason": "expired", "count": 1, "exchange": "orders", "routing-keys": ["orders.new"],
                "time": 1_700_000_000, "original-expiration": "5000",
            }
        ],
        "x-first-death-queue": "q", "x-first-death-reason": "expired", "x-first-death-exchange": "orders",
        "x-last-death-queue": "q", "x-last-death-reason": "expired", "x-last-death-exchange": "orders",
    }  # fmt: skip
    assert dead.ttl_ms is None


def test_deaths_are_told_newest_first_and_counted_by_queue_and_reason() -> None:
    one, two = queue("one", "dlx"), queue("two", "dlx")
    dead = dead_letter(message(), one, "expired", "", 1.0)
    dead = dead_letter(addressed(dead, "again", "key"), two, "rejected", "no stock", 2.0)
    dead = dead_letter(addressed(dead, "again", "key"), one, "expired", "", 3.0)

    deaths = dead.headers["x-death"]
    assert isinstance(deaths, list)
    assert [(one["queue"], one["reason"], one["count"], one["time"], one["exchange"]) for one in deaths] == [
        ("one", "expired", 2, 1, "orders"),
        ("two", "rejected", 1, 2, "again"),
    ]
    assert (dead.headers["x-first-death-queue"], dead.headers["x-first-death-exchange"]) == ("one", "orders")
    assert (dead.headers["x-last-death-queue"], dead.headers["x-last-death-exchange"]) == ("one", "again")
    assert "x-death-detail" not in dead.headers, "that of an earlier death"


def test_another_death_leaves_the_message_before_it_as_it_was() -> None:
    first = dead_letter(message(), queue("q"), "expired", "", 1.0)
    before = orjson.dumps(first.headers)

    dead_letter(first, queue("q"), "expired", "", 2.0)

    assert orjson.dumps(first.headers) == before


@pytest.mark.parametrize("given", ["text", 7, [1, "a", {}], [{"queue": "q"}], {"queue": "q"}])
def test_what_a_publisher_writes_there_does_no_harm(given: object) -> None:
    dead = dead_letter(message(headers={"x-death": given}), queue("q"), "rejected", "no", 1.0)

    deaths = dead.headers["x-death"]
    assert isinstance(deaths, list)
    assert deaths[0]["queue"] == "q"
    assert [death["count"] for death in deaths if death["reason"] == "rejected"] == [1]
    assert dead.headers["x-death-detail"] == "no"


def test_its_headers_survive_the_journal_and_are_shared_with_nobody() -> None:
    dead = dead_letter(message(), queue("q"), "expired", "", 1.0)
    encoded = encode_headers(dead)

    one, other = decode_headers(encoded), decode_headers(encoded)

    assert one == dead.headers
    assert one["x-death"] is not other["x-death"]


def test_what_no_json_can_hold_is_taken_out_of_a_reason() -> None:
    dead = dead_letter(message(), queue("q", "dlx"), "rejected", 'cannot read "\ud83d"\0' + "x" * 500, 1.0)

    encode_headers(dead)
    detail = dead.headers["x-death-detail"]
    assert isinstance(detail, str)
    assert detail.startswith('cannot read "?"x')
    assert len(detail) == 499


@pytest.mark.parametrize("count", [2**64 - 1, 2**31, -1, "many"])
def test_a_count_that_is_none_is_begun_anew(count: object) -> None:
    dead = dead_letter(
        message(headers={"x-death": [{"queue": "q", "reason": "rejected", "count": count}]}),
        queue("q"),
        "rejected",
        "",
        1.0,
    )

    encode_headers(dead)
    deaths = dead.headers["x-death"]
    assert isinstance(deaths, list)
    assert deaths[0]["count"] == 2
