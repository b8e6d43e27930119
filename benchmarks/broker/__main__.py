"""``python -m benchmarks.broker``, or ``python -m benchmarks broker``: RabbitMQ and the mailbox in turns."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.broker.brokers import Broker, Load, Turn
from benchmarks.broker.mailbox import MailboxBroker
from benchmarks.broker.rabbitmq import RabbitBroker
from benchmarks.broker.report import as_table, reached
from benchmarks.raw_figures import keep, run_folder
from benchmarks.system import UnavailableError

_BROKERS = ("rabbitmq", "mailbox")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the turns and print what they showed; 1 if a message was lost."""
    options = _parser().parse_args(argv)
    loads = [Load(publishers, options.seconds) for publishers in options.publishers]
    turns: list[Turn] = []
    with run_folder() as folder:
        for number in range(1, options.rounds + 1):
            for name in options.brokers:
                print(f"round {number} of {options.rounds}: {name}", flush=True)
                turns += _turn(name, folder / f"{name}-{number}", loads)
    print(as_table(turns))
    keep("broker", [{**turn._asdict(), "publish": turn.publish._asdict()} for turn in turns])
    return 0 if reached(turns) else 1


def _turn(name: str, directory: Path, loads: Sequence[Load]) -> list[Turn]:
    directory.mkdir(parents=True)
    broker: Broker = RabbitBroker(directory) if name == "rabbitmq" else MailboxBroker(directory)
    try:
        broker.start()
        return [asyncio.run(broker.run(load)) for load in loads]
    except UnavailableError as error:
        print(f"  skipped: {error}", flush=True)
        return []
    finally:
        broker.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks broker", description=__doc__)
    parser.add_argument("--brokers", nargs="+", choices=_BROKERS, default=list(_BROKERS))
    parser.add_argument("--publishers", nargs="+", type=int, default=[1, 32, 256])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load (5)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each broker (2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
