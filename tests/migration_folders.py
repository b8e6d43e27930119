"""Folders of migrations for tests: those of this installation, and more."""

import shutil
from pathlib import Path

from actors.shards.migration_files import FOLDER, SHARED, TENANT, MigrationFiles

# What a release brings: a column with a default, an index, and a table of its own under row level security.
REAL = """
ALTER TABLE {schema}.product ADD COLUMN barcode text, ADD COLUMN weight_g integer NOT NULL DEFAULT 0;
CREATE INDEX product_by_barcode ON {schema}.product (barcode) WHERE barcode IS NOT NULL;
CREATE TABLE {schema}.supplier (
    tenant_id text NOT NULL DEFAULT '{tenant_id}' CHECK (tenant_id = '{tenant_id}'),
    id        text NOT NULL PRIMARY KEY,
    name      text NOT NULL
);
ALTER TABLE {schema}.supplier ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {schema}.supplier TO spaza_app
    USING (tenant_id = nullif(current_setting('app.current_tenant', true), ''))
    WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant', true), ''));
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.supplier TO spaza_app;
"""


class Release:
    """A copy of this installation's files in a folder, to which more can be added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (SHARED, TENANT):
            shutil.copytree(FOLDER / name, folder / name)

    def add(self, sql: str, *, phase: str = "pre", kind: str = TENANT, what: str = "added") -> str:
        """Add a file behind the others, and say its name."""
        number = len([*(self.folder / kind).glob("*.sql")]) + 1
        name = f"{number:04d}_{phase}_{what}"
        (self.folder / kind / f"{name}.sql").write_text(sql, encoding="utf-8")
        return name

    def rewrite(self, name: str, sql: str, *, kind: str = TENANT) -> None:
        """Change a file that is there."""
        (self.folder / kind / f"{name}.sql").write_text(sql, encoding="utf-8")

    @property
    def files(self) -> MigrationFiles:
        """All of them as they are now."""
        return MigrationFiles.of(self.folder)
