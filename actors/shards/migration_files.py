"""Migrations as files: ordered SQL, and what of it a schema still needs. Pure but for reading the files.

A file is ``NNNN_pre_what.sql`` (before the code that needs it: old code works on the new tables) or
``NNNN_post_what.sql`` (after the code that no longer needs what goes), numbered from 0001 without gaps. ``{schema}``
and ``{tenant_id}`` in a tenant's files stand for its own.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Self

from actors.shards.migration_errors import MigrationChangedError, MigrationOrderError

FOLDER: Final = Path(__file__).with_name("migrations")
SHARED: Final = "shared"
TENANT: Final = "tenant"

_NAME = re.compile(r"(?P<number>\d{4})_(?:pre|post)_[a-z0-9_]+\.sql")
# A function's body has a BEGIN too, but no semicolon behind it.
_ENDS_TRANSACTION = re.compile(r"^\s*(?:BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION)\s*;", re.IGNORECASE | re.MULTILINE)


class Phase(StrEnum):
    """When a migration is applied: before the new code runs anywhere, or after the old code has ended everywhere."""

    PRE = "pre"
    POST = "post"


class Migration(NamedTuple):
    """One file.

    Attributes:
        number: from 1.
        name: of the file, without its ending.
        sql: its text, with placeholders.
    """

    number: int
    name: str
    sql: str

    @property
    def phase(self) -> Phase:
        """As the name says it."""
        return Phase(self.name.split("_")[1])

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, 64 hexadecimal digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a folder, in their order; none for a folder that is empty.

    Raises:
        ValueError: a name is not of the form or is a folder's, the numbers are not 1, 2, 3 and so on, or a file ends
            its transaction.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise ValueError(f"{path.name}: a migration is named NNNN_pre_what.sql or NNNN_post_what.sql")
        if path.is_dir():
            raise ValueError(f"{path.name}: a migration is a file, and this is a folder")
        sql = path.read_text(encoding="utf-8")
        if _ENDS_TRANSACTION.search(sql):
            raise ValueError(f"{path.name}: a migration runs in a transaction of its own; take BEGIN and COMMIT out")
        found.append(Migration(int(named["number"]), path.stem, sql))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"{folder.name}: migrations are numbered from 0001 without gaps or repeats, not {numbers}")
    return tuple(found)


class MigrationFiles(NamedTuple):
    """What is to be applied; those of this installation by default."""

    shared: tuple[Migration, ...]
    tenant: tuple[Migration, ...]

    @classmethod
    def of(cls, folder: Path = FOLDER) -> Self:
        """Read ``shared/`` and ``tenant/`` of a folder.

        Raises:
            ValueError: see ``load_migrations``.
        """
        return cls(load_migrations(folder / SHARED), load_migrations(folder / TENANT))


def pending(migrations: Sequence[Migration], version: int, phase: Phase | None) -> tuple[Migration, ...]:
    """What a schema still needs, in order.

    Args:
        migrations: all of them.
        version: how far the schema has come; 0 for a new one, which no old code uses and which gets everything.
        phase: ``PRE`` leaves out what is to come after the new code. ``POST`` and None leave out nothing: what had
            to come before is then overdue.

    Raises:
        MigrationOrderError: a ``pre`` stands behind a ``post`` that the schema has not got, so that an earlier release
            was not ended.
    """
    rest = tuple(migrations[version:])
    if phase is not Phase.PRE or version == 0:
        return rest
    posts = [at for at, one in enumerate(rest) if one.phase is Phase.POST]
    if not posts:
        return rest
    late = next((one for one in rest[posts[0] :] if one.phase is Phase.PRE), None)
    if late is not None:
        raise MigrationOrderError(rest[posts[0]].name, late.name)
    return rest[: posts[0]]


def for_a_new_schema(files: Sequence[Migration], released: Sequence[Migration]) -> tuple[Migration, ...]:
    """What a new tenant's schema is made of: all that its shard has released, and what old code can live with beyond.

    So a tenant that is made by old code while a new release rolls out is no older than its neighbours, and one that is
    made by new code misses nothing that this code needs. What comes after the code waits for its phase.

    Args:
        files: of this process; the newest of a shard that has released nothing yet.
        released: what the shard has, in order, from 1 without gaps.
    """
    if not released:
        return tuple(files)
    beyond: list[Migration] = []
    for migration in files[len(released) :]:
        if migration.phase is Phase.POST:
            break
        beyond.append(migration)
    return (*released, *beyond)


def refuse_changed(
    files: Sequence[Migration], released: Mapping[int, tuple[str, str]], applied: int, where: str
) -> None:
    """Make sure that what has been applied is what the files say.

    Args:
        files: of this process.
        released: number to name and checksum, as the database has them.
        applied: the highest number that any schema of the database has; what is beyond may still be changed.
        where: the database, for the message.

    Raises:
        MigrationChangedError: naming the first file that differs.
    """
    for migration in files[:applied]:
        kept = released.get(migration.number)
        if kept is not None and kept != (migration.name, migration.checksum):
            raise MigrationChangedError(migration.name, kept[0], where, f"{len(files) + 1:04d}")


def filled(sql: str, placeholders: Mapping[str, str]) -> str:
    """A text with ``{name}`` replaced. Values go in as they are: safe text only."""
    # Not str.format: braces are frequent in SQL.
    for name, value in placeholders.items():
        sql = sql.replace(f"{{{name}}}", value)
    return sql
