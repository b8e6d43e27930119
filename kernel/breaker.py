"""A circuit breaker: what has just failed is left alone for a while, and then tried by one. Pure; takes ``now``."""

from enum import Enum
from typing import NamedTuple

from kernel.growth import growing_s


class BreakerPolicy(NamedTuple):
    """Seconds.

    Attributes:
        first_s: it is left alone after the first failure.
        longest_s: at most, after many in a row.
        probe_s: after which a probe that has told nothing is as good as failed, and another may try.
    """

    first_s: float
    longest_s: float
    probe_s: float


class Admission(Enum):
    """What somebody who wants to use it may do."""

    GO = "go"
    PROBE = "probe"
    """It is for the asker, and nobody else, to find out whether it is well again."""
    REFUSED = "refused"


class Breaker:
    """Closed while all is well; open for a pause after a failure; half open while one probes.

    A pause grows while probes fail. What was under way when it opened and fails later changes nothing.
    """

    __slots__ = ("_policy", "_probe_until", "_times", "_until")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._times = 0
        self._until = self._probe_until = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return self._times == 0

    def admit(self, now: float) -> Admission:
        """Ask before each use. Who is told to probe has to tell how it went."""
        if self._times == 0:
            return Admission.GO
        if now < self._until or now < self._probe_until:
            return Admission.REFUSED
        self._probe_until = now + self._policy.probe_s
        return Admission.PROBE

    def failed(self, now: float) -> None:
        """A use failed, or a probe did."""
        if self._times and now < self._until:
            return
        self._times += 1
        self._until = now + growing_s(self._times, self._policy.first_s, self._policy.longest_s)
        self._probe_until = 0.0

    def passed(self) -> None:
        """A use went well, or a probe did."""
        self._times = 0
        self._until = self._probe_until = 0.0
