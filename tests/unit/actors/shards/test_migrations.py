from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.shards.migration_errors import MigrationChangedError, MigrationOrderError
from actors.shards.migration_files import (
    FOLDER,
    Migration,
    Phase,
    for_a_new_schema,
    load_migrations,
    pending,
    refuse_changed,
)


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


def test_a_folder_of_such_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_pre_a.sql").mkdir()

    with pytest.raises(ValueError, match="this is a folder"):
        load_migrations(tmp_path)


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


def _migrations(*phases: str) -> tuple[Migration, ...]:
    return tuple(
        Migration(number, f"{number:04d}_{phase}_x", f"SELECT {number}") for number, phase in enumerate(phases, 1)
    )


def _numbers(migrations: Sequence[Migration]) -> list[int]:
    return [one.number for one in migrations]


@pytest.mark.parametrize("text", ["BEGIN;\nSELECT 1", "SELECT 1;\n  commit;", "Start  Transaction;"])
def test_a_file_that_ends_its_transaction_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "0001_pre_a.sql").write_text(text)

    with pytest.raises(ValueError, match="take BEGIN and COMMIT out"):
        load_migrations(tmp_path)


@pytest.mark.parametrize(
    ("phases", "version", "phase", "expected"),
    [
        (("pre", "pre", "post"), 1, Phase.PRE, [2]),
        (("pre", "pre", "post"), 2, Phase.PRE, []),
        (("pre", "pre", "post"), 1, Phase.POST, [2, 3]),
        (("pre", "pre", "post"), 1, None, [2, 3]),
        (("pre", "post", "pre"), 2, Phase.PRE, [3]),
        # A new schema has no old code.
        (("pre", "post", "pre"), 0, Phase.PRE, [1, 2, 3]),
        # Databases that are newer than the files need nothing of them.
        (("pre",), 5, Phase.PRE, []),
        (("pre",), 5, None, []),
    ],
)
def test_a_phase_gives_what_may_come_now(
    phases: tuple[str, ...], version: int, phase: Phase | None, expected: list[int]
) -> None:
    assert _numbers(pending(_migrations(*phases), version, phase)) == expected


def test_what_comes_before_the_code_does_not_jump_over_what_an_earlier_release_left_undone() -> None:
    with pytest.raises(MigrationOrderError, match=r"0003_pre_x.*0002_post_x"):
        pending(_migrations("pre", "post", "pre"), 1, Phase.PRE)


@pytest.mark.parametrize(
    ("released", "expected"),
    [
        (0, [1, 2, 3, 4, 5]),
        (1, [1, 2]),
        (2, [1, 2]),
        (3, [1, 2, 3, 4]),
        (5, [1, 2, 3, 4, 5]),
    ],
)
def test_a_new_schema_has_what_was_released_and_what_old_code_can_live_with(released: int, expected: list[int]) -> None:
    files = _migrations("pre", "pre", "post", "pre", "post")

    assert _numbers(for_a_new_schema(files, files[:released])) == expected


def test_a_new_schema_has_what_was_released_by_a_newer_release_than_its_makers() -> None:
    files = _migrations("pre", "pre", "post")

    assert for_a_new_schema(files[:1], files) == files


def test_a_changed_file_is_refused_only_if_somebody_has_it() -> None:
    files = _migrations("pre", "pre")
    kept = {one.number: (one.name, one.checksum) for one in files}
    changed = (files[0], files[1]._replace(sql="SELECT 'else'"))
    renamed = (files[0], files[1]._replace(name="0002_post_x"))

    refuse_changed(files, kept, 2, "shard 07")
    refuse_changed(changed, kept, 1, "shard 07")
    for given in (changed, renamed):
        with pytest.raises(MigrationChangedError, match=r"shard 07.*0003_pre"):
            refuse_changed(given, kept, 2, "shard 07")
