"""A message's way, told from the rows that it left: published, tried, settled, dead-lettered, put back. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from actors.mailbox.limits import LATEST_S
from actors.mailbox.redriven import plain_id
from actors.mailbox.rows import decode_headers
from actors.mailbox.selection import CAUSE, DETAIL
from config.topology import Topology
from services.ops.masking import masked_key
from services.ops.store import OutgoingState, TracedRow


class _Event(NamedTuple):
    at: float
    rank: int
    told: dict[str, Any]


def trails(
    rows: Sequence[TracedRow], topology: Topology, states: Mapping[str, OutgoingState], *, unmasked: bool
) -> list[dict[str, Any]]:
    """One trail for each message, the first published first.

    Args:
        rows: all that the shards have of the messages, in any order.
        topology: for the exchanges, where a row does not name its own.
        states: of messages that went out, by id.
        unmasked: whether keys are shown as they are.
    """
    by_id: dict[str, list[TracedRow]] = {}
    for row in sorted(rows, key=lambda one: (one.published_at, one.seq)):
        by_id.setdefault(plain_id(row.stored_id), []).append(row)
    return [_trail(one, of_it, topology, states.get(one), unmasked) for one, of_it in by_id.items()]


def headers_of(row: TracedRow) -> Mapping[str, Any]:
    """A row's headers; none where they cannot be read."""
    try:
        return decode_headers(row.headers)
    except ValueError:
        return {}


def moment(at: float | None) -> str | None:
    """A time as the API writes it; None for what is none, as a damaged row may say."""
    if at is None or not 0 <= at < LATEST_S:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trail(
    message_id: str, rows: Sequence[TracedRow], topology: Topology, sent: OutgoingState | None, unmasked: bool
) -> dict[str, Any]:
    dead_of = {topology.dead_letter_queue(queue.name): queue.name for queue in topology.sources()}
    # The end of a row in its queue tells of the death already.
    told_of = {_redrives(row) for row in rows if row.queue not in dead_of and row.outcome is not None}
    # The header that says so has whole seconds.
    put_back = {_redrives(row) + 1: row.settled_at for row in rows if row.outcome == "redriven"}
    events = [
        event
        for row in rows
        for event in (_of_letter(row, told_of) if row.queue in dead_of else _of_row(row, topology, put_back))
    ]
    if sent is not None:
        told = {"event": "outgoing", "state": sent.state, "wamid": sent.wamid, "error_code": sent.error_code}
        events.append(_Event(sent.state_at, 9, told))
    ordered = sorted(events, key=lambda one: (one.at, one.rank))
    first = rows[0]
    headers = headers_of(first)
    return {
        "message_id": message_id,
        "state": _state(rows, dead_of),
        "tenant": first.tenant,
        "key": first.key if unmasked else masked_key(first.key),
        "size_bytes": first.size_bytes,
        "correlation_id": headers.get("correlation_id"),
        "order_id": headers.get("order_id"),
        "events": [{"at": moment(one.at), **one.told} for one in ordered],
    }


def _of_letter(row: TracedRow, told_of: set[int]) -> list[_Event]:
    events = _end(row)
    if _redrives(row) not in told_of:
        told = {"event": "dead-lettered", **_death(headers_of(row)), **_where(row)}
        events.append(_Event(row.published_at, 0, told))
    return events


def _of_row(row: TracedRow, topology: Topology, put_back: Mapping[int, float | None]) -> list[_Event]:
    headers, where = headers_of(row), _where(row)
    events: list[_Event] = []
    if _redrives(row):
        again_at = put_back.get(_redrives(row)) or float(_number(headers, "x-redriven-at"))
        events.append(_Event(again_at, 4, {"event": "queued again", **where}))
    else:
        exchanges = [binding.exchange for binding in topology.queues[row.queue].bindings]
        told = {"exchange": headers.get("x-exchange", ", ".join(dict.fromkeys(exchanges)))}
        if "x-routing-key" in headers:
            told["routing_key"] = headers["x-routing-key"]
        events.append(_Event(row.published_at, 0, {"event": "published", **told, **where}))
    if row.retries is not None:
        told = {"retries": row.retries, "lost_deliveries": row.lost, "not_before": moment(row.not_before)}
        at = row.settled_at if row.settled_at is not None else row.not_before
        events.append(
            _Event(at or row.published_at, 2, {"event": "tried", **told, "reason": row.retry_reason, **where})
        )
    return events + _end(row, deliveries=row.deliveries)


def _end(row: TracedRow, **more: Any) -> list[_Event]:
    if row.outcome is None:
        return []
    reason = {"reason": row.reason} if row.reason else {}
    return [_Event(row.settled_at or 0.0, 3, {"event": row.outcome, **reason, **more, **_where(row)})]


def _where(row: TracedRow) -> dict[str, Any]:
    return {"queue": row.queue, "partition": row.partition, "seq": row.seq}


def _redrives(row: TracedRow) -> int:
    return _number(headers_of(row), "x-redriven")


def _number(headers: Mapping[str, Any], name: str) -> int:
    """A header of the mailbox's own; a publisher may have written anything there."""
    value = headers.get(name, 0)
    return value if isinstance(value, int) else 0


def _death(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {"cause": headers.get(CAUSE), "reason": headers.get(DETAIL)}


def _state(rows: Sequence[TracedRow], dead_of: Mapping[str | None, str]) -> str:
    latest = max(rows, key=lambda row: (row.settled_at is None, row.settled_at or 0.0))
    if latest.outcome is not None:
        return latest.outcome
    if latest.queue in dead_of:
        death = _death(headers_of(latest))
        return f"dead letter in {latest.queue}: {death['reason'] or death['cause']}"
    return f"waiting in {latest.queue}"
