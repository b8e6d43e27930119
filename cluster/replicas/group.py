"""The embedded servers of an instance with standbys: their folders and settings, and who of them is the primary."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from cluster.errors import DataFolderError, ServerStartError
from cluster.postgres import SOCKET_PORT, TUNING, PostgresServer
from cluster.postgres_access import password_of, socket_dsn
from cluster.replicas.asking import QUERIES, UNREACHED, Standing, session, standing
from cluster.replicas.making import Source, config_text, is_made, is_standby, write_owned, write_passfile
from cluster.replicas.member import Member
from cluster.replicas.roles import Roles, folder_name, write_roles

_POLL_S = 0.1


class Group:
    """Owns the roles of its members, and what each is launched with. All in one event loop.

    Whoever launches a member, its role is looked up in the same moment, without anything in between. So a primary that
    was fenced does not come back as one, however many tries to start it are under way.
    """

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        roles: Roles,
        *,
        environment: Mapping[str, str] | None = None,
        tuning: Mapping[str, str] | None = None,
        databases: Sequence[str] = (),
    ) -> None:
        """Write the roles down; start nothing.

        Args:
            data_dir: of the instance.
            run_dir: short and private, for the sockets.
            roles: of the members. A fence in them is of a promotion that was broken off before anybody was promoted.
            environment: of the servers.
            tuning: their settings.
            databases: made with the first server's files.
        """
        self._data_dir, self._passfile = data_dir, data_dir / "postgres.passfile"
        self.roles = roles._replace(fenced=False)
        # Told when a member has become something else, with what is to be shown of it; and what else is remarkable.
        self.told: Callable[[Member, str], None] = _tell_nobody
        self.remarks: Callable[[str], None] = _remark_to_nobody
        self.members: dict[int, Member] = {}
        self._one_at_a_time = asyncio.Lock()
        self._starts: Callable[[Member], Awaitable[str]] | None = None
        for number in roles.members:
            server = PostgresServer(
                data_dir,
                run_dir,
                TUNING if tuning is None else tuning,
                databases,
                environment,
                port=SOCKET_PORT + number - 1,
                name=folder_name(number),
                config=data_dir / f"{folder_name(number)}.conf",
            )
            member = Member(number, server, self._start)
            server.before_launch = lambda member=member: self._about_to_launch(member)
            self.members[number] = member
        write_roles(data_dir, self.roles)

    def starts(self, start: Callable[[Member], Awaitable[str]]) -> None:
        """Name what starts a member."""
        self._starts = start

    @property
    def parts(self) -> list[Member]:
        """The members, as parts of the instance."""
        return list(self.members.values())

    @property
    def primary(self) -> Member:
        """Who is the primary, or is about to be."""
        return self.members[self.roles.primary]

    @property
    def standbys(self) -> list[Member]:
        """The others."""
        return [self.members[number] for number in self.roles.standbys]

    @property
    def dsn(self) -> str:
        """The superuser's, of all members: whose primary is to be found there."""
        servers = [member.server for member in self.members.values()]
        hosts = ",".join(str(server.socket_dir) for server in servers)
        ports = ",".join(str(server.port) for server in servers)
        return socket_dsn(self._data_dir, "", hosts, ports)

    @property
    def is_new(self) -> bool:
        """Whether no member has files yet."""
        return not any(is_made(member.folder) for member in self.members.values())

    def set_roles(self, roles: Roles) -> None:
        """Write down who is what, then have it hold.

        Raises:
            DataFolderError: it cannot be written; all is as it was.
        """
        write_roles(self._data_dir, roles)
        self.roles = roles

    def lift_fence(self) -> None:
        """Let the primary go on, for nobody else was chosen. What stays written is lifted by the next start."""
        self.roles = self.roles._replace(fenced=False)
        try:
            write_roles(self._data_dir, self.roles)
        except DataFolderError as error:
            self.remarks(str(error))

    def source(self) -> Source:
        """The primary, for who copies it or follows it."""
        server = self.primary.server
        return Source(server.socket_dir, server.port, self._passfile)

    def write_config(self, member: Member) -> None:
        """Write the settings that a member needs in its role."""
        source = None if member is self.primary else self.source()
        others = [one.slot for one in self.members.values() if one is not member]
        assert member.server.config is not None
        text = config_text(member.folder / "postgresql.conf", source, member.slot, others)
        write_owned(member.server.config, text, member.run_as)

    async def primary_answers(self, limit_s: float) -> Standing:
        """Wait until the primary is one.

        Raises:
            ServerStartError: it was not in time.
        """
        reason = "no answer"
        deadline = asyncio.get_running_loop().time() + limit_s
        while True:
            try:
                said = await standing(self.primary.dsn)
                if not said.standby:
                    return said
                reason = "it is a standby still"
            except (*UNREACHED, ValueError) as error:
                reason = str(error) or reason
            if asyncio.get_running_loop().time() > deadline:
                raise ServerStartError(self.primary.name, f"a standby waits for it: {reason}")
            await asyncio.sleep(_POLL_S)

    async def keep_slots(self) -> None:
        """Have the primary keep for each standby what that has not had, and for nobody else."""
        wanted = {member.slot for member in self.standbys}
        async with self._one_at_a_time, session(self.primary.dsn) as connection:
            for row in await connection.fetch(QUERIES["slots"]):
                if row["slot_name"] not in wanted or row["wal_status"] == "lost":
                    if not row["active"]:
                        await connection.execute(QUERIES["drop_slot"], row["slot_name"])
                else:
                    wanted.discard(row["slot_name"])
            for slot in sorted(wanted):
                await connection.execute(QUERIES["make_slot"], slot)

    def follows(self, numbers: Sequence[int]) -> None:
        """Members are seen to follow the primary: what they have is what it had."""
        strayed = tuple(number for number in self.roles.strayed if number not in numbers)
        if strayed != self.roles.strayed:
            self.set_roles(self.roles._replace(strayed=strayed))

    async def _start(self, member: Member) -> str:
        assert self._starts is not None
        return await self._starts(member)

    def _about_to_launch(self, member: Member) -> None:
        """Nothing is awaited between this and the launch."""
        if member is self.primary:
            if self.roles.fenced:
                raise ServerStartError(member.name, "it is fenced, for another primary is being chosen")
        elif not is_standby(member.folder):
            raise ServerStartError(member.name, f"it is fenced: {self.primary.name} is the primary now")
        write_passfile(self._passfile, password_of(self._data_dir), member.run_as)
        self.write_config(member)


def _tell_nobody(member: Member, detail: str) -> None:
    """Nobody has asked to be told."""


def _remark_to_nobody(text: str) -> None:
    """Nobody has asked for remarks."""
