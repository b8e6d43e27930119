import asyncio
from pathlib import Path

import pytest

from cache.claims import Claim, ClaimPolicy, Claims
from cache.connection import RedisConnection, RedisTimeouts
from cache.errors import RedisAwayError
from cache.marks import Mark, Marks, MarksRead
from tests.peers import listening
from tests.servers import PATIENT_REDIS, redis


async def test_a_message_is_claimed_by_one_and_told_to_the_others(connection: RedisConnection) -> None:
    claims = Claims(connection)

    assert await claims.claim(["a", "b"], "mine") == [Claim.OURS, Claim.OURS]
    assert await claims.claim(["b", "c"], "theirs") == [Claim.ELSEWHERE, Claim.OURS]
    assert 0 < await connection.client.pttl("processed:a") <= 5_000


async def test_what_is_done_is_remembered_for_a_day(connection: RedisConnection) -> None:
    claims = Claims(connection)
    await claims.claim(["a"], "mine")

    await claims.finish(["a"])

    assert await claims.claim(["a"], "theirs") == [Claim.DONE]
    assert 86_000 < await connection.client.ttl("processed:a") <= 86_400


async def test_a_claim_is_given_back_by_its_owner_alone(connection: RedisConnection) -> None:
    claims = Claims(connection)
    await claims.claim(["a", "b"], "mine")
    await claims.finish(["b"])

    await claims.release(["a", "b"], "theirs")
    assert await claims.claim(["a"], "theirs") == [Claim.ELSEWHERE]
    await claims.release(["a", "b"], "mine")

    assert await claims.claim(["a", "b"], "theirs") == [Claim.OURS, Claim.DONE]


async def test_a_claim_ends_with_its_lease(connection: RedisConnection) -> None:
    claims = Claims(connection, ClaimPolicy(lease_ms=30))
    await claims.claim(["a"], "mine")

    await asyncio.sleep(0.06)

    assert await claims.claim(["a"], "theirs") == [Claim.OURS]


async def test_nothing_is_asked_for_nothing(connection: RedisConnection) -> None:
    claims = Claims(connection)

    assert await claims.claim([], "mine") == []
    await claims.finish([])
    await claims.release([], "mine")


async def test_a_batch_of_256_is_claimed_at_once(connection: RedisConnection) -> None:
    ids = [f"m{n}" for n in range(256)]

    assert await Claims(connection).claim(ids, "mine") == [Claim.OURS] * 256


async def test_a_mark_tells_when_a_send_began(connection: RedisConnection) -> None:
    marks = Marks(connection)
    await marks.mark([], 500)

    assert await marks.mark(["a"], 1_000) == frozenset("a")
    assert await marks.mark(["b"], 2_000) == frozenset("b")

    assert await marks.read(["a", "b", "c"], 9_000) == MarksRead(500, {"a": Mark(1_000, None), "b": Mark(2_000, None)})
    assert 86_000 < await connection.client.ttl("sending:a") <= 86_400
    assert await connection.client.ttl("sending:since") == -1


async def test_of_two_who_mark_a_message_one_succeeds(connection: RedisConnection) -> None:
    marks = Marks(connection)

    assert await marks.mark(["a"], 1_000) == frozenset("a")
    assert await marks.mark(["a", "b"], 2_000) == frozenset("b")
    # Both have seen the mark and want to send again.
    assert await marks.mark(["a"], 3_000, {"a": 1_000}) == frozenset("a")
    assert await marks.mark(["a", "c"], 4_000, {"a": 1_000, "c": 1_000}) == frozenset("c")
    await marks.remember_sent({"a": "wamid.A"})
    assert await marks.mark(["a"], 5_000, {"a": 3_000}) == frozenset()

    read = await marks.read(["a", "b", "c"], 9_000)
    assert read is not None
    assert read.marks == {"a": Mark(None, "wamid.A"), "b": Mark(2_000, None), "c": Mark(4_000, None)}


async def test_marks_that_are_gone_begin_anew_when_they_are_read(connection: RedisConnection) -> None:
    marks = Marks(connection)
    await marks.mark(["a"], 1_000)
    await connection.client.flushall()

    assert await marks.read(["a"], 9_000) == MarksRead(9_000, {})
    assert await marks.read(["a"], 10_000) == MarksRead(9_000, {})


async def test_a_redis_that_was_restarted_may_lack_marks_so_they_begin_anew(tmp_path: Path) -> None:
    with redis(tmp_path) as server:
        first = RedisConnection(server.url, timeouts=PATIENT_REDIS)
        await Marks(first).mark(["a"], 1_000)
        before = await Marks(first).read(["a"], 2_000)
        await first.aclose()

        server.stop()
        server.start()
        again = RedisConnection(server.url, timeouts=PATIENT_REDIS)
        after = [await Marks(again).read(["a"], now_ms) for now_ms in (9_000, 10_000)]
        await again.aclose()

    assert before == MarksRead(1_000, {"a": Mark(1_000, None)})
    # Its own append-only file kept this mark; not every one, if its host had crashed.
    assert after == [MarksRead(9_000, {"a": Mark(1_000, None)})] * 2


async def test_a_mark_can_be_taken_back_and_a_wamid_be_kept(connection: RedisConnection) -> None:
    marks = Marks(connection)
    await marks.mark(["a", "b"], 1_000)

    await marks.clear(["a"])
    await marks.clear([])
    assert await marks.remember_sent({"b": "wamid.B"})

    read = await marks.read(["a", "b"], 9_000)
    assert read is not None
    assert read.marks == {"b": Mark(None, "wamid.B")}


@pytest.fixture
async def away(tmp_path: Path) -> RedisConnection:
    return RedisConnection(f"unix://{tmp_path}/nobody.sock")


async def test_without_redis_claims_guard_nothing_and_marks_say_so(away: RedisConnection) -> None:
    claims, marks = Claims(away), Marks(away)

    assert await claims.claim(["a", "b"], "mine") == [Claim.UNGUARDED] * 2
    await claims.finish(["a"])
    await claims.release(["a"], "mine")
    assert await marks.mark(["a"], 1) is None
    assert await marks.read(["a"], 1) is None
    await marks.clear(["a"])
    assert not await marks.remember_sent({"a": "w"})


async def test_a_redis_that_hangs_costs_one_timeout_and_is_then_left_alone_for_a_while(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    now = 100.0
    connection = RedisConnection(
        f"unix://{tmp_path}/redis.sock",
        timeouts=RedisTimeouts(connect_s=0.05, command_s=0.05, away_s=1.0),
        clock=lambda: now,
    )

    async with listening(hang, asyncio.start_unix_server, tmp_path / "redis.sock"):
        for failures in (1, 1, 1):
            with pytest.raises(RedisAwayError):
                await connection.ask(connection.client.ping)
            assert connection.failures == failures
        now += 1.0
        with pytest.raises(RedisAwayError):
            await connection.ask(connection.client.ping)

        assert connection.failures == 2
        await connection.aclose()


async def test_a_redis_that_comes_back_is_used_again(server: object, connection: RedisConnection) -> None:
    connection._away_until = 0.0

    assert await connection.ask(connection.client.ping)
