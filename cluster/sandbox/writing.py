"""A customer writes: what the sandbox does about it, whoever asks for it."""

import asyncio
from typing import Any

from cluster.sandbox.control_errors import ControlError
from cluster.sandbox.conversations import Line, describe
from cluster.sandbox.delivery import Attempt
from cluster.sandbox.inbound import InboundRequest, Written, customer_of, write_messages
from cluster.sandbox.parts import Parts


async def write_as_customer(parts: Parts, asked: InboundRequest) -> list[dict[str, Any]]:
    """Send what a customer writes to the webhook, as Meta would.

    Returns:
        For each message its ``wamid``, and how the webhook answered first.

    Raises:
        ControlError: there is no such number, or too many webhooks wait already.
    """
    now = parts.clock.now()
    number = parts.numbers.find(asked.phone_number_id)
    if number is None:
        remedy = "is not registered; register it with POST /sandbox/numbers"
        raise ControlError("unknown number", (("phone_number_id", remedy),))
    customer = customer_of(asked, now)
    parts.customers.wrote(number.phone_number_id, customer)
    written = write_messages(asked, number, customer, parts.randomness)
    mps = parts.panel.knobs.throughput_mps
    if mps is not None:
        for _ in written:
            parts.throughput.take(number.phone_number_id, now, interval_s=1 / mps, burst=mps, force=True)
    results = await _deliver(parts, written)
    for one, attempt in zip(written, results, strict=True):
        status = f"answered {attempt.http_status}" if attempt.error is None else attempt.error
        who = customer.wa_id if customer.wa_id is not None else customer.user_id or ""
        parts.heard.add(Line(now, number.phone_number_id, who, "in", describe(one.update.item), status))
    return [
        {"wamid": one.wamid, "http_status": attempt.http_status, "error": attempt.error}
        for one, attempt in zip(written, results, strict=True)
    ]


async def _deliver(parts: Parts, written: list[Written]) -> list[Attempt]:
    """Send in webhooks of the size that the knob allows; one result for each message."""
    size = parts.panel.knobs.batch_max
    batches = [written[start : start + size] for start in range(0, len(written), size)]
    attempts = await asyncio.gather(*(parts.sender.deliver([one.update for one in batch]) for batch in batches))
    if None in attempts:
        raise ControlError("too many webhooks wait for the callback already", status=503)
    return [attempt for batch, attempt in zip(batches, attempts, strict=True) if attempt for _ in batch]
