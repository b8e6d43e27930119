"""Which shards are left alone because they did not answer a moment ago. Pure; takes ``now``."""

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
    """A circuit breaker for each shard.

    A shard that hangs costs the calls that are under way their patience, and those after them nothing. A shard counts
    as silent if it answered none of a call's units. Weakness: units that wait for locks of one tenant alone look the
    same; then the probe finds the shard well after half a second.
    """

    def __init__(self, policy: BreakerPolicy = _POLICY) -> None:
        self._policy = policy
        self._breakers: dict[int, Breaker] = {}

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

    def note(self, answers: Iterable[tuple[int, UnitOutcome]], now: float) -> None:
        """Take note of how the units of a call or a probe ended, each with its shard."""
        silent: dict[int, bool] = {}
        for shard, outcome in answers:
            silent[shard] = silent.get(shard, True) and _is_silence(outcome.error)
        for shard, is_silent in silent.items():
            if is_silent:
                self._breakers.setdefault(shard, Breaker(self._policy)).failed(now)
            elif shard in self._breakers:
                del self._breakers[shard]


def _is_silence(error: SpazaError | None) -> bool:
    return isinstance(error, ShardUnavailableError | CommitUnknownError | UnitTimeoutError)
