"""What Redis keeps of what was found, and that it takes nothing from before a change."""

from cache.connection import RedisConnection
from cache.entries import EntryPolicy, RedisEntries


def _entries(connection: RedisConnection, *, form: int = 1, forgotten_s: float = 15.0) -> RedisEntries[str]:
    return RedisEntries(
        connection, "thing:", form=form, encode=lambda value: value, decode=str,
        policy=EntryPolicy(forgotten_s=forgotten_s),
    )  # fmt: skip


async def test_what_is_put_is_found_with_what_is_known_not_to_be_there(connection: RedisConnection) -> None:
    entries = _entries(connection)

    await entries.put({"a": "A", "b": None})

    assert await entries.get(["a", "b", "c"]) == {"a": "A", "b": None}
    assert 3200 <= await connection.client.ttl("thing:a") <= 3960
    assert 1 <= await connection.client.ttl("thing:b") <= 33


async def test_what_was_read_before_a_change_is_not_taken_after_it(connection: RedisConnection) -> None:
    entries = _entries(connection)
    await entries.put({"a": "old"})

    assert await entries.forget(["a"])
    await entries.put({"a": "old"})

    assert await entries.get(["a"]) == {}


async def test_a_moment_after_a_change_it_is_kept_again(connection: RedisConnection) -> None:
    entries = _entries(connection, forgotten_s=0.05)
    await entries.forget(["a"])
    await connection.client.pexpire("thing:a", 1)
    while await connection.client.exists("thing:a"):
        pass

    await entries.put({"a": "new"})

    assert await entries.get(["a"]) == {"a": "new"}


async def test_what_another_version_wrote_is_not_read_and_is_replaced(connection: RedisConnection) -> None:
    await _entries(connection, form=1).put({"a": "old form"})
    entries = _entries(connection, form=2)

    assert await entries.get(["a"]) == {}
    await entries.put({"a": "new form"})
    assert await entries.get(["a"]) == {"a": "new form"}


async def test_without_redis_nothing_is_found_and_forgetting_is_not_sure() -> None:
    away = RedisConnection("redis://127.0.0.1:1/0")
    entries = _entries(away)

    await entries.put({"a": "A"})

    assert await entries.get(["a"]) == {}
    assert not await entries.forget(["a"])
    assert await entries.forget([])
    await away.aclose()
