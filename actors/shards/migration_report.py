"""How far a migration of all tenants has come, how it ended, and what to do about those that failed. Pure."""

from typing import NamedTuple

from actors.shards.migration_plan import MigrationPlan

_LATER = "its tables were in use: run `spaza migrate` again at a quieter hour, or with a longer --lock-timeout-ms"
_SLOW = "it took too long: run `spaza migrate` again at a quieter hour, or with a longer --statement-timeout-s"
_SERVER = "its server did not answer: see to it, and run `spaza migrate` again, which goes on where it was"
_DRIFTED = (
    "its schema is not what it should be: `spaza migrate --drift` names what differs; mend that, and run it again"
)
_DATA = "its rows do not fit: mend them in schema tenant_{tenant} of shard {shard:02d} as the owner, and run it again"
_FILE = "correct what it says, and run `spaza migrate` again; a file that no tenant has got yet may still be changed"


class Progress(NamedTuple):
    """How far it is.

    Attributes:
        done: tenants that were dealt with, failed ones among them.
        total: tenants that were behind.
        failed: of those done.
        seconds: since it began.
    """

    done: int
    total: int
    failed: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Tenants a second, since it began."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest may take at the rate so far; None while nothing is known."""
        return (self.total - self.done) / self.per_s if self.done else None


class TenantFailure(NamedTuple):
    """A tenant that could not be brought up to date. What it had before it still has.

    Attributes:
        migration: that failed; empty if it did not come to one.
        sqlstate: PostgreSQL's code; empty if it did not answer.
    """

    tenant_id: str
    shard: int
    migration: str
    reason: str
    sqlstate: str

    @property
    def remedy(self) -> str:
        """What an operator is to do."""
        state = self.sqlstate
        if state == "57014":
            return _SLOW
        if not state or state[:2] in {"08", "53", "57", "58"}:
            return _SERVER
        if state in {"55P03", "40P01", "40001"}:
            return _LATER
        if state[:2] in {"22", "23"}:
            return _DATA.format(tenant=self.tenant_id, shard=self.shard)
        if state[:2] in {"42", "2B"}:
            return _DRIFTED
        return _FILE


class ShardFailure(NamedTuple):
    """A shard whose tenants were left alone, or those of them that it had not come to.

    Attributes:
        tenants: how many were behind there and still are, as far as it is known.
    """

    shard: int
    reason: str
    tenants: int

    @property
    def remedy(self) -> str:
        """What an operator is to do."""
        return "see to this shard, and run `spaza migrate` again; the others are not touched by it"


class MigrationReport(NamedTuple):
    """How it ended.

    Attributes:
        plan: with which it began.
        migrated: tenants that were brought up to date now.
        applied: migrations that were applied to them.
        shared: migrations of shared tables that were applied.
        failed: tenants that could not be.
        shards: that could not be reached, or whose shared tables could not be migrated.
        stopped: a canary failed, and so nothing but the canaries was touched.
        cut: the time that it was given ended before all was done.
        seconds: of all of it.
    """

    plan: MigrationPlan
    migrated: int
    applied: int
    shared: int
    failed: tuple[TenantFailure, ...]
    shards: tuple[ShardFailure, ...]
    stopped: bool
    cut: bool
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every tenant is as new as the phase has it."""
        return not (self.failed or self.shards or self.stopped or self.cut)
