"""The directory: from a receiving phone number to its tenant, and where that lives."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.tenants.errors import DirectoryUnavailableError
from services.tenants.rows import DirectoryRows, UnitRunner
from services.tenants.tenant import Tenant

__all__ = ["DirectoryPolicy", "SharedCache", "Tenant", "TenantDirectory"]


class SharedCache(Protocol):
    """Found tenants that all processes share. It may be away: then it finds nothing and keeps nothing."""

    async def get(self, phone_number_ids: Sequence[str]) -> Mapping[str, Tenant | None]:
        """What is known; None stands for a number that is known to be nobody's."""

    async def put(self, tenants: Mapping[str, Tenant | None]) -> None:
        """Keep for a while."""

    async def forget(self, phone_number_ids: Collection[str]) -> None:
        """Drop."""


class DirectoryPolicy(NamedTuple):
    """How long and how much is kept in this process.

    Attributes:
        local_s: a tenant. A move is known everywhere after so long.
        local_absent_s: that a number is nobody's. Short, for it may be somebody's soon.
        local_size: numbers at most; the least recently used go first.
        step_s: patience for the shards, for each of the three steps of a look-up.
    """

    local_s: float = 60.0
    local_absent_s: float = 5.0
    local_size: int = 10_000
    step_s: float = 2.0


_Found = dict[str, Tenant | None]


class TenantDirectory:
    """Finds tenants by phone number: in this process, then in the shared cache, then on the shards.

    Numbers that are asked for while they are being looked up are not looked up again. Without the shared cache it
    works, only slower. For one event loop.
    """

    def __init__(
        self,
        shards: UnitRunner,
        shared: SharedCache | None = None,
        *,
        policy: DirectoryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared, self._clock = shared, clock
        self._policy = DirectoryPolicy() if policy is None else policy
        self._rows = DirectoryRows(shards, step_s=self._policy.step_s)
        self._local: OrderedDict[str, tuple[float, Tenant | None]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Found]] = {}

    async def by_phone(self, phone_number_id: str) -> Tenant | None:
        """The tenant that a number belongs to; None if it is nobody's.

        Raises:
            DirectoryUnavailableError: it could not be looked up now.
        """
        return (await self.by_phones((phone_number_id,)))[phone_number_id]

    async def by_phones(self, phone_number_ids: Collection[str]) -> Mapping[str, Tenant | None]:
        """The tenants of several numbers; None for a number that is nobody's. Every number asked for is a key.

        Raises:
            DirectoryUnavailableError: some could not be looked up now; it carries those that could.
        """
        found: _Found = {}
        wanted = []
        for phone_number_id in dict.fromkeys(phone_number_ids):
            known, tenant = self._recall(phone_number_id)
            if known:
                found[phone_number_id] = tenant
            else:
                wanted.append(phone_number_id)
        if wanted:
            for flight in self._join(wanted):
                # Shielded: others wait for the same flight.
                landed = await asyncio.shield(flight)
                found.update((number, landed[number]) for number in wanted if number in landed)
        missing = frozenset(wanted).difference(found)
        if missing:
            raise DirectoryUnavailableError(missing, found)
        return found

    async def forget(self, phone_number_ids: Collection[str]) -> None:
        """Drop numbers here and in the shared cache, after their rows have changed."""
        for phone_number_id in phone_number_ids:
            self._local.pop(phone_number_id, None)
        if self._shared is not None:
            await self._shared.forget(phone_number_ids)

    def _recall(self, phone_number_id: str) -> tuple[bool, Tenant | None]:
        entry = self._local.get(phone_number_id)
        if entry is None:
            return False, None
        until, tenant = entry
        if until <= self._clock():
            del self._local[phone_number_id]
            return False, None
        self._local.move_to_end(phone_number_id)
        return True, tenant

    def _keep(self, tenants: Mapping[str, Tenant | None]) -> None:
        now = self._clock()
        for phone_number_id, tenant in tenants.items():
            kept_s = self._policy.local_absent_s if tenant is None else self._policy.local_s
            self._local[phone_number_id] = (now + kept_s, tenant)
            self._local.move_to_end(phone_number_id)
        while len(self._local) > self._policy.local_size:
            self._local.popitem(last=False)

    def _join(self, wanted: Sequence[str]) -> list[asyncio.Task[_Found]]:
        fresh = [number for number in wanted if number not in self._flights]
        if fresh:
            flight = asyncio.create_task(self._look_up(fresh))
            self._flights.update(dict.fromkeys(fresh, flight))
            flight.add_done_callback(lambda done: self._land(done, fresh))
        return list(dict.fromkeys(self._flights[number] for number in wanted))

    def _land(self, flight: asyncio.Task[_Found], numbers: Sequence[str]) -> None:
        for number in numbers:
            del self._flights[number]
        if not flight.cancelled():
            # Whoever waits gets the error; asking for it here keeps asyncio quiet when nobody waits any more.
            flight.exception()

    async def _look_up(self, wanted: Sequence[str]) -> _Found:
        found: _Found = {}
        if self._shared is not None:
            found.update(await self._shared.get(wanted))
        rest = [number for number in wanted if number not in found]
        if rest:
            read = await self._rows.read(rest)
            found.update(read)
            if self._shared is not None:
                await self._shared.put(read)
        self._keep(found)
        return found
