from pathlib import Path

import pytest

from actors.shards.migrations import FOLDER, load_migrations


def _write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text(f"SELECT '{name}'")
    return folder


def test_migrations_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _write(tmp_path, "0002_post_b.sql", "0001_pre_a.sql", "0003_pre_c.sql")

    assert [(one.number, one.name) for one in load_migrations(tmp_path)] == [
        (1, "0001_pre_a"), (2, "0002_post_b"), (3, "0003_pre_c"),
    ]  # fmt: skip


def test_a_folder_without_migrations_has_none(tmp_path: Path) -> None:
    assert load_migrations(tmp_path) == ()


@pytest.mark.parametrize(
    "names",
    [
        ("0001_pre_a.sql", "0003_pre_c.sql"),
        ("0002_pre_b.sql",),
        ("0001_pre_a.sql", "0001_pre_b.sql"),
    ],
)
def test_gaps_and_repeats_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="without gaps"):
        load_migrations(_write(tmp_path, *names))


@pytest.mark.parametrize("name", ["1_pre_a.sql", "0001_a.sql", "0001_pre_A.sql"])
def test_names_of_another_form_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="NNNN_pre_what"):
        load_migrations(_write(tmp_path, name))


@pytest.mark.parametrize("folder", ["shared", "tenant"])
def test_every_table_of_ours_forces_row_level_security(folder: str) -> None:
    for migration in load_migrations(FOLDER / folder):
        tables = [line.split()[2] for line in migration.sql.splitlines() if line.startswith("CREATE TABLE")]
        for table in tables:
            forced = [
                line
                for line in migration.sql.splitlines()
                if line.startswith(f"ALTER TABLE {table} ") and "FORCE ROW LEVEL SECURITY" in line
            ]
            assert forced, f"{migration.name}: {table}"
