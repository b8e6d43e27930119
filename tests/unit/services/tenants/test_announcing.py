"""What could not be said is said again until it is sure, by one task, however much it is."""

import asyncio

from services.tenants.announcing import Insistence, TenantChange


class Redis:
    """Is away for some tries; then takes all that is said, one at a time where it is told to."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.tries = away, 0
        self.said: list[TenantChange] = []
        self.let_through = asyncio.Event()
        self.let_through.set()

    async def say(self, change: TenantChange) -> bool:
        self.tries += 1
        if self.tries <= self.away:
            return False
        await self.let_through.wait()
        self.said.append(change)
        return True


async def _all_said(insistence: Insistence) -> None:
    async with asyncio.timeout(60.0):
        while len(insistence):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_many_changes_are_owed_by_one_task_and_those_of_a_tenant_are_one() -> None:
    redis = Redis(away=3)
    insistence, before = Insistence(redis.say, first_s=0.0), len(asyncio.all_tasks())

    for number in range(100):
        insistence.begin(TenantChange(f"t{number % 2}", (f"{number // 50}",), (f"kid-{number}",)))

    assert (len(insistence), len(asyncio.all_tasks())) == (2, before + 1)
    await _all_said(insistence)
    # One try for each time that nobody was there, and not one for each change.
    assert redis.tries == 5
    assert [(one.tenant_id, one.phone_numbers, len(one.kids)) for one in redis.said] == [
        ("t0", ("0", "1"), 50),
        ("t1", ("0", "1"), 50),
    ]


async def test_what_changes_while_it_is_said_is_said_once_more() -> None:
    redis = Redis()
    insistence = Insistence(redis.say, first_s=0.0)
    redis.let_through.clear()
    insistence.begin(TenantChange("t", ("1",)))
    while not redis.tries:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)

    insistence.begin(TenantChange("t", ("2",)))
    redis.let_through.set()
    await _all_said(insistence)

    assert [one.phone_numbers for one in redis.said] == [("1",), ("1", "2")]


async def test_a_fault_in_saying_is_no_end_of_it() -> None:
    redis = Redis()
    faults = [RuntimeError("a fault")]

    async def say(change: TenantChange) -> bool:
        if faults:
            raise faults.pop()
        return await redis.say(change)

    insistence = Insistence(say, first_s=0.0)
    insistence.begin(TenantChange("t", ("1",)))
    await _all_said(insistence)

    assert [one.phone_numbers for one in redis.said] == [("1",)]


async def test_after_all_was_said_the_next_change_is_too() -> None:
    redis = Redis()
    insistence = Insistence(redis.say, first_s=0.0)

    for number in range(2):
        insistence.begin(TenantChange(f"t{number}"))
        await _all_said(insistence)

    assert [one.tenant_id for one in redis.said] == ["t0", "t1"]


async def test_what_is_owed_is_given_up_when_it_is_closed() -> None:
    redis = Redis()
    redis.let_through.clear()
    insistence = Insistence(redis.say)
    insistence.begin(TenantChange("t"))
    while not redis.tries:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)

    await insistence.aclose()
    await insistence.aclose()

    assert (len(insistence), redis.said) == (0, [])
