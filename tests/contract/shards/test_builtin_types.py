"""Built-in types are asked about once a process, whatever the number of connections."""

from typing import Any

import asyncpg

from actors.builtin_types import BuiltinTypesConnection
from actors.shards.dsn import shard_dsn
from tests.contract.shards.conftest import SHARD, Shards

_ARRAYS = "SELECT $1::int[], $2::float8[], $3::bytea[], $4::timestamptz[]"
_VALUES: tuple[Any, ...] = ([1, 2], [0.5], [b"x"], [])


async def questions_of(dsn: str) -> list[Any]:
    """What a new connection asks the server for one statement with arrays."""
    asked: list[Any] = []
    connection = await asyncpg.connect(dsn, connection_class=BuiltinTypesConnection)
    connection.add_query_logger(asked.append)
    try:
        row = await connection.fetchrow(_ARRAYS, *_VALUES)
        assert row is not None
        assert tuple(row) == _VALUES
    finally:
        await connection.close()
    return [one for one in asked if "typeinfo" in one.query]


async def test_a_second_connection_reads_and_writes_arrays_without_asking_what_they_are(shards: Shards) -> None:
    await questions_of(shard_dsn(shards.dsn, SHARD))

    assert await questions_of(shard_dsn(shards.dsn, SHARD)) == []
