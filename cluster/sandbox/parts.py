"""The parts of one sandbox, put together."""

import random
from dataclasses import dataclass

from cluster.sandbox.clock import Clock
from cluster.sandbox.config import SandboxConfig
from cluster.sandbox.conversations import Heard
from cluster.sandbox.customers import Customers
from cluster.sandbox.delivery import WebhookSender
from cluster.sandbox.knobs import Panel
from cluster.sandbox.messages import MessageDesk
from cluster.sandbox.outbox import Outbox
from cluster.sandbox.phone_numbers import DEMO_NUMBER, PhoneNumbers, read_numbers
from cluster.sandbox.rates import Pacer
from cluster.sandbox.status_reporter import StatusReporter
from cluster.sandbox.statuses import StatusSchedule
from cluster.sandbox.webhook_queue import WebhookQueue


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers work on."""

    config: SandboxConfig
    clock: Clock
    panel: Panel
    numbers: PhoneNumbers
    customers: Customers
    outbox: Outbox
    heard: Heard
    throughput: Pacer
    randomness: random.Random
    sender: WebhookSender
    reporter: StatusReporter
    desk: MessageDesk


def make_parts(config: SandboxConfig, clock: Clock) -> Parts:
    """Construct everything; nothing runs yet."""
    bounds = config.bounds
    randomness = random.Random(config.seed)  # noqa: S311 - faults and sample ids, no secrets
    kept = [] if config.data_dir is None else read_numbers(config.data_dir)
    numbers = PhoneNumbers(bounds.numbers, [DEMO_NUMBER, *kept])
    panel, customers = Panel(config.knobs), Customers(bounds.customers)
    outbox, throughput = Outbox(bounds.outbox_messages, bounds.outbox_bytes), Pacer(bounds.numbers)
    sender = WebhookSender(config, panel, clock, WebhookQueue(bounds.pending_updates, randomness))
    reporter = StatusReporter(clock, StatusSchedule(bounds.pending_statuses), outbox, sender)
    desk = MessageDesk(
        clock=clock,
        panel=panel,
        numbers=numbers,
        customers=customers,
        outbox=outbox,
        pairs=Pacer(bounds.customers),
        throughput=throughput,
        follow=reporter.follow,
        randomness=randomness,
    )
    return Parts(
        config, clock, panel, numbers, customers, outbox, Heard(), throughput, randomness, sender, reporter, desk
    )
