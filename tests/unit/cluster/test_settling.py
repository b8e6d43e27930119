"""The end of deliveries: what is in flight is waited for, within a limit."""

import asyncio
from collections.abc import Mapping
from typing import Any

from actors.mailbox.errors import JournalUnavailableError
from cluster.settling import hand_over, settle


class FakeMailboxes:
    """Queues that settle one message each time they are looked at, once they drain."""

    def __init__(self, in_flight: Mapping[str, int], *, unreachable: str = "", stuck: bool = False) -> None:
        self._in_flight, self._unreachable, self._stuck = dict(in_flight), unreachable, stuck
        self.drained: set[str] = set()
        self.stopped = False

    async def drain(self, queue: str) -> None:
        if queue == self._unreachable:
            raise JournalUnavailableError(queue, "its owner cannot be reached")
        self.drained.add(queue)

    async def stop(self) -> None:
        await asyncio.sleep(60 if self._stuck else 0)
        self.stopped = True

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        if not self._stuck:
            for queue in self.drained:
                self._in_flight[queue] = max(0, self._in_flight[queue] - 1)
        return {
            queue: {"state": "unreachable"} if queue == self._unreachable else {"in_flight": number}
            for queue, number in self._in_flight.items()
        }


async def test_every_queue_drains_and_what_is_in_flight_is_waited_for() -> None:
    mailboxes = FakeMailboxes({"inbound": 2, "outgoing": 3})

    left = await settle(mailboxes, ["inbound", "outgoing"], limit_s=5)

    assert left == 0
    assert mailboxes.drained == {"inbound", "outgoing"}


async def test_what_does_not_settle_is_left_after_the_limit_and_counted() -> None:
    mailboxes = FakeMailboxes({"inbound": 0, "outgoing": 3}, stuck=True)

    assert await settle(mailboxes, ["inbound", "outgoing"], limit_s=0.01) == 3


async def test_a_queue_whose_owner_is_gone_keeps_nobody_waiting() -> None:
    mailboxes = FakeMailboxes({"inbound": 7, "outgoing": 1}, unreachable="inbound")

    assert await settle(mailboxes, ["inbound", "outgoing"], limit_s=5) == 0
    assert mailboxes.drained == {"outgoing"}


async def test_the_owners_hand_their_partitions_over_within_a_limit() -> None:
    well, stuck = FakeMailboxes({}), FakeMailboxes({}, stuck=True)

    assert await hand_over(well, limit_s=5)
    assert not await hand_over(stuck, limit_s=0.01)

    assert (well.stopped, stuck.stopped) == (True, False)
