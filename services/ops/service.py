"""What operators may do with the mailboxes: the use cases behind the admin API."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from actors.mailbox.operations import Action, Count, Place
from actors.mailbox.operator_handle import Progress, Target
from actors.mailbox.selection import Peeked, Selection, Which, death_of, is_left
from gateway.api import RefusedError
from kernel.errors import SpazaError
from kernel.identifiers import fingerprint
from services.admin.actions import Who
from services.admin.edge import within_request_s
from services.ops.audit import Audit
from services.ops.masking import masked, masked_key
from services.ops.schemas import ChangeRequest, PeekQuery, PurgeRequest, RedriveRequest
from services.ops.sums import by_reason, by_tenant, divided, of_reasons
from services.ops.trail import moment

_CHANGE_S = 20.0


class Operator(Protocol):
    """The mailboxes, for operators."""

    def target(self, name: str, which: Which = "waiting") -> Target:
        """The queue of a name."""

    async def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        """Figures by queue."""

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or go on delivering."""

    async def count(self, target: Target, wanted: Selection) -> Count:
        """Counts by tenant and reason."""

    async def look(
        self, target: Target, wanted: Selection, *, after: Place, limit: int, body_bytes: int
    ) -> list[tuple[int, Peeked]]:
        """Messages."""

    async def change(
        self, target: Target, action: Action, wanted: Selection, *, limit: int, per_s: float | None, timeout_s: float
    ) -> Progress:
        """Redrive or purge."""


class MailboxOperations:
    """Operates the mailboxes for a person, and records what he does.

    Args:
        operator: of the mailboxes.
        audit: where actions are recorded.
        doubtful: by queue, reasons of dead letters which may have reached a customer, so that to put them back may
            repeat that.
    """

    def __init__(self, operator: Operator, audit: Audit, doubtful: Mapping[str, tuple[str, ...]]) -> None:
        self._operator, self._audit, self._doubtful = operator, audit, doubtful

    async def overview(self, *, tenants: int) -> dict[str, Any]:
        """All queues."""
        figures = await self._operator.statistics()
        return {"queues": [await self._queue(name, known, tenants) for name, known in figures.items()]}

    async def show(self, name: str, *, tenants: int) -> dict[str, Any]:
        """One queue."""
        queue = self._operator.target(name).queue.name
        return await self._queue(queue, (await self._operator.statistics())[queue], tenants)

    async def peek(self, name: str, query: PeekQuery, who: Who) -> dict[str, Any]:
        """Messages that wait, or dead letters."""
        target = self._operator.target(name, query.which)
        if query.unmasked:
            asked = {"which": target.which, "after": query.after, "limit": query.limit, "body": query.body}
            await self.note(who, "peek_unmasked", asked, target.queue.name)
        seen = await self._operator.look(
            target, query.selection(), after=query.place, limit=query.limit, body_bytes=query.body
        )
        full = len(seen) == query.limit
        return {
            "queue": target.queue.name,
            "which": target.which,
            "messages": [_message(number, one, query) for number, one in seen],
            "next": f"{seen[-1][0]}:{seen[-1][1].seq}" if full else None,
        }

    async def pause(self, name: str, who: Who, *, paused: bool) -> dict[str, Any]:
        """Stop delivering a queue's messages, or go on."""
        queue, action = self._operator.target(name).queue.name, "pause" if paused else "resume"
        # To stop what does harm must not wait for a record; the log has it.
        begun = await self._audit.begin(who, action, queue, {}, must=False)
        try:
            await self._operator.pause(queue, paused=paused)
        except SpazaError as error:
            await self._audit.end(begun, action, queue, {"error": str(error)})
            raise
        await self._audit.end(begun, action, queue, {"paused": paused})
        return {"queue": queue, "paused": paused, "action_id": begun}

    async def redrive(self, name: str, request: RedriveRequest, who: Who) -> dict[str, Any]:
        """Put dead letters back."""
        target = self._operator.target(name, "dead")
        began = time.time() if request.began is None else request.began.timestamp()
        wanted = request.selection()._replace(redriven_before=int(began))
        doubtful = self._doubtful.get(target.queue.name, ())
        if not request.force:
            wanted = wanted._replace(not_reasons=doubtful)
        answer = await self._change(target, "redrive", wanted, request=request, who=who, doubtful=doubtful)
        return {**answer, "began": moment(int(began))}

    async def purge(self, name: str, request: PurgeRequest, who: Who) -> dict[str, Any]:
        """Settle messages as purged."""
        target = self._operator.target(name, request.which)
        if request.reason is not None and target.which == "waiting":
            fault = (("reason", 'what waits has none; say "which": "dead", or name the dead-letter queue'),)
            raise RefusedError(400, "A reason is a dead letter's", fault)
        return await self._change(target, "purge", request.selection(), request=request, who=who)

    async def note(self, who: Who, action: str, asked: Mapping[str, Any], queue: str = "") -> None:
        """Record that somebody is about to see customers' phone numbers; raises ``NotRecordedError``."""
        begun = await self._audit.begin(who, action, queue, asked, must=True)
        await self._audit.end(begun, action, queue, {})

    async def actions(self, *, limit: int, before: datetime | None, queue: str | None) -> dict[str, Any]:
        """What operators did, the latest first."""
        at = None if before is None else before.timestamp()
        rows = await self._audit.read(limit=limit, before=at, queue=queue)
        return {
            "actions": [
                {
                    **row._asdict(),
                    "began_at": moment(row.began_at),
                    "ended_at": moment(row.ended_at),
                    "request": orjson.loads(row.request),
                    "outcome": None if row.outcome is None else orjson.loads(row.outcome),
                }
                for row in rows
            ]
        }

    async def _change(
        self,
        target: Target,
        action: Action,
        wanted: Selection,
        *,
        request: ChangeRequest,
        who: Who,
        doubtful: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        if not request.restricts and not request.all:
            fault = (("all", "say all, or name tenant, key, reason, since, until or ids"),)
            raise RefusedError(400, "Nothing says which messages are meant", fault)
        queue = target.queue.name
        answer: dict[str, Any] = {"queue": queue, "which": target.which, "action": action, "dry_run": request.dry_run}
        before = await self._operator.count(target, wanted._replace(not_reasons=()))
        meant, held_back = divided(before.tallies, wanted.not_reasons)
        damaged = [one for one in meant if action == "redrive" and is_left(wanted, (one.cause, one.detail))]
        meant = [one for one in meant if one not in damaged]
        in_doubt = of_reasons(meant, doubtful)
        answer |= {
            "selected": sum(one.messages for one in meant),
            "by_reason": by_reason(meant) if target.which == "dead" else {},
            "by_tenant": by_tenant(meant, 20),
            "may_reach_a_customer_twice": sum(one.messages for one in in_doubt),
            "held_back": sum(one.messages for one in held_back),
            "left_corrupt": sum(one.messages for one in damaged),
            "missing_partitions": {str(number): reason for number, reason in sorted(before.missing.items())},
        }
        if request.dry_run:
            return answer
        asked = request.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        asked |= {"key": masked(request.key)} if request.key is not None else {}
        # A wamid holds its customer's number; who has an id finds its print.
        asked |= {"ids": [fingerprint(one) for one in request.ids]} if request.ids is not None else {}
        begun = await self._audit.begin(who, action, queue, {"which": target.which, **asked}, must=True)
        progress = await self._operator.change(
            target, action, wanted, limit=request.limit, per_s=request.per_s, timeout_s=within_request_s(_CHANGE_S)
        )
        done = {
            "messages": progress.messages,
            "ids": list(progress.ids),
            "left_in_flight": progress.in_flight,
            "left_corrupt": progress.corrupt,
            "left_worn_out": progress.worn_out,
            "complete": progress.complete,
            "trouble": progress.trouble,
        }
        await self._audit.end(begun, action, queue, {**done, "ids": [fingerprint(one) for one in progress.ids]})
        return {**answer, **done, "action_id": begun}

    async def _queue(self, name: str, known: Mapping[str, Any], tenants: int) -> dict[str, Any]:
        if "waiting" not in known:
            return {"queue": name, "state": known["state"]}
        shown = {
            field: known[field]
            for field in (
                "state", "paused", "consumer_up", "waiting", "in_flight", "oldest_age_s", "in_per_s", "out_per_s",
                "dead_letters", "counted",
            )
        }  # fmt: skip
        shown["loops_cut"] = known["counters"].get("loops_cut", 0)
        if tenants == 0:
            return {"queue": name, **shown}
        waiting = self._operator.target(name)
        # The figures are of another moment: no tenants wait in a queue of which it was just said that nobody does.
        count = await self._operator.count(waiting, Selection()) if known["waiting"] else Count([], {})
        missing = set(count.missing)
        reasons: Mapping[str, int] = {}
        if known["dead_letters"] or not known["counted"]:
            dead = await self._operator.count(waiting._replace(which="dead"), Selection())
            reasons, missing = by_reason(dead.tallies), missing | set(dead.missing)
        return {
            "queue": name,
            **shown,
            "tenants": by_tenant(count.tallies, tenants),
            "tenants_total": len({one.tenant for one in count.tallies}),
            "reasons": reasons,
            "missing_partitions": sorted(missing),
        }


def _message(number: int, one: Peeked, query: PeekQuery) -> dict[str, Any]:
    message = one.message
    cause, detail = death_of(message)

    def shown(text: str) -> str:
        return text if query.unmasked else masked(text, message.tenant)

    told = {
        "partition": number,
        "seq": one.seq,
        "message_id": message.id,
        "tenant": message.tenant,
        "key": message.key if query.unmasked else masked_key(message.key),
        "priority": message.priority,
        "published_at": moment(message.published_at),
        "age_s": round(max(0.0, datetime.now(UTC).timestamp() - message.published_at), 1),
        "ttl_ms": message.ttl_ms,
        "headers": {name: shown(value) if isinstance(value, str) else value for name, value in message.headers.items()},
        "size_bytes": one.size_bytes,
        "retries": one.retries,
        "lost_deliveries": one.lost,
        "not_before": moment(one.not_before) if one.not_before else None,
    }
    if cause:
        told |= {"cause": cause, "reason": shown(detail)}
    if query.body:
        told["body"] = shown(message.body.decode(errors="replace"))
    return told
