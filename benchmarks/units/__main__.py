"""``python -m benchmarks units``: one ShardPool actor against bare asyncpg in turns, and a question to all shards."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import uvloop

from actors.shards.handle import ShardsHandle
from benchmarks.raw_figures import keep, run_folder
from benchmarks.units.across import Asked, ask
from benchmarks.units.functions import FUNCTIONS
from benchmarks.units.ground import SHARDS_PER_ACTOR, Ground
from benchmarks.units.rates import BareAsyncpg, ThroughActor
from benchmarks.units.report import Rate, as_table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; the goals are for the reader to judge."""
    options = _parser().parse_args(argv)
    with run_folder() as folder:
        ground = Ground(folder)
        try:
            ground.start()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rates, asked = runner.run(_measure(ground, options))
        finally:
            ground.stop()
    print(as_table(rates, asked))
    keep("units", {"rates": [rate._asdict() for rate in rates], "across": [one._asdict() for one in asked]})
    return 0


async def _measure(ground: Ground, options: argparse.Namespace) -> tuple[list[Rate], list[Asked]]:
    bare = BareAsyncpg(ground.access, ground.tenants)
    actor = ThroughActor(SHARDS_PER_ACTOR, ground.tenants)
    rates: list[Rate] = []
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", flush=True)
        for function in FUNCTIONS:
            rates.append(Rate(function, 0, await bare.per_s(function, options.seconds)))
            rates += [
                Rate(function, batch, await actor.per_s(function, batch, options.seconds)) for batch in options.batches
            ]
    asked = await ask(ShardsHandle(SHARDS_PER_ACTOR), options.questions) if options.questions else []
    return rates, asked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks units", description=__doc__)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 256])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each figure (4)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side (2)")
    parser.add_argument("--questions", type=int, default=100, help="to all shards (100)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
