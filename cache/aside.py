"""Cache-aside: look here, then in the cache that all processes share, then at the source; and keep what was found.

A change is made known to all by ``forget`` and over the bus (``cache/bus.py``). What was being looked up meanwhile may
be from before it, and is kept nowhere.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

V = TypeVar("V")


class SharedCache(Protocol[V]):
    """What all processes share. It may be away: then it finds nothing and keeps nothing."""

    async def get(self, keys: Sequence[str]) -> Mapping[str, V | None]:
        """What is known; None stands for what is known not to be there."""

    async def put(self, values: Mapping[str, V | None]) -> None:
        """Keep for a while; but not what was forgotten a moment ago, for this may be from before."""

    async def forget(self, keys: Collection[str]) -> bool:
        """Drop. Returns whether that is sure."""


class AsidePolicy(NamedTuple):
    """How long and how much is kept in this process.

    Attributes:
        local_s: what was found.
        local_absent_s: that something is not there. Short, for it may be soon.
        local_deaf_s: anything, while changes are not heard of.
        local_size: keys at most; the least recently used go first.
        local_absent_size: keys of what is not there, which have a place of their own, so that whoever asks for what is
            not there does not drive out what is.
    """

    local_s: float = 60.0
    local_absent_s: float = 5.0
    local_deaf_s: float = 2.0
    local_size: int = 10_000
    local_absent_size: int = 2_000


Found = dict[str, V | None]


class CacheAside(Generic[V]):
    """Keeps what was found at a source, by key.

    Keys that are asked for while they are being looked up are not looked up again. Without the shared cache it works,
    only slower. Holds nothing that a crash could lose. For one event loop.

    Attributes:
        deaf: set while changes elsewhere are not heard of.
    """

    def __init__(
        self,
        fetch: Callable[[Sequence[str]], Awaitable[Mapping[str, V | None]]],
        shared: SharedCache[V] | None = None,
        *,
        policy: AsidePolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin empty.

        Args:
            fetch: asks the source for keys; leaves out those that could not be asked for now.
            shared: the cache of all processes, if there is one.
            policy: see there.
            clock: seconds that only go up.
        """
        self._fetch, self._shared, self._policy, self._clock = fetch, shared, policy, clock
        self._local: OrderedDict[str, tuple[float, V]] = OrderedDict()
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Found[V]]] = {}
        self.deaf = False

    async def get(self, keys: Collection[str]) -> Found[V]:
        """What there is under some keys; None for what is not there.

        Returns:
            An entry for each key, but for those that could not be looked up now.
        """
        found: Found[V] = {}
        wanted = []
        for key in dict.fromkeys(keys):
            known, value = self._recall(key)
            if known:
                found[key] = value
            else:
                wanted.append(key)
        if wanted:
            for flight in self._join(wanted):
                # Shielded: others wait for the same flight.
                landed = await asyncio.shield(flight)
                found.update((key, landed[key]) for key in wanted if key in landed)
        return found

    def drop(self, keys: Collection[str] | None = None, *, where: Callable[[V], bool] | None = None) -> None:
        """Drop from this process, for something has changed; what is on its way is not kept.

        Args:
            keys: which; None with no ``where`` means all.
            where: also the values of which this is true.
        """
        if keys is None and where is None:
            self._local.clear()
            self._absent.clear()
            self._flights.clear()
            return
        gone = {*(keys or ())}
        if where is not None:
            gone.update(key for key, (_, value) in self._local.items() if where(value))
            # What they will find is not known yet.
            self._flights.clear()
        for key in gone:
            self._local.pop(key, None)
            self._absent.pop(key, None)
            self._flights.pop(key, None)

    async def forget(self, keys: Collection[str]) -> bool:
        """Drop here and in the shared cache. Returns whether the latter is sure."""
        self.drop(keys)
        sure = True if self._shared is None else await self._shared.forget(keys)
        self.drop(keys)
        return sure

    def _recall(self, key: str) -> tuple[bool, V | None]:
        entry = self._local.get(key)
        if entry is None:
            return self._is_absent(key), None
        until, value = entry
        if until <= self._clock():
            del self._local[key]
            return False, None
        self._local.move_to_end(key)
        return True, value

    def _is_absent(self, key: str) -> bool:
        until = self._absent.get(key)
        if until is not None and until <= self._clock():
            del self._absent[key]
            return False
        return until is not None

    def _keep(self, values: Mapping[str, V | None]) -> None:
        now, policy = self._clock(), self._policy
        most_s = policy.local_deaf_s if self.deaf else policy.local_s
        for key, value in values.items():
            if value is None:
                self._local.pop(key, None)
                self._absent[key] = now + min(most_s, policy.local_absent_s)
                self._absent.move_to_end(key)
            else:
                self._absent.pop(key, None)
                self._local[key] = (now + most_s, value)
                self._local.move_to_end(key)
        while len(self._local) > policy.local_size:
            self._local.popitem(last=False)
        while len(self._absent) > policy.local_absent_size:
            self._absent.popitem(last=False)

    def _join(self, wanted: Sequence[str]) -> list["asyncio.Task[Found[V]]"]:
        fresh = [key for key in wanted if key not in self._flights]
        if fresh:
            flight = asyncio.get_running_loop().create_task(self._look_up(fresh))
            self._flights.update(dict.fromkeys(fresh, flight))
            flight.add_done_callback(lambda done: self._land(done, fresh))
        return list(dict.fromkeys(self._flights[key] for key in wanted))

    def _land(self, flight: "asyncio.Task[Found[V]]", keys: Sequence[str]) -> None:
        for key in keys:
            if self._flights.get(key) is flight:
                del self._flights[key]
        if not flight.cancelled():
            # Whoever waits gets the error; asking for it here keeps asyncio quiet when nobody waits any more.
            flight.exception()

    async def _look_up(self, wanted: Sequence[str]) -> Found[V]:
        found: Found[V] = {}
        if self._shared is not None:
            found.update(await self._shared.get(wanted))
        rest = [key for key in wanted if key not in found]
        if rest:
            read = await self._fetch(rest)
            found.update(read)
            if self._shared is not None:
                await self._shared.put(self._unchanged(read))
        self._keep(self._unchanged(found))
        return found

    def _unchanged(self, found: Mapping[str, V | None]) -> Mapping[str, V | None]:
        """Those that were not dropped since their look-up began."""
        ours = asyncio.current_task()
        return {key: value for key, value in found.items() if self._flights.get(key) is ours}
