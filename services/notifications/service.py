"""Consuming ``notifications.whatsapp``: each message goes out once, as far as can be known, and is recorded.

The order is what makes it safe: look up what may have gone out before, mark, send, record, acknowledge.

A message that becomes a dead letter is recorded as ``failed:<reason>`` and loses its marks, but its rank stays
``queued``. So nobody waits for it in vain, a late status still moves it, and when an operator puts it back into the
mailbox it is sent, unless a status or a mark tells by then that it went out. Weakness: one that was given up as
``in_doubt`` may reach the customer once more then, so it is put back only if that is asked for.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.message import Delivery, Outcome, ack, dead_letter, retry_after
from actors.mailbox.redriven import redrives
from services.notifications.batch import Batch
from services.notifications.dispatch import Dispatcher, Result, Sent
from services.notifications.doubt import Act, DoubtPolicy, Recorded, decide
from services.notifications.ports import MarkStore, StatusInflow, Unsealer
from services.notifications.records import Records
from services.notifications.retry import Failure
from services.outgoing.errors import MalformedOutgoingError
from services.outgoing.message import Outgoing, decode
from services.tenants.errors import DirectoryUnavailableError, UnsealError
from services.tenants.ports import Tenants
from services.tenants.sealing import access_token_context
from services.tenants.tenant import Tenant
from telemetry.log import correlation_ids, get_logger
from telemetry.observing import failing_open

_log = get_logger("notifier")


class NotifierPolicy(NamedTuple):
    """Patience.

    Attributes:
        retry_s: until messages come again whose shard or directory is away.
        begin_s: from the beginning of a batch, after which nothing more of it is marked and no send is begun. A step
            that is under way then (5 s), the longest send (12 s) and the record of it (5 s) still have to end within
            the lease of a delivery (30 s).
        doubt: how long a status is awaited before a second send.
    """

    retry_s: float = 1.0
    begin_s: float = 8.0
    doubt: DoubtPolicy = DoubtPolicy()


class NotifierObserver(Protocol):
    """Watches the notifier."""

    def batch_done(self, outcomes: Mapping[str, int], seconds: float) -> None:
        """A batch is done; counted by what became of its messages."""


_POLICY = NotifierPolicy()


class NotificationService:
    """Takes batches of messages out. Holds no state between batches; batches may overlap."""

    def __init__(
        self,
        *,
        tenants: Tenants,
        unsealer: Unsealer,
        marks: MarkStore,
        records: Records,
        inflow: StatusInflow,
        dispatcher: Dispatcher,
        observer: NotifierObserver,
        policy: NotifierPolicy = _POLICY,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenants, self._unsealer, self._marks, self._records = tenants, unsealer, marks, records
        self._dispatcher, self._observer, self._policy = dispatcher, observer, policy
        self._clock, self._timer = clock, timer
        self._inflow = inflow
        # By shard, when it could not be read last: statuses could not be written there either.
        self._unread_at: dict[int, float] = {}

    async def start(self) -> None:
        """Give the marks a beginning, before anything is sent."""
        await self._marks.mark([], self._now_ms())

    async def consume(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """Take each delivery to its outcome.

        Returns:
            An outcome for each delivery, in order. ``ack`` means that it is sent and recorded, or will never be.
        """
        run = Batch(batch, self._clock())
        no_more_after = self._timer() + self._policy.begin_s
        messages = await self._address(run, self._read(run))
        messages = await self._resolve_doubts(run, self._in_time(run, messages, no_more_after))
        messages = await self._mark(run, self._in_time(run, messages, no_more_after))
        results = await self._dispatcher.send(messages, run.tokens, no_more_after=no_more_after)
        await self._record(run, results)
        with failing_open(_log):
            self._observer.batch_done(run.counts, self._clock() - run.now)
        return run.ledger.outcomes()

    def _read(self, run: Batch) -> list[Outgoing]:
        messages: list[Outgoing] = []
        for place, delivery in enumerate(run.batch):
            try:
                messages.append(decode(place, delivery))
                run.messages[place] = messages[-1]
            except MalformedOutgoingError as error:
                run.settle(place, dead_letter(f"malformed:{error.reason}"), "malformed")
        return messages

    async def _address(self, run: Batch, messages: list[Outgoing]) -> list[Outgoing]:
        """Find the sender's shard and access token."""
        missing: frozenset[str] = frozenset()
        try:
            found = await self._tenants.by_phones({one.phone_number_id for one in messages})
        except DirectoryUnavailableError as error:
            found, missing = error.found, error.missing
        addressed: list[Outgoing] = []
        for one in messages:
            tenant = found.get(one.phone_number_id)
            if one.phone_number_id in missing:
                run.settle(one.place, retry_after(self._policy.retry_s, "directory_unavailable"), "retried")
            elif tenant is None or tenant.tenant_id != one.tenant_id:
                run.settle(one.place, dead_letter("unknown_phone_number"), "unknown_phone_number")
            elif not tenant.is_served:
                run.shards[one.tenant_id] = tenant.shard
                outcome = dead_letter(f"tenant_{tenant.state}")
                run.dead[one.place] = Failure(outcome, "tenant_not_served", sent_for_certain_not=False)
            elif not self._unseal(run, tenant, one):
                run.shards[one.tenant_id] = tenant.shard
                run.dead[one.place] = Failure(dead_letter("unseal_failed"), "auth", sent_for_certain_not=False)
            else:
                run.shards[one.tenant_id] = tenant.shard
                addressed.append(one)
        return run.postpone(addressed)

    def _unseal(self, run: Batch, tenant: Tenant, one: Outgoing) -> bool:
        if one.phone_number_id in run.tokens:
            return True
        try:
            token = self._unsealer.unseal(tenant.access_token_sealed, access_token_context(tenant.tenant_id))
        except UnsealError:
            _log.exception(
                "access_token_not_unsealed",
                tenant_id=tenant.tenant_id,
                correlation_ids=correlation_ids([one.delivery.message.headers]),
            )
            return False
        run.tokens[one.phone_number_id] = token
        return True

    async def _resolve_doubts(self, run: Batch, messages: list[Outgoing]) -> list[Outgoing]:
        """Settle or hold back what may have been sent before; returns what is to be sent."""
        again = [one for one in messages if _may_have_been_sent(one.delivery)]
        if not again:
            return messages
        known, marks, since = await asyncio.gather(
            self._records.look_up(again, run.shards),
            self._marks.read([one.id for one in again], self._now_ms()),
            self._inflow.since(),
        )
        unmarked: list[Outgoing] = []
        for one in again:
            shard = run.shards[one.tenant_id]
            if one.tenant_id not in known:
                self._unread_at[shard] = self._clock()
                run.settle(one.place, retry_after(self._policy.retry_s, "shard_unavailable"), "retried")
                continue
            recorded: Recorded | None = known[one.tenant_id].get(one.id)
            decision = decide(
                one.id,
                published_at=one.delivery.message.published_at,
                recorded=recorded,
                marks=marks,
                now=self._clock(),
                awaiting_since=max(self._clock() if since is None else since, self._unread_at.get(shard, 0.0)),
                policy=self._policy.doubt,
            )
            run.follow(one, decision, marks)
            if decision.act is Act.MARK_AND_WAIT:
                unmarked.append(one)
        if unmarked:
            # Should that fail they are marked at the next look, and wait the longer.
            await self._records.mark(unmarked, run.shards, self._clock(), resend=False)
        open_ones = [one for one in messages if run.is_open(one.place)]
        return run.postpone(open_ones)

    def _in_time(self, run: Batch, messages: list[Outgoing], no_more_after: float) -> list[Outgoing]:
        """All of them, or none if too little of the lease is left to send them and record it."""
        if self._timer() < no_more_after:
            return messages
        for one in messages:
            run.settle(one.place, retry_after(0.0, "no_time_left"), "retried")
        return []

    async def _mark(self, run: Batch, messages: list[Outgoing]) -> list[Outgoing]:
        """Mark what is about to be sent; what is not marked is not sent.

        In Redis; on the shard while Redis is away, and always before a second send, for that is to be the last.
        """
        if not messages:
            return messages
        replaces = {one.id: at_ms for one in messages if (at_ms := run.resent.get(one.place)) is not None}
        marked = await self._marks.mark([one.id for one in messages], self._now_ms(), replaces)
        if marked is not None:
            for one in messages:
                if one.id not in marked:
                    # Somebody else has marked it since, or before a crash: it may have been sent.
                    run.settle(one.place, retry_after(self._policy.doubt.step_s, "in_doubt"), "in_doubt")
        await self._mark_on_shards(
            run, [one for one in messages if run.is_open(one.place) and (marked is None or one.place in run.resent)]
        )
        marked_ones = [one for one in messages if run.is_open(one.place)]
        going = run.postpone(marked_ones)
        run.marked_in_vain.update({one.place for one in marked_ones} - {one.place for one in going})
        return going

    async def _mark_on_shards(self, run: Batch, messages: list[Outgoing]) -> None:
        again = [one for one in messages if one.place in run.resent]
        first = [one for one in messages if one.place not in run.resent]
        marked = frozenset[str]().union(
            *await asyncio.gather(
                self._records.mark(first, run.shards, self._clock(), resend=False),
                self._records.mark(again, run.shards, self._clock(), resend=True),
            )
        )
        for one in messages:
            if one.id in marked:
                run.marked_on_shard.add(one.place)
            else:
                run.settle(one.place, retry_after(self._policy.retry_s, "not_marked"), "retried")

    async def _record(self, run: Batch, results: Mapping[int, Result]) -> None:
        """Record what was sent and what never will be, and settle all that is left."""
        failures = {place: result for place, result in results.items() if isinstance(result, Failure)} | run.dead
        run.accepted.update((place, result.wamid) for place, result in results.items() if isinstance(result, Sent))
        failed = {place: (one.state, one.error_code) for place, one in failures.items() if one.state is not None}
        unsent = frozenset(place for place, one in failures.items() if one.sent_for_certain_not) | run.marked_in_vain
        # After a second send that did not take place the first is in doubt still.
        clear = {place for place in unsent if place not in run.resent} | {*failed}
        unmark = unsent & run.marked_on_shard - {*failed}
        concerned = {*run.accepted, *failed, *unmark}
        _, lost = await asyncio.gather(
            self._marks.clear([run.messages[place].id for place in sorted(clear)]),
            self._records.record(
                [one for place, one in run.messages.items() if place in concerned],
                run.shards,
                self._clock(),
                accepted=run.accepted,
                failed=failed,
                unmark=unmark,
            ),
        )
        unrecorded = {
            run.messages[place].id: wamid
            for place, wamid in run.accepted.items()
            if run.messages[place].tenant_id in lost
        }
        if unrecorded and not await self._marks.remember_sent(unrecorded):
            _log.warning(
                "wamids_not_kept",
                correlation_ids=correlation_ids(
                    one.delivery.message.headers for one in run.messages.values() if one.id in unrecorded
                ),
                count=len(unrecorded),
            )
        for place in (*run.accepted, *failures):
            if run.messages[place].tenant_id in lost and (place in run.accepted or place in failed):
                run.settle(place, retry_after(self._policy.retry_s, "not_recorded"), "not_recorded")
            elif place in run.accepted:
                run.settle(place, ack(), "resent" if place in run.resent else "sent")
            else:
                run.settle(place, failures[place].outcome, failures[place].word)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _may_have_been_sent(delivery: Delivery) -> bool:
    return delivery.redelivered or delivery.attempt > 1 or redrives(delivery.message) > 0
