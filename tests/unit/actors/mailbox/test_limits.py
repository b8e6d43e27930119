"""What no row can hold is refused before it spoils a batch, with its field and what to do."""

import asyncio
from typing import Any

import pytest

from actors.mailbox.errors import InvalidMessageError, MailboxError
from actors.mailbox.limits import check
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import Message
from tests.unit.actors.mailbox.test_partition import message, owning, running, until

GOOD = Message("id", "k", "t", b"", {}, 0.0)
NAN, INFINITE = float("nan"), float("inf")


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("id", "", "id must not be empty; Message.new"),
        ("id", "x" * 501, "id has at most 500"),
        ("id", None, "id is text, not None"),
        ("key", "a\0", "key is text without NUL"),
        ("key", None, "key is text, not None; write ''"),
        ("key", b"k", "key is text, not bytes; make text"),
        ("tenant", "\ud800", "tenant is text without"),
        ("tenant", 7, "tenant is text, not int; make text"),
        ("tenant", ["t"], "tenant is text, not list"),
        ("body", "text", r"body is bytes, not str; encode it, as by \.encode\(\)"),
        ("body", None, "body is bytes, not None"),
        ("body", 12, "body is bytes, not int"),
        ("body", bytearray(b"x"), "body is bytes, not bytearray; make bytes"),
        ("body", b"x" * 4_000_001, "body has at most 4000000 bytes"),
        ("headers", None, "headers are a dict, not None; write {}"),
        ("headers", [("a", "b")], "headers are a dict, not list"),
        ("headers", {"a": object()}, "headers: .*JSON of text and whole numbers"),
        ("headers", {1: "a"}, "headers: .*JSON of text"),
        ("headers", {"a": "\ud800"}, "headers: .*JSON of text"),
        ("headers", {"a": 1 << 64}, "headers: .*JSON of text"),
        ("headers", {"a": NAN}, "headers: 'a' has float in it"),
        ("headers", {"a": [{"b": INFINITE}]}, "headers: 'a' has float in it"),
        ("headers", {"a": None}, "headers: 'a' has None in it"),
        ("headers", {"a": nested(10_000)}, "headers: .*JSON of text"),
        ("headers", {"a": "x" * 20_000}, "headers have at most 16384 bytes"),
        ("published_at", NAN, "published_at is in Unix seconds"),
        ("published_at", "now", "published_at is in Unix seconds, .*not 'now'"),
        ("published_at", 1_760_000_000_000 * 1000, "published_at is in Unix seconds"),
        ("published_at", 10**400, "published_at is in Unix seconds, .*not 1000"),
        pytest.param("published_at", -(10**5000), "Unix seconds, .*not a number without end", id="at-long-ago"),
        pytest.param("ttl_ms", 10**5000, "ttl_ms is .*not a number without end", id="ttl-without-end"),
        pytest.param("headers", {"a": 10**5000}, "headers: ", id="header-without-end"),
        ("priority", 10, "priority is a whole number from 0 to 9, not 10"),
        ("priority", 1.5, "priority is a whole number"),
        ("priority", True, "priority is a whole number"),
        ("priority", "9", "priority is a whole number"),
        ("ttl_ms", 0, "ttl_ms is a whole number, at least 1"),
        ("ttl_ms", 0.5, "ttl_ms is a whole number"),
        ("ttl_ms", 1 << 31, "ttl_ms is a whole number"),
        ("ttl_ms", "5", "ttl_ms is a whole number"),
    ],
)
def test_each_field_is_refused_with_what_to_do(field: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidMessageError, match=says):
        check([GOOD, GOOD._replace(**{field: value})])


@pytest.mark.parametrize(("messages", "says"), [(GOOD, "put it into brackets"), ([b"bare"], "Message.new")])
def test_what_is_no_list_of_messages_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(InvalidMessageError, match=says):
        check(messages)


def test_what_the_types_promise_passes() -> None:
    check([GOOD._replace(headers={"a": "b", "deaths": [{"count": 2, "keys": ["k"]}]}, ttl_ms=1, priority=9)])


@pytest.mark.parametrize(
    "bad", [{"body": "text"}, {"body": None}, {"tenant": []}, {"key": None}, {"headers": None}, {"headers": {"a": NAN}},
            {"headers": {"x-redriven": 1}}, {"headers": {"x-redriven-at": 2**62}}],
)  # fmt: skip
async def test_who_goes_past_the_handle_harms_nobody_else(bad: dict[str, Any]) -> None:
    database = MemoryDatabase()
    async with running(database) as owner:
        await until(owning(owner))
        # Of three publishers that rode in one call the second has sent something that is no message.
        batch = [message("a"), message("bad")._replace(**bad), message("b"), message("c")]

        answers, beside = await asyncio.gather(
            owner.partition.append(batch, [1, 1, 2]), owner.partition.append([message("d")])
        )
        alone: list[MailboxError] = []
        for append in (owner.partition.append(batch[1:2]), owner.partition.append_dead_letters(batch[1:2], "why")):
            with pytest.raises(InvalidMessageError) as refused:
                await append
            alone.append(refused.value)

        assert answers is not None
        assert [type(answer) for answer in answers] == [type(None), InvalidMessageError, type(None)]
        assert beside is None
        assert database.epoch == 1
        assert sorted(await owner.consume(4)) == ["a", "b", "c", "d"]
