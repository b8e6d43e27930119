"""That the databases are used under the sealing keys with which something in them is sealed.

Without one of those, some tenants' credentials could not be opened, so their replies would be lost. The first key seals
and gives the roles their passwords; others only open, until everything was sealed anew.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection
from typing import Any, Final

import asyncpg

from actors.shards.dsn import database_of, shard_dsn
from actors.shards.errors import SetupError, WrongSealingKeyError
from actors.shards.finding import connect
from actors.shards.placement import SHARDS
from actors.shards.translation import FOREIGN

_ADD: Final = "INSERT INTO spaza.sealing_key (proof) VALUES ($1) ON CONFLICT DO NOTHING"
_KEPT: Final = "SELECT proof FROM spaza.sealing_key"
_FORGET: Final = "DELETE FROM spaza.sealing_key WHERE proof <> $1 RETURNING proof"
_CONNECT_S: Final = 5.0


def key_proof(sealing_key_b64: str) -> str:
    """What tells a key from another and nothing about it: an HMAC-SHA256 under it, 64 hexadecimal digits."""
    key = base64.b64decode(sealing_key_b64, validate=True)
    return hmac.new(key, b"spaza sealing key", hashlib.sha256).hexdigest()


async def keep_key(
    connection: "asyncpg.Connection[Any]", database: str, sealing_key_b64: str, others_b64: Collection[str] = ()
) -> None:
    """Note the key in a database, which may need some others too.

    Raises:
        WrongSealingKeyError: it needs one that is none of these. Nothing was changed.
    """
    _compare(await connection.fetch(_KEPT), database, (sealing_key_b64, *others_b64))
    await connection.execute(_ADD, key_proof(sealing_key_b64))


async def refuse_other_key(
    connection: "asyncpg.Connection[Any]", database: str, sealing_key_b64: str, others_b64: Collection[str] = ()
) -> None:
    """Make sure that a database needs no key but these, or was not used yet.

    Raises:
        WrongSealingKeyError: it needs another.
    """
    if await connection.fetchval("SELECT to_regclass('spaza.sealing_key')") is not None:
        _compare(await connection.fetch(_KEPT), database, (sealing_key_b64, *others_b64))


async def forget_other_keys(dsn_template: str, sealing_key_b64: str) -> int:
    """Have all databases need this key alone, after everything in them was sealed under it. Again changes nothing.

    Args:
        dsn_template: of the owner.
        sealing_key_b64: the first key.

    Returns:
        how many keys are not needed any more.

    Raises:
        SetupError: a database could not be told; it goes on needing the others.
    """
    proof = key_proof(sealing_key_b64)
    forgotten: set[str] = set()
    for shard in range(SHARDS):
        dsn = shard_dsn(dsn_template, shard)
        try:
            connection = await connect(dsn, timeout_s=_CONNECT_S)
            try:
                forgotten.update(row["proof"] for row in await connection.fetch(_FORGET, proof, timeout=_CONNECT_S))
            finally:
                await connection.close(timeout=_CONNECT_S)
        except FOREIGN as error:
            raise SetupError(f"database {database_of(dsn)}", type(error).__name__) from error
    return len(forgotten)


def _compare(kept: Collection[Any], database: str, keys_b64: Collection[str]) -> None:
    known = {key_proof(key) for key in keys_b64}
    if not {row["proof"] for row in kept} <= known:
        raise WrongSealingKeyError(database)
