"""What can go wrong with a shard.

ShardError
    ShardUnavailableError       no server, no connection, or no actor: nothing of the unit is there
    CommitUnknownError          the answer to a commit was lost: the unit may be there, or not
    OverloadedError             too many units wait already: nothing was tried
    UnitTimeoutError            the call's deadline passed before the commit: nothing of the unit is there
    UnitFailedError             the unit was refused by PostgreSQL or has a fault: nothing of it is there
    UnknownUnitError            no unit of that name is registered
    NoSuchShardError            not the number of a shard
    WrongTenantError            not the id of a tenant
    TenantMovedError            the tenant is not on this shard, or not any more: nothing of the unit is there
    MoveError                   see move_errors
    ShardsMissingError          not all shards answered a question to all of them
    InvalidCursorError          not the cursor of a page of this query
    SetupError                  the databases or roles could not be made
        MigrationFailedError    one migration could not be applied; what came before it stands
            SchemaGoneError     its schema was taken away meanwhile
    WrongSealingKeyError        the databases were made under another sealing key: nothing was changed
"""

from typing import ClassVar

from kernel.errors import SpazaError


class ShardError(SpazaError):
    """Anything that goes wrong with a shard."""

    code: ClassVar[str] = "shard_error"


class ShardUnavailableError(ShardError):
    """The shard cannot be reached now; nothing of the unit is there. Try again later."""

    code: ClassVar[str] = "shard_unavailable"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, shard: int, reason: str) -> None:
        super().__init__(shard, reason)
        self.shard, self.reason = shard, reason

    def __str__(self) -> str:
        return f"shard {self.shard:02d} is unavailable: {self.reason}"


class CommitUnknownError(ShardError):
    """Whether the unit committed is not known. Run it again only if it recognises its own effects."""

    code: ClassVar[str] = "commit_unknown"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, shard: int, reason: str) -> None:
        super().__init__(shard, reason)
        self.shard, self.reason = shard, reason

    def __str__(self) -> str:
        return f"shard {self.shard:02d} went away before it answered, the unit may be there or not: {self.reason}"


class OverloadedError(ShardError):
    """Too many units wait for this shard. Nothing was tried; come back after ``retry_after_s`` seconds."""

    code: ClassVar[str] = "shard_overloaded"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, shard: int, retry_after_s: float) -> None:
        super().__init__(shard, retry_after_s)
        self.shard, self.retry_after_s = shard, retry_after_s

    def __str__(self) -> str:
        return f"shard {self.shard:02d} has too many units waiting; retry after {self.retry_after_s:.2f} s"


class UnitTimeoutError(ShardError):
    """The deadline passed before the unit could commit; nothing of it is there."""

    code: ClassVar[str] = "unit_timeout"
    http_status: ClassVar[int] = 504
    retryable: ClassVar[bool] = True

    def __init__(self, name: str, shard: int) -> None:
        super().__init__(name, shard)
        self.name, self.shard = name, shard

    def __str__(self) -> str:
        return f"unit {self.name} did not end in time on shard {self.shard:02d} and was rolled back"


class UnitFailedError(ShardError):
    """The unit failed and was rolled back.

    Attributes:
        sqlstate: PostgreSQL's code, such as 23505 for a duplicate; empty for a fault in the unit's own code.
        detail: the kind of the failure. Never PostgreSQL's text, which quotes rows.
    """

    code: ClassVar[str] = "unit_failed"

    def __init__(self, name: str, sqlstate: str, detail: str) -> None:
        super().__init__(name, sqlstate, detail)
        self.name, self.sqlstate, self.detail = name, sqlstate, detail

    def __str__(self) -> str:
        state = f" (SQLSTATE {self.sqlstate})" if self.sqlstate else ""
        return f"unit {self.name} failed and was rolled back: {self.detail}{state}"


class UnknownUnitError(ShardError):
    """No unit of this name is registered; the composition root lists them."""

    code: ClassVar[str] = "unknown_unit"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no unit of work is registered as {self.name}"


class NoSuchShardError(ShardError):
    """What was given is not a shard's number, which is 0 to 31."""

    code: ClassVar[str] = "no_such_shard"

    def __init__(self, shard: int) -> None:
        super().__init__(shard)
        self.shard = shard

    def __str__(self) -> str:
        return f"shard {self.shard} does not exist; shards are 0 to 31"


class WrongTenantError(ShardError):
    """What was given is not a tenant's id, which is 32 lower-case hexadecimal digits."""

    code: ClassVar[str] = "wrong_tenant"

    def __init__(self, tenant_id: str) -> None:
        super().__init__(tenant_id)
        self.tenant_id = tenant_id

    def __str__(self) -> str:
        return f"{self.tenant_id!r} is not a tenant's id: 32 lower-case hexadecimal digits are"


class TenantMovedError(ShardError):
    """The tenant is being moved, or lives on another shard by now. Look its shard up anew and come again."""

    code: ClassVar[str] = "tenant_moved"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, tenant_id: str, shard: int) -> None:
        super().__init__(tenant_id, shard)
        self.tenant_id, self.shard = tenant_id, shard

    def __str__(self) -> str:
        return f"tenant {self.tenant_id} is not served on shard {self.shard:02d}: it is being moved, or was"


class ShardsMissingError(ShardError):
    """Shards did not answer a question to all of them, and an answer without them was not wanted, or none did."""

    code: ClassVar[str] = "shards_missing"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, unit: str, shards: tuple[int, ...], reason: str) -> None:
        super().__init__(unit, shards, reason)
        self.unit, self.shards, self.reason = unit, shards, reason

    def __str__(self) -> str:
        named = ", ".join(f"{shard:02d}" for shard in self.shards)
        return f"{self.unit}: no answer from shards {named}; the first of them: {self.reason}"


class InvalidCursorError(ShardError):
    """The text is no cursor of a page of this query. Begin again without one."""

    code: ClassVar[str] = "invalid_cursor"
    http_status: ClassVar[int] = 400

    def __init__(self, query: str) -> None:
        super().__init__(query)
        self.query = query

    def __str__(self) -> str:
        return f"cursor: is none that a page of {self.query} ended with; leave it out to begin again"


class SetupError(ShardError):
    """The databases, roles or tables could not be made."""

    code: ClassVar[str] = "shard_setup_failed"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return f"could not set up {self.what}: {self.reason}"


class MigrationFailedError(SetupError):
    """A migration could not be applied. Those before it stand; running again goes on from there."""

    code: ClassVar[str] = "migration_failed"


class SchemaGoneError(MigrationFailedError):
    """The schema that was to be migrated is not there: its tenant was removed meanwhile, or has moved."""

    code: ClassVar[str] = "schema_gone"


class WrongSealingKeyError(ShardError):
    """The databases belong to another sealing key. Nothing was changed in them."""

    code: ClassVar[str] = "wrong_sealing_key"

    def __init__(self, database: str) -> None:
        super().__init__(database)
        self.database = database

    def __str__(self) -> str:
        return (
            f"database {self.database} was set up under another sealing key, and what is sealed in it cannot be "
            "opened with this one. Set SPAZA_SECRETS__KEY to that key (the demo keeps its own as secrets.key in "
            "SPAZA_DATA_DIR), or name it in SPAZA_SECRETS__OTHER_KEYS until spaza tenant reseal has done its work, or, "
            "if it is lost, start with other databases (SPAZA_POSTGRES__DSN, SPAZA_DATA_DIR)"
        )
