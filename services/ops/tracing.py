"""Where is my message? Asks all shards at once, within a deadline, and says which of them did not answer."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from actors.mailbox.exchange import shard_of_partition
from actors.mailbox.message import CAUSATION_ID
from actors.mailbox.redriven import plain_id, stored_ids
from actors.shards.placement import SHARDS
from actors.shards.unit import UnitCall
from config.topology import Topology
from gateway.api import RefusedError
from services.ops import store
from services.ops.audit import Shards
from services.ops.schemas import TraceQuery
from services.ops.store import OutgoingState, TracedRow
from services.ops.trail import trails

_STEP_S = 5.0
_STATUSES = ("sent", "delivered", "read", "failed")
# What a message caused is published soon after it came, or was put back.
_SOON_S = 900.0
_MOST_CAUSED = 100


class _Found(NamedTuple):
    values: list[Any]
    missing: set[int]


class _Search(NamedTuple):
    """One search.

    Attributes:
        missing: shards that did not answer.
        places: queue and partition of all that a message may stand in.
    """

    missing: set[int]
    places: set[tuple[str, int]]


class Tracer:
    """Traces messages over the journals of all shards. Holds nothing."""

    def __init__(self, shards: Shards, topology: Topology) -> None:
        self._shards, self._topology = shards, topology

    async def trace(self, query: TraceQuery) -> dict[str, Any]:
        """The trails of the messages that the query names, and of those that they caused.

        Returns:
            ``messages``, ``caused``, ``missing_shards`` and ``complete``. No message is found where nothing is known
            of it, any more: what is settled is kept for seven days.

        Raises:
            RefusedError: it names none, or more than one.
        """
        if len(query.named) != 1:
            choice = (("message_id", "give one of message_id, wamid, order_id, correlation_id"),)
            raise RefusedError(400, "Name the message in one way", choice)
        [(way, value)] = query.named
        search = _Search(set(), self._declared())
        # Messages stay where they ended, though the queue has fewer partitions now.
        search.places.update(self._with_letters(await self._everywhere(store.PARTITIONS_SEEN, None, search)))
        ids = await self._ids(way, value, query, search)
        rows = await self._rows(ids, search)
        caused = await self._caused(rows, search) if way in {"message_id", "wamid"} else []
        states = await self._states([*rows, *caused], search)
        return {
            "messages": trails(rows, self._topology, states, unmasked=query.unmasked),
            "caused": trails(caused, self._topology, states, unmasked=query.unmasked),
            "missing_shards": sorted(search.missing),
            "complete": not search.missing,
        }

    async def _ids(self, way: str, value: str, query: TraceQuery, search: _Search) -> list[str]:
        if way == "message_id":
            return [value]
        if way == "wamid":
            return await self._of_wamid(value, query.phone_number_id, search)
        now = time.time()
        wanted = store.HeaderWanted([_header(way, value)], now - query.hours * 3600, now + 60)
        return [plain_id(one) for one in await self._everywhere(store.FIND_BY_HEADER, wanted, search)]

    async def _of_wamid(self, wamid: str, number: str | None, search: _Search) -> list[str]:
        """A wamid is of a message that came, or of one that went out; then its statuses bear our own id."""
        numbers = [number] if number is not None else await self._everywhere(store.NUMBERS, None, search)
        came = [f"{one}:{wamid}" for one in numbers]
        statuses = [f"{one}:{status}" for one in came for status in _STATUSES]
        ended = store.EndWanted(sorted(self._topology.queues.keys() - self._sources()), wamid)
        dead = await self._everywhere(store.FIND_DEAD_BY_END, ended, search)
        bodies = await self._at_places(store.STATUSES_OF, statuses, search)
        # Which of the candidates there are shows when they are looked up.
        return list(dict.fromkeys([*came, *map(plain_id, dead), *filter(None, map(_our_id, bodies))]))

    async def _rows(self, ids: Sequence[str], search: _Search) -> list[TracedRow]:
        if not ids:
            return []
        found: list[TracedRow] = await self._at_places(store.TRACE_IDS, ids, search)
        if len(ids) > 1:
            ids = list(dict.fromkeys(plain_id(row.stored_id) for row in found))
        again = [one for message_id in ids for one in stored_ids(message_id)]
        return found if not again else await self._at_places(store.TRACE_IDS, again, search)

    async def _caused(self, rows: Sequence[TracedRow], search: _Search) -> list[TracedRow]:
        """Rows of what was published in the handling of these, soon after."""
        if not rows:
            return []
        times = [row.published_at for row in rows]
        times += [row.settled_at for row in rows if row.settled_at is not None]
        known = {plain_id(row.stored_id) for row in rows}
        texts = [_header(CAUSATION_ID, one) for one in sorted(known)]
        wanted = store.HeaderWanted(texts, min(times) - 1.0, max(times) + _SOON_S)
        found = {plain_id(one) for one in await self._everywhere(store.FIND_BY_HEADER, wanted, search)} - known
        return await self._rows(sorted(found)[:_MOST_CAUSED], search)

    async def _states(self, rows: Sequence[TracedRow], search: _Search) -> dict[str, OutgoingState]:
        """What the tenants' shards know of the messages that were to go out."""
        by_tenant: dict[tuple[int, str], list[str]] = {}
        for row in rows:
            if row.queue in self._sources() and self._topology.queues[row.queue].partition_by == "shard":
                place = (shard_of_partition(row.partition), row.tenant)
                by_tenant.setdefault(place, []).append(plain_id(row.stored_id))
        calls = [
            UnitCall(store.OUTGOING_STATES, shard, tenant, ids) for (shard, tenant), ids in by_tenant.items() if tenant
        ]
        found = await self._run(calls)
        search.missing.update(found.missing)
        return {one.id: one for one in found.values}

    async def _everywhere(self, unit: str, arguments: Any, search: _Search) -> list[Any]:
        found = await self._run([UnitCall(unit, shard, "", arguments) for shard in range(SHARDS)])
        search.missing.update(found.missing)
        return found.values

    async def _at_places(self, unit: str, ids: Sequence[str], search: _Search) -> list[Any]:
        calls = []
        for shard in range(SHARDS):
            places = [place for place in sorted(search.places) if shard_of_partition(place[1]) == shard]
            queues, partitions = [name for name, _ in places], [number for _, number in places]
            calls.append(UnitCall(unit, shard, "", store.Whereabouts(list(ids), queues, partitions)))
        found = await self._run([call for call in calls if call.arguments.queues])
        search.missing.update(found.missing)
        return found.values

    async def _run(self, calls: Sequence[UnitCall]) -> _Found:
        if not calls:
            return _Found([], set())
        outcomes = await self._shards.run(calls, timeout_s=_STEP_S)
        answered = [outcome.value for outcome in outcomes if outcome.error is None]
        missing = {call.shard for call, outcome in zip(calls, outcomes, strict=True) if outcome.error is not None}
        return _Found([one for values in answered for one in values], missing)

    def _declared(self) -> set[tuple[str, int]]:
        return {(queue.name, number) for queue in self._topology.queues.values() for number in range(queue.partitions)}

    def _with_letters(self, seen: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Partitions of queues that there are, and those of their dead letters."""
        names = {name: self._topology.dead_letter_queue(name) for name in self._sources()}
        return {(name, number) for queue, number in seen if queue in names for name in (queue, names[queue]) if name}

    def _sources(self) -> set[str]:
        return {queue.name for queue in self._topology.sources()}


def _header(name: str, value: str) -> bytes:
    """As it stands in the headers of a row."""
    return f'"{name}":{json.dumps(value, ensure_ascii=False)}'.encode()


def _our_id(body: bytes) -> str | None:
    try:
        item: Mapping[str, Any] = json.loads(body)["item"]
        given = item.get("biz_opaque_callback_data")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return given if isinstance(given, str) else None
