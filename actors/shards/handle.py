"""The way to the shards: the only place that calls ``.remote()`` on a ShardPool actor, and that creates them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from actors.detached import start_detached
from actors.redeploy import deployed_as, retire_changed
from actors.shards.access import ShardAccess
from actors.shards.actor import ShardPoolActor
from actors.shards.errors import CommitUnknownError, NoSuchShardError, ShardError, ShardUnavailableError
from actors.shards.following import Following, has_moved
from actors.shards.guard import PROBE_S, ShardGuard
from actors.shards.placement import SHARDS, group_of, groups
from actors.shards.probe import PROBE
from actors.shards.unit import UnitCall, UnitOutcome
from config.topology import Topology
from telemetry.log import few, get_logger

NAMESPACE = "spaza"
_FAMILY = "shards:"
# What the actor's own deadline is given to arrive here as an answer.
_HOP_S = 1.0
_STATISTICS_S = 2.0
# Who waits for a unit has been acknowledged already; where processors are short those go first who were not.
_NICENESS = 5
_log = get_logger("shards")


def actor_name(group: int) -> str:
    """The Ray name of the actor that owns a group of shards."""
    return f"{_FAMILY}{group}"


def start_shards(
    access: ShardAccess,
    *,
    units: str,
    topology: Topology | None,
    shards_per_actor: int,
    chores: Sequence[str] = (),
    release: str = "",
    log_level: str = "INFO",
    timeout_s: float = 60.0,
) -> None:
    """Create the ShardPool actors that are not there yet, and wait until all answer.

    Those that run with other settings or code finish what they do first, and are replaced.

    The databases must have been set up. Call it where Ray is initialised, in synchronous code.

    Args:
        access: how the actors reach the shards; without the owner's credentials.
        units: import path of the registry of units, such as ``serve_app:UNITS``.
        topology: by which units publish; None where none does.
        shards_per_actor: how many shards one actor owns.
        chores: names of system units without arguments that each shard needs from time to time.
        release: names the code of the units; actors with another one are replaced.
        log_level: of the actors.
        timeout_s: for all of them together.

    Raises:
        ray.exceptions.RayError: an actor could not be created, or did not answer in time.
    """
    wanted: dict[str, tuple[Any, ...]] = {}
    for group, shards in groups(shards_per_actor).items():
        given = (access, tuple(shards), units, topology, tuple(chores), log_level)
        # As a plain tuple, for the text of access leaves its secrets out.
        wanted[actor_name(group)] = (*given, deployed_as(release, tuple(access), *given[1:]))
    named = {name: arguments[-1] for name, arguments in wanted.items()}
    retire_changed(named, NAMESPACE, family=f"{_FAMILY}.*")
    wanted = {name: (*arguments, _NICENESS) for name, arguments in wanted.items()}
    start_detached(ShardPoolActor, wanted, NAMESPACE, timeout_s=timeout_s)


class ShardsHandle:
    """Runs units of work on their shards: one Ray call for each actor concerned, whatever the number of units.

    Holds nothing but references to the actors and what it knows of shards that do not answer: those are probed in the
    background, and left alone where the probe is not answered, so that a shard that hangs costs patience only until
    then. Any number of these may exist. Safe to use from many tasks of one event loop.
    """

    def __init__(self, shards_per_actor: int) -> None:
        self._shards_per_actor = shards_per_actor
        self._actors: dict[int, Any] = {}
        self._guard = ShardGuard()
        self._probes: set[asyncio.Task[None]] = set()
        self._following = Following(self._run)

    async def run(
        self,
        calls: Sequence[UnitCall],
        *,
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> list[UnitOutcome]:
        """Run units of work, each in a transaction of its own, and wait for all.

        Args:
            calls: in any number, for any shards.
            timeout_s: what has not committed by then is rolled back.
            answered: called with the outcomes of each actor's units as it answers, for who can do something with
                them before the last has answered.

        Returns:
            An outcome for each call, in their order. It never raises for a unit: what went wrong stands in its
            outcome. Where an actor could not be reached, or the shard did not answer a moment ago, the error is a
            ``ShardUnavailableError``, and a ``CommitUnknownError`` if the actor was lost after the units were sent.
            A shard that does not exist is a ``NoSuchShardError``.
            Units whose tenant has moved are run where it is; if that took too long it is a ``TenantMovedError``.
        """
        began = _now()
        outcomes = await self._run(calls, timeout_s, answered)
        if any(map(has_moved, outcomes)):
            await self._following.follow(calls, outcomes, began + timeout_s - _now(), answered)
        return outcomes

    async def _run(
        self,
        calls: Sequence[UnitCall],
        timeout_s: float,
        answered: Callable[[Sequence[UnitOutcome]], None] | None = None,
    ) -> list[UnitOutcome]:
        # What may be a standby's says nothing of the primary, and is not refused for it.
        admitted = self._guard.admit({call.shard for call in calls if call.max_staleness_s is None}, _now())
        for shard in admitted.probes:
            self._probe_soon(shard)
        outcomes: dict[int, UnitOutcome] = {}
        positions: defaultdict[int, list[int]] = defaultdict(list)
        for position, call in enumerate(calls):
            refusal: ShardError | None = admitted.refused.get(call.shard) if call.max_staleness_s is None else None
            if not 0 <= call.shard < SHARDS:
                refusal = NoSuchShardError(call.shard)
            if refusal is None:
                positions[group_of(call.shard, self._shards_per_actor)].append(position)
            else:
                outcomes[position] = UnitOutcome(None, (), refusal)

        async def ask(group: int, wanted: Sequence[int]) -> None:
            answer = await self._ask(group, [calls[at] for at in wanted], timeout_s)
            outcomes.update(zip(wanted, answer, strict=True))
            told = [(calls[at], outcome) for at, outcome in zip(wanted, answer, strict=True)]
            answers = ((call.shard, one) for call, one in told if call.max_staleness_s is None)
            for shard in self._guard.note(answers, _now()):
                self._probe_soon(shard)
            if answered is not None:
                answered(answer)

        await asyncio.gather(*(ask(group, wanted) for group, wanted in positions.items()))
        return [outcomes[position] for position in range(len(calls))]

    async def statistics(self) -> Mapping[int, Mapping[str, Any]]:
        """The figures of each shard's pool; shards whose actor does not answer are missing."""
        answers = await asyncio.gather(*(self._figures(group) for group in groups(self._shards_per_actor)))
        return {shard: figures for answer in answers for shard, figures in answer.items()}

    async def _ask(self, group: int, calls: list[UnitCall], timeout_s: float) -> list[UnitOutcome]:
        try:
            async with asyncio.timeout(timeout_s):
                actor = await self._actor(group)
        except (ValueError, RayError, TimeoutError) as error:
            reason = f"actor {actor_name(group)} was not found ({type(error).__name__})"
            return [UnitOutcome(None, (), ShardUnavailableError(call.shard, reason)) for call in calls]
        try:
            async with asyncio.timeout(timeout_s + _HOP_S):
                answer: list[UnitOutcome] = await actor.run.remote(calls, timeout_s)
                return answer
        except (RayError, TimeoutError) as error:
            # Ray cannot say whether a call that failed like this was begun.
            if isinstance(error, RayActorError):
                self._actors.pop(group, None)
            _log.warning(
                "shard_actor_lost", actor=actor_name(group), units=len(calls), error=type(error).__name__,
                correlation_ids=few(call.correlation_id for call in calls),
            )  # fmt: skip
            reason = f"actor {actor_name(group)}: {type(error).__name__}"
            return [UnitOutcome(None, (), CommitUnknownError(call.shard, reason)) for call in calls]

    def _probe_soon(self, shard: int) -> None:
        task = asyncio.get_running_loop().create_task(self._probe(shard))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def _probe(self, shard: int) -> None:
        call = UnitCall(PROBE, shard, "", None)
        [outcome] = await self._ask(group_of(shard, self._shards_per_actor), [call], PROBE_S / 2)
        self._guard.probed(shard, outcome, _now())
        _log.info("shard_probed", shard=shard, well=outcome.error is None)

    async def _figures(self, group: int) -> Mapping[int, Mapping[str, Any]]:
        try:
            async with asyncio.timeout(_STATISTICS_S):
                figures: Mapping[int, Mapping[str, Any]] = await (await self._actor(group)).statistics.remote()
                return figures
        except (ValueError, RayError, TimeoutError) as error:
            _log.warning("shard_statistics_missing", actor=actor_name(group), error=type(error).__name__)
            return {}

    async def _actor(self, group: int) -> Any:
        actor = self._actors.get(group)
        if actor is None:
            # Looking a name up asks Ray's control service and blocks.
            actor = await asyncio.to_thread(ray.get_actor, actor_name(group), namespace=NAMESPACE)
            self._actors[group] = actor
        return actor


def _now() -> float:
    return asyncio.get_running_loop().time()
