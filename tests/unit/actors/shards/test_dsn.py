import pytest

from actors.shards.dsn import database_of, maintenance_dsn, server_of, shard_dsn, without_credentials

SOCKET = "postgresql://spaza:pw@/?host=/run/pg&port=5433"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("postgresql://u:p@db:5432/anything", "postgresql://u:p@db:5432/shard_07"),
        ("postgres://u@db", "postgres://u@db/shard_07"),
        ("postgresql://u:p@db/spaza_{shard}?sslmode=require", "postgresql://u:p@db/spaza_07?sslmode=require"),
        ("postgresql://u:p@db-{shard}:5432/spaza", "postgresql://u:p@db-07:5432/spaza"),
        (SOCKET, "postgresql://spaza:pw@/shard_07?host=/run/pg&port=5433"),
    ],
)
def test_a_shards_dsn_names_its_database_or_follows_the_placeholder(template: str, expected: str) -> None:
    assert shard_dsn(template, 7) == expected


def test_a_role_takes_the_place_of_the_user() -> None:
    dsn = shard_dsn("postgresql://owner:secret@db/x?user=owner&sslmode=require", 31, "spaza_app", "a/b:c")

    assert dsn == "postgresql://spaza_app:a%2Fb%3Ac@db/shard_31?sslmode=require"


def test_writes_look_for_the_primary_among_several_hosts() -> None:
    assert shard_dsn("postgresql://u@a:1,b:2/x", 0) == "postgresql://u@a:1,b:2/shard_00?target_session_attrs=primary"
    assert shard_dsn("postgresql://u@a,b/x?target_session_attrs=any", 0).endswith("/shard_00?target_session_attrs=any")


@pytest.mark.parametrize(
    "template", [SOCKET, "postgresql://u:p%40x@db:1/x?password=q&user=u", "postgresql://u:p@a,b/{shard}"]
)
def test_no_credentials_are_left_for_those_who_come_under_a_role(template: str) -> None:
    bare = without_credentials(template)

    assert "@" not in bare
    assert "password" not in bare
    assert shard_dsn(bare, 1, "r", "s") == shard_dsn(template, 1, "r", "s")


def test_other_databases_are_made_from_the_maintenance_database_of_the_same_server() -> None:
    assert (
        maintenance_dsn("postgresql://u:p@db:1/shard_00?sslmode=require")
        == "postgresql://u:p@db:1/postgres?sslmode=require"
    )
    assert database_of("postgresql://u@db/shard_00") == "shard_00"
    assert server_of("postgresql://u@db/a") == server_of("postgresql://v:p@db/b")
    assert server_of("postgresql://u@db1/a") != server_of("postgresql://u@db2/a")


def test_what_is_not_a_url_is_refused_without_being_quoted() -> None:
    with pytest.raises(ValueError, match="postgresql://") as caught:
        shard_dsn("host=db password=secret", 0)

    assert "secret" not in str(caught.value)
