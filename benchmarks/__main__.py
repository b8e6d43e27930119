"""``python -m benchmarks``: peer and Spaza in turns. Parts: ``broker units limiter tenants move gateway``."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.broker.__main__ import main as broker
from benchmarks.broker.backlog import main as backlog
from benchmarks.contest import Contest
from benchmarks.gateway.__main__ import main as gateway
from benchmarks.limiter.__main__ import main as limiter
from benchmarks.move.__main__ import main as move
from benchmarks.peer.system import PeerSystem, Tuning
from benchmarks.report import as_json, as_table
from benchmarks.spaza.system import SpazaSystem
from benchmarks.system import System
from benchmarks.tenants.__main__ import main as tenants
from benchmarks.turn import PARTS, Scale
from benchmarks.units.__main__ import main as units

_RESULTS = Path(__file__).parent / "results"
SYSTEMS = ("peer", "spaza")
# What is measured alone.
_PARTS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "broker": broker,
    "backlog": backlog,
    "units": units,
    "limiter": limiter,
    "tenants": tenants,
    "move": move,
    "gateway": gateway,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    part = _PARTS.get(arguments[0]) if arguments else None
    if part is not None:
        return part(arguments[1:])
    options = _parser().parse_args(arguments)
    parts = frozenset(options.parts or PARTS)
    scale = Scale(options.messages, options.acks, options.steady_s, options.singles)
    directory = _RESULTS / time.strftime("%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    # Sockets want a short path.
    run_dir = Path(tempfile.mkdtemp(prefix="spaza-bench-"))
    try:
        contest = Contest(_systems(options, directory, run_dir), directory, scale)
        contest.run(parts, rounds=options.rounds, more_processes=options.processes)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)
        if not options.keep:
            for name in SYSTEMS:
                shutil.rmtree(directory / name, ignore_errors=True)
    (directory / "result.json").write_bytes(as_json(contest.outcome))
    print(as_table(contest.outcome))
    print(f"Raw figures: {directory / 'result.json'}")
    return 0 if contest.outcome.sound else 1


def _systems(options: argparse.Namespace, directory: Path, run_dir: Path) -> list[System]:
    tuning = Tuning(options.peer_prefetch, options.peer_concurrency, options.peer_pool)
    systems: list[System] = []
    if "peer" in options.systems:
        systems.append(PeerSystem(directory / "peer", run_dir / "p", tuning))
    if "spaza" in options.systems:
        systems.append(SpazaSystem(directory / "spaza"))
    return systems


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", choices=[*PARTS, []], help=f"{', '.join(PARTS)}; all")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=2, help="turns of each system (2)")
    parser.add_argument("--messages", type=int, default=3000, help="messages of the part answers (3000)")
    parser.add_argument("--acks", type=int, default=4000, help="messages of the part acks (4000)")
    parser.add_argument("--steady-s", type=float, default=20.0, help="seconds of each open loop (20)")
    parser.add_argument("--singles", type=int, default=30, help="messages sent alone (30)")
    parser.add_argument("--processes", type=int, nargs="*", default=[2], help="HTTP processes to try acks with too (2)")
    parser.add_argument("--keep", action="store_true", help="keep the systems' data and logs")
    parser.add_argument("--peer-prefetch", type=int, default=Tuning().prefetch)
    parser.add_argument("--peer-concurrency", type=int, default=Tuning().concurrency)
    parser.add_argument("--peer-pool", type=int, default=Tuning().pool_size)
    return parser


if __name__ == "__main__":
    sys.exit(main())
