"""The directory: from a receiving phone number to its tenant, from a credential to its, and where that lives."""

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.shards.unit import UnitRunner
from cache.aside import AsidePolicy, CacheAside, SharedCache
from services.tenants.announcing import FIRST_S, ChangeBus, Insistence, TenantChange
from services.tenants.errors import CredentialUnavailableError, DirectoryUnavailableError
from services.tenants.rows import DirectoryRows
from services.tenants.strangers import StrangerPolicy, Strangers
from services.tenants.tenant import Credential, Tenant

__all__ = ["Credential", "DirectoryPolicy", "SharedTenants", "Tenant", "TenantDirectory"]


# Callers name them, so nothing else gets as far as a cache.
_KID = re.compile(r"[0-9a-f]{32}")
# Between tries to say what somebody waits for.
_AGAIN_S = 1.0


class SharedTenants(SharedCache[Tenant], Protocol):
    """Found tenants that all processes share, by phone number; and credentials, by kid."""

    @property
    def credentials(self) -> SharedCache[Credential]:
        """Those by kid."""


class DirectoryPolicy(NamedTuple):
    """How long and how much is kept in this process.

    Attributes:
        local_s: a tenant or a credential.
        local_absent_s: that a number is nobody's. Short, for it may be somebody's soon.
        local_deaf_s: anything, while changes are not heard of.
        local_size: numbers at most, and kids; the least recently used go first.
        step_s: patience for the shards, for each of the three steps of a look-up.
        strangers: how many made-up credentials are looked up.
        say_again_s: after which a change that could not be said is said again, and then ever less often.
        listens_s: how long look-ups wait, once, until changes are heard of: what is found before is kept nowhere.
    """

    local_s: float = 60.0
    local_absent_s: float = 5.0
    local_deaf_s: float = 2.0
    local_size: int = 10_000
    step_s: float = 2.0
    strangers: StrangerPolicy = StrangerPolicy()
    say_again_s: float = FIRST_S
    listens_s: float = 0.5


class TenantDirectory:
    """Finds tenants by phone number and by credential: in this process, then in the shared cache, then on the shards.

    What changes is said to all over the bus, by ``forget``, and then believed nowhere any more. When the bus is lost,
    all that is kept here is dropped, and what is found from then on is kept for moments. Without bus or shared cache it
    works, and a change is seen after ``local_s``. For one event loop.
    """

    def __init__(
        self,
        shards: UnitRunner,
        shared: SharedTenants | None = None,
        *,
        bus: ChangeBus | None = None,
        policy: DirectoryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        policy = DirectoryPolicy() if policy is None else policy
        self._rows = DirectoryRows(shards, step_s=policy.step_s)
        kept = AsidePolicy(policy.local_s, policy.local_absent_s, policy.local_deaf_s, policy.local_size)
        self._phones = CacheAside(self._rows.read, shared, policy=kept, clock=clock)
        self._strangers, self._clock = Strangers(policy.strangers, clock()), clock
        self._kids = CacheAside(
            self._read_credentials, None if shared is None else shared.credentials, policy=kept, clock=clock
        )
        self._bus, self._wall_clock, self._listens_s = bus, wall_clock, policy.listens_s
        self._listens: asyncio.Event | None = None
        self._insistence = Insistence(self._say, first_s=policy.say_again_s)

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
        await self._listen()
        found = await self._phones.get(phone_number_ids)
        missing = frozenset(phone_number_ids).difference(found)
        if missing:
            raise DirectoryUnavailableError(missing, found)
        return found

    async def by_credential(self, kid: str) -> Credential | None:
        """The credential of this name, with its secret still sealed; None if there is none that holds now.

        None too for one that has expired, and for one whose tenant is being made or removed. A suspended tenant's is
        found: who asks looks at its state.

        Raises:
            CredentialUnavailableError: it could not be looked up now, or too many are that nobody has.
        """
        if _KID.fullmatch(kid) is None:
            return None
        await self._listen()
        found = await self._kids.get((kid,))
        if kid not in found:
            raise CredentialUnavailableError(kid)
        credential = found[kid]
        if credential is None:
            return None
        self._strangers.found(kid)
        if credential.expires_at is not None and credential.expires_at <= self._wall_clock():
            return None
        return credential

    async def _read_credentials(self, kids: Sequence[str]) -> Mapping[str, Credential | None]:
        """Those of the shards, without the made-up ones beyond what there is for those."""
        now = self._clock()
        admitted = [kid for kid in kids if self._strangers.admit(kid, now)]
        return await self._rows.read_credentials(admitted) if admitted else {}

    async def forget(
        self, phone_number_ids: Collection[str], *, kids: Collection[str] = (), tenant_id: str = "", waits: bool = False
    ) -> None:
        """Have nobody believe these any more, in any process, after their rows have changed.

        With Redis away it is done here, and elsewhere in the background as soon as Redis is back; until then the
        other processes, as soon as they notice, drop all and keep what they find for moments.

        Args:
            phone_number_ids: the numbers.
            kids: the credentials.
            tenant_id: drops what is found under any other number or credential of this tenant too, but in Redis.
            waits: return when nobody believes them, which takes some seconds where Redis is away: until it was said
                after all, or everybody must have noticed that nothing is heard.
        """
        change = TenantChange(tenant_id, tuple(phone_number_ids), tuple(kids))
        self._drop(change)
        if not (await self._say(change) or (waits and await self._say_late(change))):
            self._insistence.begin(change)

    async def forget_tenant(self, tenant_id: str, *, waits: bool = False) -> None:
        """Forget all numbers and credentials of a tenant, as ``forget`` does.

        Raises:
            ShardError: they could not be looked up, and nothing was forgotten.
        """
        numbers, kids = await self._rows.names_of(tenant_id)
        await self.forget(numbers, kids=kids, tenant_id=tenant_id, waits=waits)

    async def _say_late(self, change: TenantChange) -> bool:
        """Say it again until it is sure, or everybody has noticed that nothing can be. Returns whether it is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (0.0 if self._bus is None else self._bus.noticed_s)
        while loop.time() < until:
            await asyncio.sleep(_AGAIN_S)
            if await self._say(change):
                return True
        return False

    async def aclose(self) -> None:
        """Say no more what could not be said; before the connection is closed that it would be said on."""
        await self._insistence.aclose()

    async def _say(self, change: TenantChange) -> bool:
        # First those in Redis, so that who hears of it finds nothing old there.
        sure = await self._phones.forget(change.phone_numbers) & await self._kids.forget(change.kids)
        return (self._bus is None or await self._bus.say(change)) and sure

    def _drop(self, change: TenantChange) -> None:
        def of_it(found: Tenant | Credential) -> bool:
            return found.tenant_id == change.tenant_id

        self._phones.drop(change.phone_numbers, where=of_it if change.tenant_id else None)
        self._kids.drop(change.kids, where=of_it if change.tenant_id else None)

    async def _listen(self) -> None:
        """Begin with the first look-up, for it needs the event loop."""
        if self._bus is None:
            return
        if self._listens is None:
            self._listens = asyncio.Event()
            asyncio.get_running_loop().call_later(self._listens_s, self._listens.set)
            self._turn(deaf=True)
            self._bus.listen(self._drop, began=self._began, lost=lambda: self._turn(deaf=True))
        await self._listens.wait()

    def _began(self) -> None:
        self._turn(deaf=False)
        if self._listens is not None:
            self._listens.set()

    def _turn(self, *, deaf: bool) -> None:
        for kept in (self._phones, self._kids):
            kept.deaf = deaf
            # On beginning too: what was found while nothing was heard may be old.
            kept.drop()
