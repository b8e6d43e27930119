"""``python -m benchmarks backlog``: a mailbox with a million messages waiting, and what a million leave behind.

``churn``: so many published and consumed, one in a hundred of them delivered twice; the sizes of the tables and their
dead rows, and what the daily maintenance leaves. ``waiting``: nobody consumes; the actor's memory, the time until it is
back after a kill, and the rate at which it is then drained, against that of a queue kept at a depth of 1,000.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import ray

from actors.mailbox import MailboxHandle, Topology
from actors.mailbox.errors import MailboxError
from actors.mailbox.handle import actor_name
from benchmarks.broker.actors import message, start_consumer, start_publisher
from benchmarks.broker.mailbox import Platform

_PARTS = ("churn", "waiting")
_MEMORY_MB, _READY_S, _RATE_SHARE, _DEPTH = 200, 15.0, 0.8, 1_000
# Of a run of a second or two whoever else is busy on the machine decides.
_COMPARED_FROM_S = 10.0
_BACK_WITHIN_S = 300.0
_SIZES = """
SELECT CASE WHEN relname ~ '^(journal|settlement)' THEN split_part(relname, '_', 1) ELSE relname END AS name,
       sum(pg_total_relation_size(relid))::bigint AS bytes, sum(n_live_tup)::bigint AS live,
       sum(n_dead_tup)::bigint AS dead
FROM pg_stat_user_tables WHERE schemaname = 'spaza' GROUP BY 1 ORDER BY 1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; 1 where a bound is missed."""
    options = _parser().parse_args(argv)
    parts = options.parts or _PARTS
    run_dir = Path(tempfile.mkdtemp(prefix="bench-"))
    platform = Platform(run_dir)
    missed: list[str] = []
    try:
        platform.start()
        if "churn" in parts:
            missed += asyncio.run(_churn(platform, options.messages))
        if "waiting" in parts:
            missed += asyncio.run(_waiting(platform, options.messages, options.seconds))
    finally:
        platform.stop()
        shutil.rmtree(run_dir, ignore_errors=True)
    for one in missed:
        print(f"MISSED: {one}")
    return 1 if missed else 0


async def _waiting(platform: Platform, messages: int, seconds: float) -> list[str]:
    steady = await _steady_rate(platform, seconds)
    queue = "deep"
    # A consumer who is not there yet, and room for the message that shows that the mailbox is back.
    declared = await platform.declare(queue, "deep-consumer", max_length=2 * messages)
    publisher = start_publisher()
    began = time.monotonic()
    await publisher.fill.remote(declared, queue, 0, messages)
    print(f"{messages:,} published in {time.monotonic() - began:.0f} s, many with a call", flush=True)
    await asyncio.sleep(2.0)
    filled_mb = await _memory_mb(queue)
    ready_s = await _killed_and_back(declared, queue, messages)
    back_mb = await _memory_mb(queue)
    consumer = start_consumer("deep-consumer")
    drained, drain_mb = await _rate(consumer, seconds, queue)
    await platform.end(declared, queue)
    for actor in (publisher, consumer):
        ray.kill(actor)
    memory = f"{filled_mb:.0f} MB when filled, {back_mb:.0f} MB when back, at most {drain_mb:.0f} MB while drained"
    print(f"memory of the actor: {memory}")
    print(f"ready {ready_s:.1f} s after a kill")
    print(
        f"drained at {drained:,.0f}/s over {seconds:g} s, at a steady depth of {_DEPTH:,} {steady:,.0f}/s", flush=True
    )
    is_measured = seconds >= _COMPARED_FROM_S
    is_slow = is_measured and drained < _RATE_SHARE * steady
    return [
        *([f"memory above {_MEMORY_MB} MB"] if max(filled_mb, back_mb, drain_mb) > _MEMORY_MB else []),
        *([f"ready after more than {_READY_S:g} s"] if is_measured and ready_s > _READY_S else []),
        *([f"drained at less than {_RATE_SHARE:.0%} of the steady rate"] if is_slow else []),
    ]


async def _steady_rate(platform: Platform, seconds: float) -> float:
    queue = "shallow"
    consumer, publisher = start_consumer("shallow-consumer"), start_publisher()
    declared = await platform.declare(queue, "shallow-consumer")
    keeping = publisher.keep.remote(declared, queue, _DEPTH, consumer, seconds=seconds + 3.0)
    await asyncio.sleep(2.0)
    rate, _ = await _rate(consumer, seconds, queue)
    await keeping
    await platform.end(declared, queue)
    for actor in (publisher, consumer):
        ray.kill(actor)
    return rate


async def _rate(consumer: Any, seconds: float, queue: str) -> tuple[float, float]:
    """Messages a second, and the most memory that the actor had meanwhile."""
    first, most_mb = 0, 0.0
    while not first:  # from the first on
        await asyncio.sleep(0.05)
        first, _ = await consumer.count.remote()
    began = time.monotonic()
    series = []
    for _ in range(max(1, int(seconds))):
        before, _ = await consumer.count.remote()
        await asyncio.sleep(seconds / max(1, int(seconds)))
        series.append((await consumer.count.remote())[0] - before)
        most_mb = max(most_mb, await _memory_mb(queue))
    last, _ = await consumer.count.remote()
    print(f"{queue}, each second: {series}", flush=True)
    return float(last - first) / (time.monotonic() - began), most_mb


async def _killed_and_back(declared: Topology, queue: str, number: int) -> float:
    """Kill the actor; how long until a message is confirmed again and all that waits is owned."""
    handle = MailboxHandle(declared)
    # Which a busy machine may be late to tell.
    while "pid" not in (figures := (await handle.statistics())[queue]):
        pass
    os.kill(figures["pid"], signal.SIGKILL)
    began = time.monotonic()
    await asyncio.sleep(0.2)
    while True:
        try:
            await handle.publish("bench", queue, [message(queue, number)], timeout_s=2.0)
        except MailboxError:
            pass
        else:
            if (await handle.statistics())[queue]["state"] == "owning":
                return time.monotonic() - began
        if time.monotonic() - began > _BACK_WITHIN_S:
            raise RuntimeError("the mailbox did not come back")


async def _memory_mb(queue: str) -> float:
    """Resident memory of the actor, shared pages of the interpreter's libraries included."""
    actor = ray.get_actor(actor_name(queue, 0), namespace="spaza")
    return float(psutil.Process((await actor.statistics.remote())["pid"]).memory_info().rss) / 1e6


async def _churn(platform: Platform, messages: int) -> list[str]:
    queue = "churn"
    consumer, publisher = start_consumer("churn-consumer", 100), start_publisher()
    declared = await platform.declare(queue, "churn-consumer")
    before = await _sizes(platform)
    await publisher.keep.remote(declared, queue, 4 * _DEPTH, consumer, most=messages)
    await platform.end(declared, queue)
    await asyncio.sleep(2.0)  # the server's statistics follow
    after = await _sizes(platform)
    kept = await _maintained(platform)
    for actor in (publisher, consumer):
        ray.kill(actor)
    print(f"{'table':<16}{'before':>22}{'after ' + format(messages, ','):>28}{'maintained':>22}")
    for name in after:
        cells = [f"{one[name][0] / 1e6:.2f} MB, {one[name][2]:,} dead" for one in (before, after, kept) if name in one]
        print(f"{name:<16}{cells[0]:>22}{cells[1]:>28}{cells[-1]:>22}", flush=True)
    hot = [f"{name} has grown to {after[name][0] / 1e6:.2f} MB" for name in ("mailbox_owner",) if after[name][0] > 1e6]
    left = [f"maintenance left {name} at {kept[name][0]:,} bytes" for name in kept if kept[name][0] > 1e6]
    return hot + left


async def _sizes(platform: Platform) -> Mapping[str, tuple[int, int, int]]:
    connection = await asyncpg.connect(platform.dsn)
    try:
        return {row[0]: (row[1], row[2], row[3]) for row in await connection.fetch(_SIZES)}
    finally:
        await connection.close()


async def _maintained(platform: Platform) -> Mapping[str, tuple[int, int, int]]:
    """Sizes after the maintenance of nine days later."""
    connection = await asyncpg.connect(platform.dsn)
    try:
        # Old enough in the eyes of the maintenance, which goes by the clock for retries.
        await connection.execute("UPDATE spaza.redelivery SET not_before = not_before - interval '9 days'")
        began = time.monotonic()
        drop = "SELECT dropped FROM spaza.maintain_mailbox(0, 7, (now() AT TIME ZONE 'UTC')::date + 9)"
        while await connection.fetchval(drop):
            pass
        await connection.execute("SELECT spaza.clean_mailbox(7, (now() AT TIME ZONE 'UTC')::date + 9)")
        print(f"maintenance took {time.monotonic() - began:.2f} s")
        await connection.execute("VACUUM spaza.redelivery")
    finally:
        await connection.close()
    return await _sizes(platform)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks backlog", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", choices=[*_PARTS, []], help="waiting, churn; both")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument(
        "--seconds",
        type=float,
        default=30.0,
        help="of each measured rate (30); times are held to their bounds from 10 on",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
