"""Telling every process that something of a tenant has changed, and going on until it is said."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, Self

from cache.bus import BusTimes, Envelope, Subscription, publish
from cache.connection import RedisConnection
from cache.errors import RedisAwayError
from kernel.growth import growing_s
from telemetry.log import get_logger

CHANNEL: Final = "tenant:changed"
# Between two tries to say what is owed: at first, and at most.
FIRST_S, _LONGEST_S = 0.5, 15.0
# As long as Redis keeps a tenant at most; then nobody has anything old any more.
_OWED_S = 4_000.0
_log = get_logger("directory")


class TenantChange(NamedTuple):
    """What is not to be believed any more.

    Attributes:
        tenant_id: whose; empty where it is not known.
        phone_numbers: ids of numbers.
        kids: of credentials.
    """

    tenant_id: str
    phone_numbers: tuple[str, ...] = ()
    kids: tuple[str, ...] = ()

    def with_that_of(self, later: "TenantChange") -> "TenantChange":
        """One change that says what both say, of the same tenant."""
        numbers = dict.fromkeys((*self.phone_numbers, *later.phone_numbers))
        return TenantChange(self.tenant_id, tuple(numbers), tuple(dict.fromkeys((*self.kids, *later.kids))))

    @classmethod
    def read(cls, data: Any) -> Self:
        """From a message.

        Raises:
            TypeError: it is something else.
        """
        if not isinstance(data, Mapping):
            raise TypeError("not an object")
        lists = [data.get(name, []) for name in ("phone_numbers", "kids")]
        if not all(isinstance(one, list) for one in lists):
            raise TypeError("phone_numbers and kids are lists")
        return cls(str(data.get("tenant_id", "")), *(tuple(map(str, one)) for one in lists))


class ChangeBus(Protocol):
    """Where changes are said and heard."""

    def listen(
        self, heard: Callable[[TenantChange], None], *, began: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Listen from now on; see ``cache.bus.Subscription``."""

    async def say(self, change: TenantChange) -> bool:
        """Tell all. Returns whether that is sure."""

    @property
    def noticed_s(self) -> float:
        """Seconds after which a change that could not be said is believed by nobody, for all have noticed."""


class RedisChangeBus:
    """Says and hears changes over Redis. For one event loop; ends with its connection."""

    def __init__(self, connection: RedisConnection, *, times: BusTimes | None = None) -> None:
        self._connection, self._times = connection, BusTimes() if times is None else times

    @property
    def noticed_s(self) -> float:
        return self._times.noticed_s

    def listen(
        self, heard: Callable[[TenantChange], None], *, began: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        """Listen until the connection is closed."""

        def hear(envelope: Envelope) -> None:
            try:
                change = TenantChange.read(envelope.data)
            except TypeError as error:
                # What it was about is not known, so all of it may be.
                _log.warning("change_not_understood", error=str(error))
                lost()
                began()
                return
            heard(change)

        Subscription(self._connection, CHANNEL, heard=hear, began=began, lost=lost, times=self._times)

    async def say(self, change: TenantChange) -> bool:
        """Tell all who listen. False if Redis is away; then who listened notices, and who begins to has dropped all."""
        try:
            await publish(self._connection, CHANNEL, change._asdict())
        except RedisAwayError:
            return False
        return True


class _Owed(NamedTuple):
    """A change that is not said yet, and until when anybody may believe the old."""

    change: TenantChange
    until: float


class Insistence:
    """Says changes again until that is sure, in the background, for as long as anybody may believe the old.

    It is one task, whatever is owed; what is owed of a tenant is one change. What it still owes is lost with the
    process. For one event loop.
    """

    def __init__(self, say: Callable[[TenantChange], Awaitable[bool]], *, first_s: float = FIRST_S) -> None:
        """Take what it needs.

        Args:
            say: says a change, and returns whether that is sure.
            first_s: before the first try; the pauses grow from there.
        """
        self._say, self._first_s = say, first_s
        # By tenant; what was owed longest first.
        self._owed: dict[str, _Owed] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self, change: TenantChange) -> None:
        """Go on with a change that could not be said."""
        loop = asyncio.get_running_loop()
        if (owed := self._owed.pop(change.tenant_id, None)) is not None:
            change = owed.change.with_that_of(change)
        self._owed[change.tenant_id] = _Owed(change, loop.time() + _OWED_S)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._insist())

    async def aclose(self) -> None:
        """Give up what is still owed."""
        self._owed.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _insist(self) -> None:
        times = 0
        while self._owed:
            times += 1
            await asyncio.sleep(growing_s(times, self._first_s, _LONGEST_S))
            self._give_up_old(asyncio.get_running_loop().time())
            for owed in list(self._owed.values()):
                if not await self._is_said(owed.change):
                    break
                _log.info("change_said_late", tenant_id=owed.change.tenant_id, tries=times)
                # Unless more of that tenant has changed in this moment.
                if self._owed.get(owed.change.tenant_id) is owed:
                    del self._owed[owed.change.tenant_id]

    async def _is_said(self, change: TenantChange) -> bool:
        try:
            return await self._say(change)
        except Exception:  # noqa: BLE001 - whatever it was, what else is owed is not to be lost with it
            _log.exception("change_not_said", tenant_id=change.tenant_id)
            return False

    def _give_up_old(self, now: float) -> None:
        for owed in [one for one in self._owed.values() if one.until <= now]:
            _log.error("change_never_said", tenant_id=owed.change.tenant_id)
            del self._owed[owed.change.tenant_id]

    def __len__(self) -> int:
        return len(self._owed)
