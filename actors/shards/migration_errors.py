"""Why migrations are refused before anything is touched.

SetupError
    MigrationRefusedError       the files and the databases do not go together
        MigrationChangedError   a file is not the one that was applied
        MigrationOrderError     an earlier release was not ended
        NewerDatabaseError      the databases have migrations that these files do not know
        UnknownCanaryError      a canary is no tenant of these databases
        NoShardError            no database answers
"""

from typing import ClassVar

from actors.shards.errors import SetupError


class MigrationRefusedError(SetupError):
    """The migrations cannot be applied to these databases as they are. Nothing was touched."""

    code: ClassVar[str] = "migration_refused"


class MigrationChangedError(MigrationRefusedError):
    """A file was changed after it had been applied."""

    code: ClassVar[str] = "migration_changed"

    def __init__(self, name: str, applied_as: str, where: str, next_number: str) -> None:
        # Past the parent's, for an error arrives with the arguments that it was made of.
        Exception.__init__(self, name, applied_as, where, next_number)
        self.name, self.applied_as, self.where, self.next_number = name, applied_as, where, next_number

    def __str__(self) -> str:
        other = "" if self.name == self.applied_as else f" as {self.applied_as}"
        return (
            f"migration {self.name} is not the text that was applied{other} in {self.where}. Put the file back as it "
            "was (the database keeps its text in spaza.schema_migration), and write the change as a new file, "
            f"{self.next_number}_pre_... or {self.next_number}_post_...; nothing was touched"
        )


class MigrationOrderError(MigrationRefusedError):
    """A migration that is to come before the new code stands behind one that has to wait for an earlier code's end."""

    code: ClassVar[str] = "migration_order"

    def __init__(self, post: str, pre: str) -> None:
        Exception.__init__(self, post, pre)
        self.post, self.pre = post, pre

    def __str__(self) -> str:
        return (
            f"{self.pre} is to come before the new code, but {self.post} of an earlier release stands before it and "
            "has not been applied everywhere. End that release first: when none of the code before it runs any more, "
            "`spaza migrate --phase post` from that release. Or stop everything and say `spaza migrate` without a "
            "phase; nothing was touched"
        )


class NewerDatabaseError(MigrationRefusedError):
    """The databases belong to a newer Spaza."""

    code: ClassVar[str] = "newer_database"

    def __init__(self, where: str, version: int, newest: int) -> None:
        Exception.__init__(self, where, version, newest)
        self.where, self.version, self.newest = where, version, newest

    def __str__(self) -> str:
        return (
            f"{self.where} has been migrated to {self.version:04d}, and the files here end at {self.newest:04d}: they "
            "are of an older Spaza. Use `spaza migrate` of the newer one; nothing was touched"
        )


class UnknownCanaryError(MigrationRefusedError):
    """A tenant that is to go first is not there."""

    code: ClassVar[str] = "unknown_canary"

    def __init__(self, tenant_id: str, silent: tuple[int, ...]) -> None:
        Exception.__init__(self, tenant_id, silent)
        self.tenant_id, self.silent = tenant_id, silent

    def __str__(self) -> str:
        asked = f" (shards {', '.join(f'{shard:02d}' for shard in self.silent)} did not answer)" if self.silent else ""
        return (
            f"the canary {self.tenant_id} is no tenant on these shards{asked}. Correct --canary or "
            "SPAZA_MIGRATIONS__CANARIES: tenants' ids, 32 hexadecimal digits each; nothing was touched"
        )


class NoShardError(MigrationRefusedError):
    """None of the databases answers."""

    code: ClassVar[str] = "no_shard"
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"no shard answers ({self.reason.rstrip('.')}): start its server, or correct SPAZA_POSTGRES__DSN"
