"""Where an owner of a partition stands. The journal's epoch decides; this is what the owner knows of it."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What a partition's would-be owner is about."""

    STARTING = "starting"  # has not owned it yet
    OWNING = "owning"
    RECOVERING = "recovering"  # owned it, and the journal could not be reached or a write is in doubt
    PASSIVE = "passive"  # somebody else owns it
    STOPPED = "stopped"  # has handed it over


class OwnershipPolicy(NamedTuple):
    """How ownership is kept, in seconds.

    Attributes:
        lease_s: how long an owner counts as alive without a renewal.
        renew_s: between two renewals.
        tick_s: between two looks at the journal, which renew and sweep.
        passive_s: between two attempts while somebody else owns the partition.
        retry_first_s: before the first new attempt after a failure; doubles up to ``retry_longest_s``.
        retry_longest_s: most between two attempts.
    """

    lease_s: float = 5.0
    renew_s: float = 1.5
    tick_s: float = 1.0
    passive_s: float = 1.0
    retry_first_s: float = 0.05
    retry_longest_s: float = 1.0
