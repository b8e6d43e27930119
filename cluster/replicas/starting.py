"""Starts the members of a group: the primary, its standbys, and a former primary as a standby of the one after it."""

import asyncio
import signal

from cluster.errors import ServerStartError
from cluster.parts import end
from cluster.replicas.asking import QUERIES, UNREACHED, followers, in_words, session, standing
from cluster.replicas.group import Group
from cluster.replicas.making import copy, is_made, is_standby, refuse_missing, rewind
from cluster.replicas.member import Member

_START_LIMIT_S, _PRIMARY_LIMIT_S, _PROMOTE_LIMIT_S = 60.0, 60.0, 30
# For a standby that neither receives nor replays anything though its primary runs.
_FOLLOW_LIMIT_S = 20.0
_POLL_S = 0.1


class Starting:
    """Starts any member in the role that it has, again and again."""

    def __init__(self, group: Group) -> None:
        self._group = group
        group.starts(self.start)

    async def start(self, member: Member) -> str:
        """Start a member, and say what it is.

        Raises:
            ServerStartError: it did not come up.
        """
        while self._group.roles.fenced and member is self._group.primary:  # noqa: ASYNC110 - looked at again
            # It was ended so that another can be chosen; when that is done it is somebody's standby, or goes on.
            await asyncio.sleep(_POLL_S)
        return await (self._primary(member) if member is self._group.primary else self._standby(member))

    async def _primary(self, member: Member) -> str:
        if not self._group.is_new:
            refuse_missing(member.folder, member.name)
        await asyncio.to_thread(member.server.prepare)
        try:
            await _come_up(member)
        except ServerStartError as error:
            if self._group.roles.fenced or member is not self._group.primary:
                raise ServerStartError(member.name, "it was ended, for another becomes the primary") from error
            raise
        try:
            if (await standing(member.dsn)).standby:
                # It was to be promoted when everything ended.
                await promoted(member)
            await self._group.keep_slots()
        except UNREACHED as error:
            raise ServerStartError(member.name, in_words(error), member.server.log_path) from error
        return primary_in_words(member)

    async def _standby(self, member: Member) -> str:
        await asyncio.to_thread(member.server.prepare, make=False)
        if not is_made(member.folder):
            await self._copied(member)
        elif not is_standby(member.folder):
            await self._rewound(member)
        try:
            await _come_up(member)
        except ServerStartError as error:
            if member is self._group.primary:
                raise
            self._group.remarks(f"{error} It is made anew from {self._group.primary.name}.")
            await self._copied(member)
            await _come_up(member)
        await self._drop_own_slots(member)
        if not await self._follows(member):
            primary = self._group.primary.name
            self._group.remarks(f"{member.name} cannot follow {primary} from where it is; it is made anew.")
            await end(member.process, signal.SIGINT, timeout_s=5.0, last=signal.SIGQUIT)
            await self._copied(member)
            await _come_up(member)
            if not await self._follows(member):
                raise ServerStartError(member.name, "it does not follow its primary", member.server.log_path)
        return standby_in_words(member, self._group.primary)

    async def _rewound(self, member: Member) -> None:
        """It was the primary. What it alone has, nobody was told to be committed."""
        await self._primary_is_ready()
        config = member.server.config
        assert config is not None
        self._group.write_config(member)
        self._group.told(member, f"is turned back to follow {self._group.primary.name}")
        try:
            async with session(self._group.primary.dsn) as connection:
                # So that its files say which log it writes now.
                await connection.execute("CHECKPOINT")
            await asyncio.to_thread(rewind, self._group.source(), member.folder, config, member.run_as)
            self._group.remarks(f"{member.name}, the primary before, was turned back to where it left the log.")
        except (ServerStartError, *UNREACHED) as error:
            self._group.remarks(f"{member.name}, the primary before, cannot be turned back ({error}); it is made anew.")
            await self._copied(member)

    async def _copied(self, member: Member) -> None:
        await self._primary_is_ready()
        if member is self._group.primary:
            raise ServerStartError(member.name, "it has become the primary meanwhile")
        self._group.told(member, f"is copied from {self._group.primary.name}")
        await asyncio.to_thread(copy, self._group.source(), member.folder, member.slot, member.run_as)

    async def _primary_is_ready(self) -> None:
        await self._group.primary_answers(_PRIMARY_LIMIT_S)
        try:
            await self._group.keep_slots()
        except UNREACHED as error:
            raise ServerStartError(self._group.primary.name, in_words(error)) from error

    async def _drop_own_slots(self, member: Member) -> None:
        """Those that it had as a primary would keep its log for ever."""
        try:
            async with session(member.dsn) as connection:
                for row in await connection.fetch(QUERIES["slots"]):
                    if not row["active"]:
                        await connection.execute(QUERIES["drop_slot"], row["slot_name"])
        except UNREACHED as error:
            self._group.remarks(f"{member.name} keeps more of its log than it needs to: {in_words(error)}.")

    async def _follows(self, member: Member) -> bool:
        """Whether it streams from the primary before it has stood still for long; also where the primary is away."""
        group, loop = self._group, asyncio.get_running_loop()
        replayed, deadline = 0, loop.time() + _FOLLOW_LIMIT_S
        while loop.time() < deadline:
            if member is group.primary:
                return True
            try:
                found = (await followers(group.primary.dsn)).get(member.slot)
            except UNREACHED:
                return True
            if found is not None and found.streaming:
                group.follows([member.number])
                return True
            try:
                now = (await standing(member.dsn)).replayed
            except UNREACHED as error:
                raise ServerStartError(member.name, in_words(error), member.server.log_path) from error
            if now > replayed:
                replayed, deadline = now, loop.time() + _FOLLOW_LIMIT_S
            await asyncio.sleep(_POLL_S)
        return False


def primary_in_words(member: Member) -> str:
    """What is shown of it."""
    return f"primary, {member.server.socket_dir} port {member.server.port}"


def standby_in_words(member: Member, primary: Member) -> str:
    """What is shown of it."""
    return f"standby of {primary.name}, {member.server.socket_dir} port {member.server.port}"


async def promoted(member: Member) -> None:
    """Make a standby that runs the primary. Raises what is in ``UNREACHED``."""
    async with session(member.dsn) as connection:
        if not await connection.fetchval(QUERIES["promote"], _PROMOTE_LIMIT_S):
            raise TimeoutError(f"{member.name} was not promoted in {_PROMOTE_LIMIT_S} s")


async def _come_up(member: Member) -> None:
    for pause_s in member.server.coming_up(timeout_s=_START_LIMIT_S):
        await asyncio.sleep(pause_s)
