"""The heartbeat of a consumer, on a mailbox of its own."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from actors.mailbox.errors import JournalUnavailableError
from actors.mailbox.handle import MailboxHandle
from actors.mailbox.heartbeat import Heartbeat
from actors.mailbox.message import Delivery, Message
from config.topology import Topology


def delivery(tag: int) -> Delivery:
    return Delivery(Message(str(tag), "k", "t", b"", {}, 0.0), "q", 0, tag, tag, 1, False)


class Mailboxes:
    """Holds what it is told to, and notes each beat."""

    def __init__(self) -> None:
        self.lost: set[int] = set()
        self.away = False
        self.beats: list[list[int]] = []

    async def extend(self, deliveries: Sequence[Delivery], lease_s: float) -> list[Delivery]:
        self.beats.append([one.tag for one in deliveries])
        if self.away:
            raise JournalUnavailableError("q", "away")
        return [one for one in deliveries if one.tag not in self.lost]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


async def test_it_beats_as_long_as_the_work_lasts_and_for_what_is_left_of_it() -> None:
    mailboxes, one, two = Mailboxes(), delivery(1), delivery(2)

    async with Heartbeat(mailboxes, [one, two], lease_s=0.006) as heartbeat:
        assert mailboxes.beats == [[1, 2]], "before the work begins"
        heartbeat.done(one)
        await until(lambda: mailboxes.beats[-1] == [2])
    beats = len(mailboxes.beats)
    await asyncio.sleep(0.01)

    assert len(mailboxes.beats) == beats


async def test_it_says_what_is_lost_but_not_for_a_beat_that_failed() -> None:
    mailboxes, one, two = Mailboxes(), delivery(1), delivery(2)
    mailboxes.away = True

    async with Heartbeat(mailboxes, [one, two], lease_s=0.006) as heartbeat:
        await until(lambda: len(mailboxes.beats) > 2)
        assert heartbeat.holds(one)
        mailboxes.away, mailboxes.lost = False, {2}
        await until(lambda: not heartbeat.holds(two))
        assert heartbeat.holds(one)


@pytest.mark.parametrize("lease_s", [0.0, -1.0, 3601.0, float("nan")])
async def test_a_lease_of_no_time_or_of_more_than_an_hour_is_refused(lease_s: float) -> None:
    handle = MailboxHandle(Topology.model_validate({"exchanges": {}, "queues": {}}))

    with pytest.raises(ValueError, match="lease_s"):
        await handle.extend([], lease_s)
