"""``python -m benchmarks gateway``: a route of the API with its whole chain and without, in turns."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import uvloop

from benchmarks.gateway.ground import Ground
from benchmarks.gateway.report import Turn, as_text, reached
from benchmarks.load.connection import Connection
from benchmarks.raw_figures import keep, run_folder
from config.routes_file import load_routes

_START_S = 120.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. Returns 0 where the goal is reached, else 1."""
    options = _parser().parse_args(argv)
    with run_folder() as folder:
        ground = Ground(folder)
        try:
            ground.start()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                turns = runner.run(_measure(ground, options))
        finally:
            ground.stop()
    print(as_text(turns, [*load_routes().routes["products"].plugins]))
    keep("gateway", [turn._asdict() for turn in turns])
    return 0 if reached(turns) else 1


async def _measure(ground: Ground, options: argparse.Namespace) -> list[Turn]:
    url = f"http://127.0.0.1:{ground.port}"
    sides = {method: [ground.request(part, method) for part in ("bare", "whole")] for method in ("GET", "PUT")}
    async with asyncio.timeout(_START_S):
        await _until_up(url, ground)
    for request in (*sides["GET"], *sides["PUT"]):
        await _per_s(url, request, options.connections, 1.0)  # the first calls connect and look up
    turns = []
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", flush=True)
        for method, requests in sides.items():
            bare, whole = [await _per_s(url, one, options.connections, options.seconds) for one in requests]
            turns.append(Turn(bare, whole, method))
    return turns


async def _until_up(url: str, ground: Ground) -> None:
    ground.demand_server()
    try:
        (await Connection.open(url)).close()
    except OSError:
        await asyncio.sleep(0.2)
        await _until_up(url, ground)


async def _per_s(url: str, request: bytes, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def one() -> int:
        connection, count = await Connection.open(url), 0
        while loop.time() < until:
            status = await connection.exchange(request, 10.0)
            if status != 200:
                raise RuntimeError(f"answered {status}, which measures nothing")
            count += 1
        connection.close()
        return count

    start = loop.time()
    counts = await asyncio.gather(*(one() for _ in range(connections)))
    return sum(counts) / (loop.time() - start)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gateway", description=__doc__)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each figure (4)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (5)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
