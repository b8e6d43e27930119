"""Who is what, over starts with more and fewer standbys."""

from pathlib import Path

import pytest

from cluster.errors import DataFolderError
from cluster.replicas.roles import Roles, read_roles, wanted_roles, write_roles


def test_who_is_what_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_roles(tmp_path) is None

    for roles in (Roles(1, 2), Roles(3, 2, fenced=True, strayed=(1, 2))):
        write_roles(tmp_path, roles)
        assert read_roles(tmp_path) == roles


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"primary": 9, "replicas": 2, "fenced": false, "strayed": []}'])
def test_what_cannot_be_read_is_not_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "postgres.roles.json").write_text(text, encoding="utf-8")

    with pytest.raises(DataFolderError):
        read_roles(tmp_path)


@pytest.mark.parametrize(
    ("kept", "replicas", "wanted"),
    [
        # One server that never had a standby needs no roles.
        (None, None, None),
        (None, 0, None),
        (None, 2, Roles(1, 2, strayed=(2, 3))),
        # As many as there were.
        (Roles(2, 2), None, Roles(2, 2)),
        (Roles(2, 2, strayed=(1,)), 2, Roles(2, 2, strayed=(1,))),
        # Who was promoted stays the primary, alone too.
        (Roles(3, 2), 0, Roles(3, 0)),
        # What was away while there were fewer has missed commits.
        (Roles(3, 0), 2, Roles(3, 2, strayed=(1, 2))),
        (Roles(1, 1), 2, Roles(1, 2, strayed=(3,))),
        (Roles(1, 2, strayed=(3,)), 1, Roles(1, 1)),
    ],
)
def test_a_start_has_the_standbys_that_are_asked_for_and_trusts_those_that_were_there(
    kept: Roles | None, replicas: int | None, wanted: Roles | None
) -> None:
    assert wanted_roles(kept, replicas) == wanted


def test_the_primary_is_always_among_the_members() -> None:
    assert Roles(1, 2).members == (1, 2, 3)
    assert Roles(4, 1).members == (1, 4)
    assert Roles(4, 1).standbys == (1,)
    assert Roles(2, 0).members == (2,)
