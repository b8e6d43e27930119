"""``python -m benchmarks move``: moves a tenant of 20,000 rows from shard to shard while it is written to."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from actors.shards.placement import SHARDS
from benchmarks.move.ground import Ground
from benchmarks.move.writers import Writer
from benchmarks.percentiles import median
from benchmarks.raw_figures import keep, run_folder
from telemetry.log import configure_logging

GOAL_MS = 300.0


class Moved(NamedTuple):
    """One move.

    Attributes:
        rows: that were compared on both sides.
        freeze_ms: for which no unit was let in anywhere.
        slowest_ms: the longest that a writer waited for a unit, from its first try.
        written: units that were confirmed to the writers, before it, in it and after it.
        per_s: of them, in a second.
    """

    rows: int
    rounds: int
    messages: int
    freeze_ms: float
    seconds: float
    slowest_ms: float
    written: int
    per_s: float
    lost: int
    doubled: int
    disordered: int
    failures: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and keep the raw figures. 1 where the median freeze is too long, or the accounts do not hold."""
    options = _parser().parse_args(argv)
    configure_logging("ERROR")
    with run_folder() as folder:
        moves = asyncio.run(_measure(folder, options))
    freeze_ms = median([one.freeze_ms for one in moves])
    sound = not any(one.lost or one.doubled or one.disordered or one.failures for one in moves)
    print(f"freeze, median of {len(moves)}: {freeze_ms:.0f} ms, {'below' if freeze_ms < GOAL_MS else 'NOT BELOW'} 300")
    print("nothing lost, doubled or out of order" if sound else "THE ACCOUNTS DO NOT HOLD")
    keep("move", [one._asdict() for one in moves])
    return 0 if sound and freeze_ms < GOAL_MS else 1


async def _measure(folder: Path, options: argparse.Namespace) -> list[Moved]:
    ground = await asyncio.to_thread(Ground, folder, rows=options.rows)
    try:
        await ground.prepare()
        print("   rows rounds messages freeze ms  whole s waited ms  units/s lost")
        moves: list[Moved] = []
        for place in range(options.moves):
            moves.append(await _move(ground, place, options.writers))
            one = moves[-1]
            print(
                f"{one.rows:>7} {one.rounds:>6} {one.messages:>8} {one.freeze_ms:>9.1f} {one.seconds:>8.2f}"
                f" {one.slowest_ms:>9.1f} {one.per_s:>8.0f} {one.lost + one.doubled + one.disordered}",
                flush=True,
            )
        return moves
    finally:
        await ground.stop()


async def _move(ground: Ground, place: int, number: int) -> Moved:
    # They ask on the shard where it was when they began, whatever happens.
    writers = [Writer(ground.runner, ground.tenant_id, ground.shard, f"{place}{n:02d}") for n in range(number)]
    began = time.perf_counter()
    tasks = [asyncio.ensure_future(writer.run()) for writer in writers]
    await asyncio.sleep(1.0)
    report = await ground.move((ground.shard + 7) % SHARDS)
    await asyncio.sleep(1.0)
    for writer in writers:
        writer.stopped = True
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    accounts = await ground.account(writers)
    await ground.deliver()
    return Moved(
        report.rows,
        report.rounds,
        report.messages,
        report.freeze_ms,
        report.seconds,
        max(writer.slowest_ms for writer in writers),
        accounts.written,
        accounts.written / seconds,
        accounts.lost,
        accounts.doubled,
        accounts.disordered,
        sum(len(writer.failures) for writer in writers),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks move", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of the tenant (20000)")
    parser.add_argument("--writers", type=int, default=8, help="that write all the time (8)")
    parser.add_argument("--moves", type=int, default=5, help="one after the other (5)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
