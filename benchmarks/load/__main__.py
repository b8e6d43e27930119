"""``python -m benchmarks.load``: a job on standard input; ``ready`` on standard output; a line to go; the result.

So whoever measures can look at the clocks when all messages are built and the interpreter has started.
"""

import asyncio
import gc
import sys

import orjson
import uvloop

from benchmarks.load.generator import run
from benchmarks.load.job import Job
from benchmarks.messages import prepare


def main() -> None:
    job = Job(**orjson.loads(sys.stdin.buffer.readline()))
    messages = prepare(job.url, job.first, job.count)
    gc.disable()  # a short life, and no pauses in the measurement
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    sys.stdin.buffer.readline()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(runner.run(run(job, messages)).encode())


if __name__ == "__main__":
    main()
