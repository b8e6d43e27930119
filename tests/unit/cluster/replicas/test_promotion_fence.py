"""What is fenced is not launched as a primary, whoever tries."""

from pathlib import Path

import pytest

from cluster.errors import ServerStartError
from cluster.replicas.group import Group
from cluster.replicas.roles import Roles, read_roles


def _group(folder: Path, roles: Roles) -> Group:
    (folder / "postgres.password").write_text("secret", encoding="ascii")
    group = Group(folder, folder / "run", roles)
    for member in group.parts:
        member.folder.mkdir(exist_ok=True)
        (member.folder / "PG_VERSION").write_text("18", encoding="ascii")
    return group


def _launch(group: Group, number: int) -> None:
    prepare = group.members[number].server.before_launch
    assert prepare is not None
    prepare()


def test_a_primary_is_launched_unless_another_is_being_chosen(tmp_path: Path) -> None:
    group = _group(tmp_path, Roles(1, 2))

    _launch(group, 1)
    group.set_roles(group.roles._replace(fenced=True))
    with pytest.raises(ServerStartError, match="fenced"):
        _launch(group, 1)


def test_a_former_primary_is_launched_only_as_a_standby(tmp_path: Path) -> None:
    group = _group(tmp_path, Roles(2, 2))

    with pytest.raises(ServerStartError, match="PostgreSQL 2 is the primary now"):
        _launch(group, 1)

    (group.members[1].folder / "standby.signal").touch()
    _launch(group, 1)
    assert "primary_slot_name = 'spaza_1'" in (tmp_path / "postgres.conf").read_text(encoding="utf-8")


def test_the_fence_of_a_promotion_that_was_broken_off_is_lifted_by_the_next_start(tmp_path: Path) -> None:
    # Who is to be the primary is written down before it is promoted, so here nobody was.
    group = _group(tmp_path, Roles(1, 2, fenced=True))

    assert read_roles(tmp_path) == Roles(1, 2)
    _launch(group, 1)


def test_the_password_is_in_no_setting_and_for_the_owners_eyes_alone(tmp_path: Path) -> None:
    group = _group(tmp_path, Roles(1, 1))
    (group.members[2].folder / "standby.signal").touch()

    _launch(group, 2)

    assert "secret" not in (tmp_path / "postgres-2.conf").read_text(encoding="utf-8")
    assert (tmp_path / "postgres.passfile").stat().st_mode & 0o777 == 0o600
    assert "&port=5432,5433" in group.dsn
