"""The closed loop of the broker's benchmark, and its report."""

import asyncio

from benchmarks.broker.brokers import Load, Published, Turn, publish_all
from benchmarks.broker.report import as_table, middle, reached


def turn(broker: str, per_s: float, *, consumed: int = 10) -> Turn:
    return Turn(broker, 256, Published(10, per_s, 1.0, 2.0, 0.0, 1.0, 10, 0.5), per_s, 10, consumed, {})


async def test_each_publisher_has_one_confirm_outstanding_and_no_number_goes_twice() -> None:
    outstanding, most, numbers = 0, 0, []

    async def publish(number: int) -> None:
        nonlocal outstanding, most
        numbers.append(number)
        outstanding += 1
        most = max(most, outstanding)
        await asyncio.sleep(0)
        outstanding -= 1

    published = await publish_all(publish, Load(7, 0.02, warm_s=0.0))

    assert most == 7
    assert numbers == list(range(published.all_confirmed))
    assert published.confirmed == published.all_confirmed


def test_medians_are_of_one_broker_and_a_lost_message_is_said() -> None:
    turns = [turn("mailbox", 30.0), turn("mailbox", 10.0, consumed=9), turn("mailbox", 20.0), turn("rabbitmq", 5.0)]

    assert middle(turns, "mailbox", 256, "confirmed/s") == 20.0
    assert not reached(turns)
    assert reached(turns[2:])
    assert "10 confirmed, 9 consumed" in as_table(turns)
