"""Which shards are left alone because they do not answer. Pure; takes ``now``."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from actors.shards.errors import CommitUnknownError, ShardUnavailableError, UnitTimeoutError
from actors.shards.unit import UnitOutcome
from kernel.breaker import Admission, Breaker, BreakerPolicy
from kernel.errors import SpazaError

PROBE_S = 3.0
# The longest pause is about as long as those wait who were refused, so they come again when it is over.
_POLICY = BreakerPolicy(first_s=0.5, longest_s=2.0, probe_s=PROBE_S + 2.0)


class Admitted(NamedTuple):
    """Where units may go now.

    Attributes:
        refused: shards that are left alone, with the error for their units.
        probes: those of them that are to be tried, by nobody's unit.
    """

    refused: Mapping[int, ShardUnavailableError]
    probes: tuple[int, ...]


class ShardGuard:
    """A circuit breaker for each shard, which probes alone open.

    A unit that got no answer may have waited for what its own tenant holds, so it says nothing of the shard, and its
    neighbours are not refused for it. Where a call's units got none at all, the shard is probed; while nothing comes
    back the calls wait their patience, and once the probe has failed the next wait for nothing.
    """

    def __init__(self, policy: BreakerPolicy = _POLICY) -> None:
        self._policy = policy
        self._breakers: dict[int, Breaker] = {}
        # Until when a shard is not to be probed again: one probe is under way, or has just gone well.
        self._not_before: dict[int, float] = {}

    def admit(self, shards: Collection[int], now: float) -> Admitted:
        """Ask before a call, with the shards of its units."""
        refused: dict[int, ShardUnavailableError] = {}
        probes: list[int] = []
        for shard in self._breakers.keys() & shards:
            admission = self._breakers[shard].admit(now)
            if admission is not Admission.GO:
                refused[shard] = ShardUnavailableError(shard, "it did not answer a moment ago")
            if admission is Admission.PROBE:
                probes.append(shard)
        return Admitted(refused, tuple(probes))

    def note(self, answers: Iterable[tuple[int, UnitOutcome]], now: float) -> tuple[int, ...]:
        """Take note of how the units of a call ended, each with its shard. Returns the shards to be probed now."""
        silent: dict[int, bool] = {}
        for shard, outcome in answers:
            silent[shard] = silent.get(shard, True) and _is_silence(outcome.error)
        probes: list[int] = []
        for shard, is_silent in silent.items():
            if not is_silent:
                self._breakers.pop(shard, None)
            elif shard not in self._breakers and self._not_before.get(shard, now) <= now:
                self._not_before[shard] = now + self._policy.probe_s
                probes.append(shard)
        return tuple(probes)

    def probed(self, shard: int, outcome: UnitOutcome, now: float) -> None:
        """Take note of how a probe ended."""
        if _is_silence(outcome.error):
            self._breakers.setdefault(shard, Breaker(self._policy)).failed(now)
            self._not_before.pop(shard, None)
        else:
            self._breakers.pop(shard, None)
            self._not_before[shard] = now + self._policy.first_s


def _is_silence(error: SpazaError | None) -> bool:
    return isinstance(error, ShardUnavailableError | CommitUnknownError | UnitTimeoutError)
