"""Of two rows of a key, the one that was there first goes first, whoever tells of which of them when."""

import asyncio
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.mailbox.flight import WriterLimits
from actors.mailbox.intake import Intake
from actors.mailbox.journal import Append, Look, Progress, Tick
from actors.mailbox.lane import History
from actors.mailbox.memory_journal import InMemoryJournal, MemoryDatabase
from actors.mailbox.memory_units import MemoryUnit
from actors.mailbox.message import Message, PublishedRow
from actors.mailbox.window import Window
from actors.mailbox.writer import Writer
from config.topology import Queue

EVERY = (1 << 63) - 1
QUEUE = Queue.model_validate({"name": "q", "bindings": [{"exchange": "x"}], "partition_by": "shard", "partitions": 32})


class Arriving(RuleBasedStateMachine):
    """Units of work and an owner's own appends, and all that the owner hears of them."""

    def __init__(self) -> None:
        super().__init__()
        self.database = MemoryDatabase()
        self.journal = InMemoryJournal(self.database)
        self.window = Window(QUEUE)
        writer = Writer("q", self.journal, None, WriterLimits(), lambda: 0.0)  # type: ignore[arg-type]
        self.intake = Intake(
            QUEUE,
            0,
            self.journal,
            self.window,
            writer,
            has_dead_letters=False,
            clock=lambda: 0.0,
            counters=Counter(),
        )
        self.window.open(0, 0.0, 0.0)
        self.intake.begin(1, 0)
        asyncio.run(self.intake.fetch(1.0))
        self.seen = ""
        self.open: list[tuple[MemoryUnit, list[tuple[int, Message]]]] = []
        self.untold: list[tuple[int, Message]] = []
        # In the order in which they were committed.
        self.committed: dict[int, Message] = {}
        self.look: Tick | None = None
        self.number = 0

    def message(self, key: str) -> Message:
        self.number += 1
        return Message(str(self.number), key, "t", b"", {}, 0.0)

    @rule(keys=st.lists(st.sampled_from("ab"), max_size=3))
    def a_unit_writes(self, keys: list[str]) -> None:
        unit, rows = self.database.unit(), []
        for key in keys:
            message = self.message(key)
            rows.append((unit.publish(message), message))
        self.open.append((unit, rows))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), rolls_back=st.sampled_from([False, False, False, True]), tells=st.booleans())
    def a_unit_ends(self, data: Any, rolls_back: bool, tells: bool) -> None:
        unit, rows = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if rolls_back:
            unit._written = {}
        unit.commit()
        if not rolls_back:
            self.committed.update(rows)
            self.untold += rows
        if tells:
            self.is_told(range(len(self.untold)))

    @precondition(lambda self: self.untold)
    @rule(data=st.data(), is_lost=st.booleans())
    def a_word_comes(self, data: Any, is_lost: bool) -> None:
        places = data.draw(st.lists(st.integers(0, len(self.untold) - 1), unique=True, max_size=3))
        if is_lost:
            self.untold = [one for place, one in enumerate(self.untold) if place not in places]
        else:
            self.is_told(places)

    def is_told(self, places: Any) -> None:
        self.intake.told([PublishedRow("q", 0, *self.untold[place]) for place in places], 0.0)
        self.untold = [one for place, one in enumerate(self.untold) if place not in places]

    @rule(key=st.sampled_from("ab"))
    def the_owner_appends(self, key: str) -> None:
        message = self.message(key)
        seq = self.journal._insert(Append(message, None, 0.0))
        self.committed[seq] = message
        self.intake.arrive(seq, message, History(0.0), 0.0)

    @precondition(lambda self: self.look is None)
    @rule()
    def a_look_begins(self) -> None:
        self.intake.begin_look()
        progress = Progress(0, "0", 0.0)
        self.look = asyncio.run(self.journal.tick(0, progress, Look(None, EVERY, seen=self.seen)))

    @precondition(lambda self: self.look is not None)
    @rule()
    def a_look_ends(self) -> None:
        assert self.look is not None
        assert asyncio.run(self.intake.end_look(self.look, lambda: True))
        self.seen, self.look = self.look.snapshot, None

    @invariant()
    def goes_before_what_came_after_it(self) -> None:
        came = {seq: place for place, seq in enumerate(self.window.shelf(0).entries)}
        before: dict[str, list[int]] = {}
        for seq, message in self.committed.items():
            for earlier in before.setdefault(message.key, []):
                if earlier < seq and seq in came:
                    assert earlier in came, "a later one came, and an earlier one did not"
                    assert came[earlier] < came[seq], "overtaken"
            before[message.key].append(seq)

    def teardown(self) -> None:
        if self.look is not None:
            self.a_look_ends()
        for _ in range(3):
            self.a_look_begins()
            self.a_look_ends()
        assert set(self.window.shelf(0).entries) == set(self.committed)
        assert self.intake.held == 0


Arriving.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestArriving = Arriving.TestCase
