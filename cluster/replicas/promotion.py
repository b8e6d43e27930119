"""``spaza cluster promote``: makes the standby that has most the primary, with the old one fenced before."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from cluster.errors import PromotionFailedError, PromotionRefusedError
from cluster.parts import end
from cluster.replicas.asking import UNREACHED, Standing, followers, in_words, standing
from cluster.replicas.choice import Asked, chosen, position_text
from cluster.replicas.group import Group
from cluster.replicas.member import Member
from cluster.replicas.starting import primary_in_words, promoted, standby_in_words

_STOP_LIMIT_S, _END_LIMIT_S = 10.0, 5.0
# For what a standby has on its disk to be read after it lost its primary.
_SETTLE_LIMIT_S, _SETTLE_S = 10.0, 0.15
_FOLLOW_LIMIT_S = 10.0
_POLL_S = 0.05


class Promotion:
    """Promotes, one at a time.

    The order is what keeps commits: nothing is touched before all standbys were asked; the primary is fenced in the
    data folder and its processes are ended before it is asked for good how far each is; who is to be the primary is
    written down before it is promoted. Broken off before that, nothing has changed; after it, the next start ends it.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._under_way = False

    async def run(self, *, switchover: bool, force: bool) -> dict[str, Any]:
        """Promote.

        Args:
            switchover: though the primary is well; it is ended in good order before.
            force: though it is not known of a standby how far it is; a commit that it alone has is lost.

        Returns:
            ``promoted`` and ``former``, the names of the parts; ``received_lsn`` and what each of the ``standbys`` had;
            ``timeline``, ``following`` and ``seconds``.

        Raises:
            PromotionRefusedError: nothing has changed.
            PromotionFailedError: the standby is chosen and could not be promoted yet.
        """
        if self._under_way:
            raise PromotionRefusedError("a promotion is under way", "Wait for it")
        self._under_way = True
        try:
            return await self._run(switchover=switchover, force=force)
        finally:
            self._under_way = False

    async def _run(self, *, switchover: bool, force: bool) -> dict[str, Any]:
        started, group, former = time.monotonic(), self._group, self._group.primary
        found = await _asked(former.dsn)
        if isinstance(found, Standing) and found.standby:
            # Chosen before, and not promoted.
            return await self._promote(former, former, (), started)
        well = isinstance(found, Standing) and not found.standby
        if well and not switchover:
            took_ms = (time.monotonic() - started) * 1000
            raise PromotionRefusedError(
                f"{former.name} is the primary, runs (pid {former.server.pid}) and answered in {took_ms:.0f} ms",
                "Promote with --switchover to change to a standby all the same; the primary is ended in good order "
                "first",
            )
        chosen(await self._ask_all(_has_read), force=force)
        group.set_roles(group.roles._replace(fenced=True))
        try:
            if well:
                await end(former.process, signal.SIGINT, timeout_s=_STOP_LIMIT_S, last=signal.SIGQUIT)
            await _end_for_good(former)
            asked = await self._ask_all(Asked.is_settled)
            best = group.members[chosen(asked, force=force).number]
            others = tuple(number for number in group.members if number != best.number)
            group.set_roles(group.roles._replace(primary=best.number, fenced=False, strayed=others))
        except BaseException:
            # Nobody was promoted, so the old primary may go on.
            group.lift_fence()
            raise
        return await self._promote(best, former, asked, started)

    async def _promote(
        self, best: Member, former: Member, asked: "tuple[Asked, ...] | list[Asked]", started: float
    ) -> dict[str, Any]:
        group = self._group
        try:
            await promoted(best)
            await group.keep_slots()
            found = await standing(best.dsn)
        except UNREACHED as error:
            raise PromotionFailedError(best.name, in_words(error)) from error
        group.told(best, primary_in_words(best))
        for member in group.standbys:
            group.write_config(member)
            member.reread()
            if member is not former:
                group.told(member, standby_in_words(member, best))
        following = await self._following()
        await self._start_again([one for one in group.standbys if one is not former and one.name not in following])
        return {
            "promoted": best.name,
            "former": former.name,
            "timeline": found.timeline,
            "standbys": [
                {
                    "name": one.name,
                    "received_lsn": None if one.received is None else position_text(one.received),
                    "reason": one.doubt,
                }
                for one in asked
            ],
            "following": following,
            "seconds": round(time.monotonic() - started, 3),
        }

    async def _following(self) -> list[str]:
        """Who follows the new primary. Commits wait for one; those that were running take a moment."""
        group, deadline = self._group, time.monotonic() + _FOLLOW_LIMIT_S
        running = [member for member in group.standbys if member.process is not None and member.process.poll() is None]
        following: list[Member] = []
        while len(following) < len(running) and time.monotonic() < deadline:
            with suppress(*UNREACHED):
                streaming = {name for name, one in (await followers(group.primary.dsn)).items() if one.streaming}
                following = [member for member in running if member.slot in streaming]
                group.follows([member.number for member in following])
            await asyncio.sleep(_POLL_S)
        return [member.name for member in following]

    async def _start_again(self, members: list[Member]) -> None:
        """End those that run and do not follow; as they are started again they are made anew if it has to be."""
        for member in members:
            self._group.remarks(f"{member.name} does not follow {self._group.primary.name}; it is started again.")
        stops = (end(one.process, signal.SIGINT, timeout_s=1.0, last=signal.SIGQUIT) for one in members)
        await asyncio.gather(*stops)

    async def _ask(self, member: Member) -> Asked:
        found = await _asked(member.dsn)
        strayed = member.number in self._group.roles.strayed
        if isinstance(found, Standing):
            return Asked(member.number, member.name, found.received, "", strayed, found.reading)
        return Asked(member.number, member.name, None, found, strayed)

    async def _ask_all(self, is_enough: Callable[[Asked, Asked | None], bool]) -> list[Asked]:
        """Ask each standby until it has said enough, as far as there is time; what it said at last."""
        return list(await asyncio.gather(*(self._asked_until(member, is_enough) for member in self._group.standbys)))

    async def _asked_until(self, member: Member, is_enough: Callable[[Asked, Asked | None], bool]) -> Asked:
        deadline, before = time.monotonic() + _SETTLE_LIMIT_S, None
        while True:
            said = await self._ask(member)
            if is_enough(said, before) or time.monotonic() > deadline:
                return said
            before = said
            await asyncio.sleep(_SETTLE_S)


def _has_read(said: Asked, _before: Asked | None) -> bool:
    return not said.reading


async def _asked(dsn: str) -> Standing | str:
    """What a server says of itself, or why it says nothing."""
    try:
        return await standing(dsn)
    except UNREACHED as error:
        return in_words(error)


async def _end_for_good(member: Member) -> None:
    """End every process of a server, also those that go on when the first of them is killed.

    Raises:
        PromotionRefusedError: something goes on.
    """
    deadline = time.monotonic() + _END_LIMIT_S
    while True:
        if member.process is not None and member.process.poll() is None:
            member.process.kill()
        running = await asyncio.to_thread(member.running)
        if not running and (member.process is None or member.process.poll() is not None):
            return
        for one in running:
            with suppress(psutil.Error):
                one.kill()
        if time.monotonic() > deadline:
            pids = ", ".join(str(one.pid) for one in running)
            raise PromotionRefusedError(f"{member.name} could not be ended (processes {pids})", "End them")
        await asyncio.sleep(_POLL_S)
