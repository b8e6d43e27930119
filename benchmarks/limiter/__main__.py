"""``python -m benchmarks limiter``: checks a second of one rate limiter, and what a check adds at 300 a second."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial

import psutil
import ray
import uvloop

from actors.rate_limiter.handle import RateLimiterHandle
from actors.rate_limiter.start import start_rate_limiters
from benchmarks.limiter.loops import TENANTS, checks_per_s, latencies_s, warm
from benchmarks.limiter.report import Figures, as_table, reached
from benchmarks.percentiles import summarize
from benchmarks.raw_figures import keep, run_folder
from cache.counters import RedisCounters
from cluster.redis_server import RedisServer


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. Returns 0 where all goals are reached, else 1."""
    options = _parser().parse_args(argv)
    # As an instance has it; Ray's own would let everything else go first.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's name
    with run_folder() as folder:
        redis = RedisServer(folder / "data", folder / "run").start()
        try:
            ray.init(
                address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="spaza",
                object_store_memory=100_000_000, _temp_dir=str(folder / "ray"),
            )  # fmt: skip
            start_rate_limiters(1, partial(RedisCounters, redis.url), settings=redis.url, log_level="WARNING")
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                figures = runner.run(_measure(options))
        finally:
            ray.shutdown()
            redis.stop()
    print(as_table(figures))
    keep("limiter", figures._asdict())
    return 0 if all(reached(figures).values()) else 1


async def _measure(options: argparse.Namespace) -> Figures:
    handle = RateLimiterHandle(1)
    await warm(handle)
    per_s: list[float] = []
    p50_ms: list[float] = []
    p99_ms: list[float] = []
    checks = calls = 0
    cpu_s = 0.0
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", flush=True)
        before = (await handle.statistics())[0]
        cpu_before = _cpu_s(before["pid"])
        per_s.append(await checks_per_s(handle, options.callers, options.seconds))
        after = (await handle.statistics())[0]
        cpu_s += _cpu_s(after["pid"]) - cpu_before
        checks += after["checks"] - before["checks"]
        calls += after["calls"] - before["calls"]
        spread = summarize(await latencies_s(handle, options.rate, options.seconds))
        p50_ms.append(spread.p50_ms)
        p99_ms.append(spread.p99_ms)
    return Figures(
        options.callers,
        TENANTS,
        options.rate,
        per_s,
        checks / max(1, calls),
        cpu_s / max(1, checks) * 1e6,
        p50_ms,
        p99_ms,
    )


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks limiter", description=__doc__)
    parser.add_argument("--callers", type=int, default=1_000, help="that ask one check after the other (1000)")
    parser.add_argument("--rate", type=float, default=300.0, help="checks a second of the open loop (300)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure (5)")
    parser.add_argument("--rounds", type=int, default=3, help="turns (3)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
