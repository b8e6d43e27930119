"""Consuming ``whatsapp.inbound``: a batch of many tenants becomes one unit of work for each tenant."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.mailbox.message import Delivery, Outcome, PublishedRow, ack, dead_letter, retry_after
from actors.mailbox.redriven import redrives
from actors.shards.unit import UnitCall, UnitOutcome
from cache.claims import Claim
from kernel.errors import SpazaError
from kernel.identifiers import fingerprint, new_id
from services.ledger import Ledger
from services.tenants.errors import DirectoryUnavailableError
from services.tenants.ports import Tenants
from services.tenants.tenant import Tenant
from services.whatsapp.errors import MalformedError
from services.whatsapp.inbound import InboundEvent, InboundMessage, decode
from services.whatsapp.item import Item
from services.whatsapp.ports import ClaimStore, Shards, Teller
from services.whatsapp.store import STATUSES, ReceiveResult
from services.whatsapp.verdict import Blame, blame, come_again, convict
from services.whatsapp.work import Work, group
from telemetry.log import correlation_ids, get_logger
from telemetry.observing import failing_open

_log = get_logger("processor")


class ProcessorPolicy(NamedTuple):
    """Patience, in seconds.

    Attributes:
        unit_s: for the units of a batch; well within the lease of a delivery.
        batch_s: for a whole batch, after which the rest of it comes again.
        retry_s: until messages come again whose shard or directory is away.
        claimed_s: until a message comes again that somebody else works on.
        tell_s: after which what has committed is told while other shards are waited for.
    """

    unit_s: float = 5.0
    batch_s: float = 15.0
    retry_s: float = 1.0
    claimed_s: float = 1.0
    tell_s: float = 0.1


class ProcessorObserver(Protocol):
    """Watches the processor."""

    def batch_done(
        self, outcomes: Mapping[tuple[str, str], int], *, replies: int, unmatched: int, seconds: float
    ) -> None:
        """A batch is done; outcomes are counted by kind and what became of it.

        Args:
            outcomes: by kind and word.
            replies: that were published.
            unmatched: statuses that met no message of ours, yet or at all.
            seconds: that it took.
        """


_POLICY = ProcessorPolicy()


class InboundProcessor:
    """Takes batches of deliveries to an outcome each. Holds no state between batches; batches may overlap."""

    def __init__(
        self,
        *,
        claims: ClaimStore,
        tenants: Tenants,
        shards: Shards,
        mailbox: Teller,
        observer: ProcessorObserver,
        policy: ProcessorPolicy = _POLICY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._claims, self._tenants, self._shards, self._mailbox = claims, tenants, shards, mailbox
        self._observer, self._policy, self._clock = observer, policy, clock

    async def consume(self, batch: Sequence[Delivery]) -> list[Outcome]:
        """Take each delivery to its outcome.

        Returns:
            An outcome for each delivery, in order. ``ack`` means that its effects are durable.
        """
        run = _Batch(batch, self._clock())
        items = self._read(run)
        items = await self._claim(run, items)
        await self._work(run, await self._assign(run, items))
        await self._conclude(run)
        return run.ledger.outcomes()

    def _read(self, run: "_Batch") -> list[Item]:
        items: list[Item] = []
        for place, delivery in enumerate(run.batch):
            try:
                items.append(Item(place, delivery, decode(delivery.message)))
            except MalformedError as error:
                run.settle(place, dead_letter(f"malformed:{error.reason}"), "malformed", "unreadable")
        return items

    async def _claim(self, run: "_Batch", items: list[Item]) -> list[Item]:
        held = await self._claims.claim([item.id for item in items], run.token)
        claimed: list[Item] = []
        for item, claim in zip(items, held, strict=True):
            # What an operator has put back is for the row on the shard to judge, not for Redis.
            if claim is Claim.DONE and not redrives(item.delivery.message):
                run.settle(item.place, ack(), "duplicate", item.kind)
            elif claim is Claim.ELSEWHERE:
                run.settle(item.place, retry_after(self._policy.claimed_s, "claimed_elsewhere"), "claimed", item.kind)
            else:
                run.claimed[item.place] = item
                claimed.append(item)
        return run.postpone(claimed)

    async def _assign(self, run: "_Batch", items: list[Item]) -> list[Work]:
        numbers = {item.inbound.phone_number_id for item in items} - {""}
        missing: frozenset[str] = frozenset()
        found: Mapping[str, Tenant | None] = {}
        try:
            found = await self._tenants.by_phones(numbers) if numbers else {}
        except DirectoryUnavailableError as error:
            found, missing = error.found, error.missing
        assigned: list[tuple[Tenant | None, Item]] = []
        for item in items:
            number = item.inbound.phone_number_id
            tenant = found.get(number)
            if number in missing:
                run.settle(item.place, retry_after(self._policy.retry_s, "directory_unavailable"), "retried", item.kind)
            elif tenant is None and not isinstance(item.inbound, InboundEvent):
                run.settle(item.place, dead_letter("unknown_phone_number"), "unknown_phone_number", item.kind)
            elif tenant is not None and not tenant.is_served and isinstance(item.inbound, InboundMessage):
                # Statuses and events of it are kept all the same; nothing follows from them.
                run.settle(item.place, dead_letter(f"tenant_{tenant.state}"), "tenant_not_served", item.kind)
            else:
                assigned.append((tenant, item))
        return group(assigned, run.now)

    async def _work(self, run: "_Batch", works: list[Work]) -> None:
        works = [work._replace(items=tuple(run.postpone(work.items))) for work in works]
        works = [work for work in works if work.items]
        culprits = await self._run(run, works)
        # What failed is found message by message, each tenant's for itself, so nobody else waits for it.
        await asyncio.gather(*(self._run_singly(run, work) for work in culprits))

    async def _run(self, run: "_Batch", works: Sequence[Work]) -> list[Work]:
        """Run units, and settle their messages; returns those in which one message has to be found."""
        if not works:
            return []
        outcomes = await self._run_and_tell(run, [work.call() for work in works])
        suspects: list[Work] = []
        for work, outcome in zip(works, outcomes, strict=True):
            if outcome.error is None:
                self._succeed(run, work, outcome)
            elif blame(outcome.error) is Blame.SHARD:
                self._settle_all(run, work, come_again(outcome.error, self._policy.retry_s), "retried", outcome.error)
            elif len(work.items) > 1:
                suspects.append(work)
            else:
                verdict = convict(outcome.error)
                self._settle_all(run, work, verdict, "poison" if verdict.final else "collision", outcome.error)
        return suspects

    async def _run_and_tell(self, run: "_Batch", calls: Sequence[UnitCall]) -> list[UnitOutcome]:
        """Run units; where one shard lets the others wait, tell meanwhile of what those have published."""
        units = asyncio.ensure_future(
            self._shards.run(calls, timeout_s=self._policy.unit_s, answered=run.take_published)
        )
        try:
            while not (await asyncio.wait({units}, timeout=self._policy.tell_s))[0]:
                await self._tell(run)
        finally:
            units.cancel()
        return units.result()

    async def _run_singly(self, run: "_Batch", work: Work) -> None:
        for item in work.items:
            if not run.postpone([item]):
                continue
            if self._clock() - run.now > self._policy.batch_s:
                run.settle(item.place, retry_after(self._policy.retry_s, "batch_took_too_long"), "retried", item.kind)
                continue
            await self._run(run, [work._replace(items=(item,))])

    def _succeed(self, run: "_Batch", work: Work, outcome: UnitOutcome) -> None:
        if isinstance(outcome.value, ReceiveResult):
            run.replies += outcome.value.replies
        elif work.unit == STATUSES:
            run.unmatched += outcome.value
        for item in work.items:
            run.settle(item.place, ack(), "done", item.kind)

    def _settle_all(self, run: "_Batch", work: Work, outcome: Outcome, word: str, error: SpazaError) -> None:
        _log.warning(
            "inbound_unit_failed",
            tenant_id=work.tenant_id,
            unit=work.unit,
            error=str(error),
            outcome=outcome.kind,
            messages=[fingerprint(item.id) for item in work.items[:3]],
            correlation_ids=correlation_ids(item.delivery.message.headers for item in work.items),
            count=len(work.items),
        )
        for item in work.items:
            run.settle(item.place, outcome, word, item.kind)

    async def _conclude(self, run: "_Batch") -> None:
        """Tell the notifications of what waits there, and say in Redis what is done and what is free again."""
        outcomes = run.ledger.outcomes()
        done = [item.id for place, item in run.claimed.items() if outcomes[place].kind == "ack"]
        free = [item.id for place, item in run.claimed.items() if outcomes[place].kind != "ack"]
        await asyncio.gather(self._tell(run), self._claims.finish(done), self._claims.release(free, run.token))
        with failing_open(_log):
            self._observer.batch_done(
                run.counts, replies=run.replies, unmatched=run.unmatched, seconds=self._clock() - run.now
            )

    async def _tell(self, run: "_Batch") -> None:
        published, run.published = run.published, []
        if not published:
            return
        try:
            await self._mailbox.tell(published)
        except Exception as error:  # noqa: BLE001
            # Whatever it was, it is done, and the owner's sweep finds them.
            _log.warning(
                "notifications_not_told",
                error=type(error).__name__,
                correlation_ids=correlation_ids(row.message.headers for row in published),
                count=len(published),
            )


class _Batch:
    """What is known of one batch while it is worked on."""

    def __init__(self, batch: Sequence[Delivery], now: float) -> None:
        self.batch = batch
        self.now = now
        self.token = new_id()
        self.ledger = Ledger(batch)
        self.claimed: dict[int, Item] = {}
        self.published: list[PublishedRow] = []
        self.replies = self.unmatched = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def take_published(self, outcomes: Sequence[UnitOutcome]) -> None:
        """Keep what units have published until it is told."""
        for outcome in outcomes:
            self.published.extend(outcome.published)

    def settle(self, place: int, outcome: Outcome, word: str, kind: str) -> None:
        """Give a delivery its outcome, and count it."""
        self.ledger.settle(place, outcome)
        self.counts[kind, word] += 1

    def postpone(self, items: Sequence[Item]) -> list[Item]:
        """Let those wait that come after one that waits, and count them; returns the others."""
        postponed = self.ledger.postpone(item.place for item in items)
        self.counts.update((item.kind, "retried") for item in items if item.place in postponed)
        return [item for item in items if item.place not in postponed]
