"""``python -m tests.cluster.chaos --kills 100 --seed 7``: kill at random, then hold both ledgers against each other."""

import argparse
import asyncio
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from actors.shards.dsn import shard_dsn
from tests.cluster.chaos.declared import QUEUE, TOPOLOGY
from tests.cluster.chaos.ground import PARTITIONS, Ground, ground
from tests.cluster.chaos.ledger import read_ledger
from tests.cluster.chaos.verdict import Delivered, Effect, Evidence, Sent, faults, runs

VICTIMS = ("mailbox", "consumer", "publisher", "postgres", "redis", "node")
# A node takes longest to come back.
_WEIGHTS = (5, 4, 3, 3, 2, 2)
_RECOVERED_WITHIN_S = 300.0
# Between two looks at how late one is.
_LOOK_S = 0.05
# So many times a partition may change its owner by a strike: to get a mailbox onto a node one is killed before.
_OWNERS_KILLED = {"mailbox": 1, "node": 2}
_WAITING = """
SELECT count(*) FROM spaza.journal j WHERE queue = $1 AND NOT EXISTS (
    SELECT FROM spaza.settlement s WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq)
"""
_ENDS = """
SELECT j.message_id, s.outcome, extract(epoch FROM s.settled_at)::float8
FROM spaza.journal j JOIN spaza.settlement s USING (queue, partition, seq)
WHERE queue = $1 AND s.outcome <> 'acknowledged'
"""
_CLOCK = "SELECT clock_s FROM spaza.mailbox_owner WHERE queue = $1 AND partition = {}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def crash(kills: int, seed: int, folder: Path) -> list[str]:
    """Kill so many times; what was wrong at the end."""
    chance = random.Random(seed)
    # Each at least once, if there are enough.
    victims = [*VICTIMS, *chance.choices(VICTIMS, _WEIGHTS, k=max(0, kills - len(VICTIMS)))][:kills]
    chance.shuffle(victims)
    crashes: list[tuple[float, float]] = []
    with ground(folder) as all_of_it, stalls() as stalled:
        await all_of_it.begin()
        await _handled_since(all_of_it, time.time())
        for number, victim in enumerate(victims, 1):
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            began = time.time()
            struck = await all_of_it.strike(victim, chance)
            crashes += [(began, time.time())] * _OWNERS_KILLED.get(victim, 0)
            if chance.random() < 0.2 and number < len(victims):
                _say(f"{number}: {victim}{'' if struck else ' (missed)'}, and at once")
                continue
            back_s = await _handled_since(all_of_it, time.time())
            _say(f"{number}: {victim}{'' if struck else ' (missed)'}, back after {back_s:.1f} s")
        return await _verdict(all_of_it, crashes, stalled)


@contextmanager
def stalls() -> Iterator[Callable[[], float]]:
    """Tells by how many seconds too late a thread that slept was woken at worst."""
    ended, worst_s = threading.Event(), 0.0

    def watch() -> None:
        nonlocal worst_s
        began = time.monotonic()
        while not ended.wait(_LOOK_S):
            now = time.monotonic()
            began, worst_s = now, max(worst_s, now - began - _LOOK_S)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield lambda: worst_s
    finally:
        ended.set()
        watching.join()


async def _handled_since(all_of_it: Ground, since: float) -> float:
    """Wait until of each partition something is handled that was published after a moment; how long that took."""
    deadline = time.monotonic() + _RECOVERED_WITHIN_S
    while time.monotonic() < deadline:
        try:
            connection = await asyncpg.connect(all_of_it.consumer_dsn, timeout=10.0)
            try:
                counted = "SELECT count(DISTINCT partition) FROM effect WHERE published_at > $1"
                if await connection.fetchval(counted, since) == PARTITIONS:
                    return time.time() - since
            finally:
                await connection.close()
        except (asyncpg.PostgresError, OSError):
            pass  # it has only just been started again
        await asyncio.sleep(0.15)
    said = (all_of_it.folder / "publisher.log").read_text(errors="replace")[-2000:]
    raise AssertionError(f"nothing new was handled within {_RECOVERED_WITHIN_S:.0f} s; the publisher: {said}")


async def _verdict(all_of_it: Ground, crashes: list[tuple[float, float]], stalled: Callable[[], float]) -> list[str]:
    publisher = all_of_it.publisher
    assert publisher is not None
    publisher.send_signal(signal.SIGTERM)
    await asyncio.to_thread(publisher.wait, 300.0)
    deadline = time.monotonic() + 300.0
    while await _waiting(all_of_it) and time.monotonic() < deadline:  # noqa: ASYNC110 - asks a database
        await asyncio.sleep(0.3)
    account = read_ledger(all_of_it.ledger)
    sent = [
        Sent(intent.key, number, intent.ttl_ms, account.confirmed.get((key, intent.first)))
        for key, intents in account.intents.items()
        for intent in intents
        for number in range(intent.first, intent.first + intent.many)
    ]
    ends = [row for shard in range(PARTITIONS) for row in await _journal(all_of_it, shard, _ENDS)]
    evidence = Evidence(
        sent,
        [
            Delivered(*row)
            for row in await _ledger(
                all_of_it,
                "SELECT at, id, redelivered, partition, batch FROM delivered ORDER BY at, batch, place",
            )
        ],
        [Effect(*row) for row in await _ledger(all_of_it, "SELECT at, id FROM effect ORDER BY number")],
        {row[0]: row[2] for row in ends if row[1] == "expired"},
        [row[0] for row in ends if row[1] != "expired"],
        await _waiting(all_of_it),
        crashes,
        {shard: (await _journal(all_of_it, shard, _CLOCK.format(shard)))[0][0] for shard in range(PARTITIONS)},
        TOPOLOGY.queues[QUEUE].key_run,
        stalled(),
    )
    again = len(evidence.delivered) - len({one.id for one in evidence.delivered})
    _say(
        f"{len(sent)} messages sent, {len(evidence.effects)} handled, {len(evidence.expired)} expired;"
        f" {len(evidence.delivered)} deliveries, {again} of them again; {sum(runs(evidence).values())} runs of a key,"
        f" up to {max(runs(evidence), default=1)} messages in one batch; the machine stalled for"
        f" {evidence.stall_s:.2f} s at worst",
    )
    return faults(evidence)


async def _waiting(all_of_it: Ground) -> int:
    return sum([(await _journal(all_of_it, shard, _WAITING))[0][0] for shard in range(PARTITIONS)])


async def _journal(all_of_it: Ground, shard: int, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(shard_dsn(all_of_it.database.tcp_dsn, shard))
    try:
        return list(await connection.fetch(query, QUEUE))
    finally:
        await connection.close()


async def _ledger(all_of_it: Ground, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(all_of_it.consumer_dsn)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    _say(f"seed {seed}: --seed {seed} strikes in the same order again")
    folder = Path(tempfile.mkdtemp(prefix="chaos"))  # sockets want a short path
    # The cluster tells others on the machine where it is; only its own are to hear it.
    os.environ["RAY_TMPDIR"] = str(folder)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    began = time.monotonic()
    try:
        found = asyncio.run(crash(options.kills, seed, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _say(f"{options.kills} kills in {time.monotonic() - began:.0f} s, {len(found)} faults")
    # The id, and by how much, are each one's own.
    for kind, times in Counter(re.sub(r"\d+\.\d+ s", "", one.partition(" ")[2]) for one in found).items():
        _say(f"  {times} {kind}")
    for one in [*found[:15], *found[-15:]] if len(found) > 30 else found:
        _say(f"  {one}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
