"""A window full of what cannot go: pages step over it, so that others go, and it comes back in its order."""

import asyncio
import time
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

from actors.mailbox.arrivals import Arrival, Arrivals, Bounds
from actors.mailbox.intake import Intake
from actors.mailbox.lane import History
from actors.mailbox.memory_journal import MemoryDatabase
from actors.mailbox.message import Delivery, Message, ack, retry_after
from actors.mailbox.stepped_over import SteppedOver
from actors.mailbox.window import Window
from config.topology import Queue
from tests.unit.actors.mailbox.test_partition import Owner, owning, running, until

BOUND, PAGE, ENOUGH = 40, 10, 4
RESERVE = BOUND // 4
QUEUE = Queue.model_validate(
    {"name": "q", "bindings": [{"exchange": "x"}], "batch": 10, "prefetch": 10, "key_run": 1}
)  # fmt: skip
LATER_S = 60.0


class Desk:
    """A journal in a list, a window that pages from it, and a consumer that defers some tenants' and some messages."""

    def __init__(self) -> None:
        self.window = Window(QUEUE)
        self.arrivals = Arrivals(self.window, 0, Bounds(BOUND, 1_000_000), enough=ENOUGH)
        self.window.open(0, 0.0, 0.0)
        self.window.set_blocked(0, blocked=False, now=0.0)
        self.journal: dict[int, Message] = {}
        self.now = 0.0
        self.refused: set[str] = set()  # tenants, and bodies
        self.raises_at: set[str] = set()  # tenants
        self.handled: dict[str, list[str]] = defaultdict(list)
        self.most = 0

    def publish(self, tenant: str, key: str, body: str = "") -> str:
        seq = len(self.journal) + 1
        message = Message(str(seq), key, tenant, body.encode(), {}, 0.0)
        self.journal[seq] = message
        self.arrivals.arrive(seq, message, History(), self.now)
        return message.id

    def go_on(self) -> None:
        """Until nothing can go any more, and nothing is to be read."""
        while self.goes() or self.reads():
            self.most = max(self.most, self.window.size)

    def goes(self) -> bool:
        self.window.advance(self.now)
        batch = self.window.take(self.now)
        for delivery in batch:
            self.ends(delivery)
        return bool(batch)

    def ends(self, delivery: Delivery) -> None:
        message = delivery.message
        if message.tenant in self.raises_at:
            self.window.fail(delivery.tag, "it raised", self.now, alone=False)
        elif self.refused & {message.tenant, message.body.decode()}:
            self.window.settle(delivery.tag, retry_after(LATER_S, ""), self.now)
        else:
            self.window.settle(delivery.tag, ack(), self.now)
            self.arrivals.settled(delivery.seq, self.now)
            self.handled[message.key].append(message.id)

    def reads(self) -> bool:
        if returning := self.arrivals.begin_return(PAGE, self.now):
            seqs = sorted(seq for one in returning for seq in one.seqs)
            self.arrivals.end_return(returning, [self.row(seq) for seq in seqs], seqs[-1], self.now)
            return True
        if self.arrivals.page_wanted:
            from_seq = self.arrivals.begin_page()
            page = [self.row(seq) for seq in self.journal if seq >= from_seq][:PAGE]
            last_seq = page[-1][0] if len(page) == PAGE else None
            self.arrivals.end_page(page, last_seq=last_seq, now=self.now)
            return True
        return False

    def row(self, seq: int) -> Arrival:
        return seq, self.journal[seq], History()


def test_behind_a_key_that_waits_with_more_than_the_window_holds_other_keys_go() -> None:
    desk = Desk()
    desk.refused = {"bad"}
    bad = desk.publish("a", "slow", "bad")
    behind = [desk.publish("a", "slow") for _ in range(10 * BOUND)]
    others = [desk.publish(tenant, f"{tenant}'s") for tenant in ("a", "b") for _ in range(20)]

    desk.go_on()

    assert desk.handled["slow"] == []
    assert desk.handled["a's"] + desk.handled["b's"] == others
    assert desk.most <= BOUND + RESERVE + PAGE
    assert not any(desk.arrivals.wants(int(one)) for one in behind), "a look would bring it in before its turn"

    desk.refused, desk.now = set(), desk.now + LATER_S
    last = desk.publish("a", "slow")
    desk.go_on()

    assert desk.handled["slow"] == [bad, *behind, last]
    assert (desk.window.size, desk.arrivals.unread_from, desk.arrivals.stepped_over) == (0, None, 0)


def test_many_keys_that_wait_let_others_of_their_tenant_go() -> None:
    desk = Desk()
    desk.refused = {"bad"}
    for number in range(5 * BOUND):
        desk.publish("a", f"slow {number % 6}", "bad")
    other = desk.publish("a", "other")

    desk.go_on()

    assert desk.handled["other"] == [other]


def test_of_tenants_with_a_flood_that_waits_none_keeps_the_next_ones_from_going() -> None:
    desk = Desk()
    floods = [f"flood {number}" for number in range(3)]
    desk.refused = set(floods)
    for tenant in floods:
        for number in range(5 * BOUND):
            desk.publish(tenant, f"{tenant} {number}")
        single = desk.publish(f"after {tenant}", f"after {tenant}")
        desk.go_on()
        assert desk.handled[f"after {tenant}"] == [single]

    assert desk.most <= BOUND + RESERVE + PAGE
    kept = desk.arrivals.stepped_over
    assert kept > 10 * BOUND

    desk.refused, desk.now = set(), desk.now + LATER_S
    desk.go_on()

    assert sum(len(ids) for ids in desk.handled.values()) == len(desk.journal)
    assert (desk.window.size, desk.arrivals.unread_from, desk.arrivals.stepped_over) == (0, None, 0)


def test_of_a_tenant_that_was_stepped_over_each_key_keeps_its_order() -> None:
    desk = Desk()
    desk.refused = {"a"}
    for number in range(10 * BOUND):
        desk.publish("a", f"key {number % 60}")
    desk.go_on()
    assert desk.arrivals.stepped_over

    desk.refused, desk.now = set(), desk.now + LATER_S
    for number in range(3):
        desk.publish("a", f"key {number}")
    desk.go_on()

    published = defaultdict(list)
    for message in desk.journal.values():
        published[message.key].append(message.id)
    assert desk.handled == published


def test_behind_a_flood_at_which_the_consumer_raises_others_go() -> None:
    desk = Desk()
    desk.raises_at = {"a"}
    for number in range(5 * BOUND):
        desk.publish("a", f"key {number}")
    single = desk.publish("b", "b's")

    for _ in range(10 * BOUND):  # a's come back for ever, one at a time
        desk.goes()
        desk.reads()
        desk.most = max(desk.most, desk.window.size)

    assert desk.handled["b's"] == [single]
    assert desk.most <= BOUND + RESERVE + PAGE


def test_when_a_tenant_comes_back_a_key_of_its_that_still_waits_does_not() -> None:
    desk = Desk()
    desk.refused = {"bad", "a"}
    first = desk.publish("a", "slow", "bad")
    slow = [first, *(desk.publish("a", "slow") for _ in range(2 * BOUND))]
    for number in range(3 * BOUND):
        desk.publish("a", f"key {number}")
    slow += [desk.publish("a", "slow") for _ in range(5)]
    desk.go_on()

    desk.refused, desk.now = {"bad"}, desk.now + LATER_S
    for _ in range(30):  # each time as many as then have room
        desk.go_on()
        desk.now += 1.0

    assert desk.handled["slow"] == []
    assert sum(len(ids) for ids in desk.handled.values()) == 3 * BOUND

    desk.refused, desk.now = set(), desk.now + LATER_S
    desk.go_on()

    assert desk.handled["slow"] == slow


def test_while_the_consumer_is_busy_no_page_steps_over_anything() -> None:
    desk = Desk()
    for number in range(5 * BOUND):
        desk.publish("a", f"key {number}")
    while batch := desk.window.take(desk.now):  # and none comes back: it has no room
        assert len(batch) <= QUEUE.prefetch

    assert not desk.reads()
    assert desk.window.size == BOUND


def test_while_another_partition_floods_the_window_pages_are_read_beside_what_was_stepped_over() -> None:
    window = Window(QUEUE)
    ours, flooded = (Arrivals(window, number, Bounds(BOUND, 1_000_000), 2, enough=ENOUGH) for number in (0, 1))
    for number in (0, 1):
        window.open(number, 0.0, 0.0)
        window.set_blocked(number, blocked=False, now=0.0)
    for number in range(BOUND):
        flooded.arrive(number, Message(f"x{number}", f"x{number}", "c", b"", {}, 0.0), History(), 0.0)
    ours.begin(0, 100)
    ours._stepped_over.note_key("stuck", 5)

    assert not window.stands_still
    assert ours.page_wanted


async def test_while_much_waits_to_be_written_nothing_is_read_nor_brought_back() -> None:
    window = Window(QUEUE)
    window.open(0, 0.0, 0.0)
    writer: Any = SimpleNamespace(is_heavy=True)
    journal: Any = None  # is not asked
    intake = Intake(
        QUEUE, 0, journal, window, writer, has_dead_letters=True, clock=lambda: 0.0, counters=Counter()
    )  # fmt: skip
    intake.begin(1, 1_000)
    intake.arrivals._stepped_over.note_key("key", 5)

    assert intake.arrivals.page_wanted
    assert not await intake.fetch(1.0)


def test_a_message_is_stepped_over_once() -> None:
    over = SteppedOver()
    message = Message("m", "key", "tenant", b"", {}, 0.0)
    over.note_key("key", 5)

    assert [over.takes(seq, message) for seq in (9, 5, 7, 9)] == [True] * 4
    (returning,) = over.choose(10, 10, lambda _: True, lambda _: False)
    assert (returning.seqs, len(over), over.lowest) == ([5, 7, 9], 3, 5)
    assert (7 in over, 8 in over) == (True, False)

    over.came_back([returning], 7)
    assert (len(over), over.lowest) == (1, 9)


def test_one_that_came_meanwhile_and_goes_first_is_not_taken_for_one_that_came_back() -> None:
    over = SteppedOver()
    for seq in (3, 5, 7):
        over.note_key("key", seq)
    chosen = over.choose(2, 2, lambda _: True, lambda _: True)
    over.note_key("key", 1)

    over.came_back(chosen, 100)

    assert [seq for seq in range(10) if seq in over] == [1, 7]


def test_who_came_back_goes_behind_the_others() -> None:
    over = SteppedOver()
    for seq, key in enumerate("abcabcabc"):
        over.note_key(key, seq)

    def some() -> list[int]:
        returning = over.choose(2, 1, lambda _: True, lambda _: True)
        over.came_back(returning, 100)
        return [seq for one in returning for seq in one.seqs]

    assert [some() for _ in range(5)] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert not over


class SlowTenant:
    """An owner's consumer that defers one tenant's messages, until told otherwise."""

    def __init__(self) -> None:
        self.messages = [
            Message(f"s{number}", f"k{number % 30}", "slow", b"", {}, time.time()) for number in range(100)
        ]
        self.handled: list[str] = []
        self.is_slow = True

    async def publish(self, owner: Owner) -> None:
        """A hundred of the slow one, and then one of another."""
        await until(owning(owner))
        for first in range(0, 100, 10):
            await owner.partition.append(self.messages[first : first + 10])
        await owner.partition.append([Message("other", "other", "quick", b"", {}, time.time())])

    async def consume(self, owner: Owner, up_to: int) -> None:
        async with asyncio.timeout(60.0):
            while len(self.handled) < up_to:
                for delivery in owner.take():
                    self.answer(owner, delivery)
                await asyncio.sleep(0)

    def answer(self, owner: Owner, delivery: Delivery) -> None:
        if self.is_slow and delivery.message.tenant == "slow":
            owner.settle([delivery], retry_after(0.3, ""))
        else:
            owner.settle([delivery], ack())
            self.handled.append(delivery.message.id)

    def check(self) -> None:
        by_key = defaultdict(list)
        for message_id in self.handled[1:]:
            by_key[int(message_id[1:]) % 30].append(int(message_id[1:]))
        assert self.handled[0] == "other"
        assert all(numbers == sorted(numbers) for numbers in by_key.values())
        assert sorted(self.handled) == sorted(["other", *(message.id for message in self.messages)])


async def test_a_partition_delivers_what_stands_behind_a_slow_tenant_and_then_the_slow_ones_in_order() -> None:
    database, tenant = MemoryDatabase(), SlowTenant()
    async with running(database, window=20, batch=10, prefetch=10) as owner:
        await tenant.publish(owner)
        await tenant.consume(owner, 1)
        assert owner.partition.waiting >= 100

        tenant.is_slow = False
        await tenant.consume(owner, 101)

        tenant.check()
        await until(lambda: len(database.settled) == 101 and owner.partition.waiting == 0)


async def test_what_was_stepped_over_is_there_for_the_next_owner() -> None:
    database, tenant = MemoryDatabase(), SlowTenant()
    async with running(database, window=20, batch=10, prefetch=10) as owner:
        await tenant.publish(owner)
        await tenant.consume(owner, 1)
        await until(lambda: len(database.settled) == 1)

    tenant.is_slow = False
    async with running(database, window=20, batch=10, prefetch=10) as owner:
        await tenant.consume(owner, 101)

    tenant.check()
