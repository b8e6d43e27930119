import pytest

from actors.shards.dsn import (
    database_of,
    host_of,
    maintenance_dsn,
    server_of,
    shard_dsn,
    single_hosts,
    without_credentials,
)

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


PRIMARY = "target_session_attrs=primary"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("postgresql://u:p@a:1,b:2/x", ["u:p@a:1/shard_07", "u:p@b:2/shard_07"]),
        ("postgresql://u@a,b,c:3/s_{shard}", ["u@a/s_07", "u@b/s_07", "u@c:3/s_07"]),
        ("postgresql://u@a-{shard}:1,b-{shard}:2/x", ["u@a-07:1/x", "u@b-07:2/x"]),
        ("postgresql://[::1]:1,[::2]:2/x", ["[::1]:1/shard_07", "[::2]:2/shard_07"]),
    ],
)
def test_each_of_several_hosts_is_asked_whether_it_is_the_primary(template: str, expected: list[str]) -> None:
    assert list(single_hosts(shard_dsn(template, 7))) == [f"postgresql://{one}?{PRIMARY}" for one in expected]


def test_hosts_that_are_sockets_stand_in_the_query_with_a_port_each_or_one_for_all() -> None:
    assert single_hosts("postgresql://u:p@/x?host=/a,/b&port=1,2", "standby") == (
        "postgresql://u:p@/x?target_session_attrs=standby&host=/a&port=1",
        "postgresql://u:p@/x?target_session_attrs=standby&host=/b&port=2",
    )
    assert [one.rpartition("&")[2] for one in single_hosts("postgresql:///x?host=/a,/b&port=5")] == ["port=5"] * 2
    assert single_hosts("postgresql://u@/x?host=/a,/b")[1] == f"postgresql://u@/x?{PRIMARY}&host=/b"
    with pytest.raises(ValueError, match="one for each host"):
        single_hosts("postgresql:///x?host=/a,/b,/c&port=1,2")


def test_one_host_is_taken_as_it_is_and_what_a_dsn_says_of_its_servers_holds() -> None:
    assert single_hosts(SOCKET) == (SOCKET,)
    assert single_hosts("postgresql://u@a,b/x?target_session_attrs=any&sslmode=require") == (
        "postgresql://u@a/x?target_session_attrs=any&sslmode=require",
        "postgresql://u@b/x?target_session_attrs=any&sslmode=require",
    )


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


def test_where_a_server_is_is_said_without_who_comes() -> None:
    assert host_of("postgresql://u:secret@db-1:5432/x?sslmode=require") == "db-1:5432"
    assert host_of("postgresql://u:secret@/x?host=/run/pg&port=5433") == "/run/pg port 5433"
