"""``python -m benchmarks tenants``: makes tenants by the hundred, and migrates all there are after each hundred."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from actors.shards.owner import MigrationLimits
from benchmarks.raw_figures import keep, run_folder
from benchmarks.tenants.fleet import Fleet
from telemetry.log import configure_logging

# The slowest step may be so much slower than the fastest before the rate counts as falling; machines drift.
_FLAT = 0.7


class Step(NamedTuple):
    """After one step.

    Attributes:
        tenants: that there are now.
        made_per_s: of those that were made in this step.
        migrated_per_s: of all that there are, in one run.
    """

    tenants: int
    made_per_s: float
    migrated_per_s: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and keep the raw figures. 1 where a rate falls as the tenants grow."""
    options = _parser().parse_args(argv)
    configure_logging("WARNING")
    with run_folder() as folder:
        steps = asyncio.run(_measure(folder, options))
    flat = is_flat([step.made_per_s for step in steps]) and is_flat([step.migrated_per_s for step in steps])
    print("flat" if flat else f"NOT FLAT: the last falls below {_FLAT:.0%} of the best")
    keep("tenants", [step._asdict() for step in steps])
    return 0 if flat else 1


def is_flat(rates: Sequence[float]) -> bool:
    """Whether the last rate is about as good as the best; a slow first one, with everything cold, is no fall."""
    return not rates or rates[-1] >= _FLAT * max(rates)


async def _measure(folder: Path, options: argparse.Namespace) -> list[Step]:
    fleet = await asyncio.to_thread(Fleet, folder)
    try:
        await fleet.prepare()
        print(f"{'tenants':>8}  {'made/s':>8}  {'migrated/s':>10}")
        steps: list[Step] = []
        for tenants in range(options.step, options.tenants + 1, options.step):
            made_s = await fleet.provision(options.step, at_once=options.at_once)
            fleet.release()
            migrated, migrated_s = await fleet.migrate(MigrationLimits(options.per_shard, options.connections))
            step = Step(tenants, options.step / made_s, migrated / migrated_s)
            steps.append(step)
            print(f"{step.tenants:>8}  {step.made_per_s:>8.1f}  {step.migrated_per_s:>10.1f}", flush=True)
        return steps
    finally:
        fleet.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=500, help="at the end (500)")
    parser.add_argument("--step", type=int, default=100, help="between two figures (100)")
    parser.add_argument("--at-once", type=int, default=8, help="tenants that are made at once (8)")
    parser.add_argument("--per-shard", type=int, default=2, help="tenants of a shard that are migrated at once (2)")
    parser.add_argument("--connections", type=int, default=16, help="of a migration, over all shards (16)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
