"""That the databases are used under the sealing key with which they were made.

Another one opens no tenant's credentials, so every reply would be lost; and it would change the roles' passwords
under an instance that runs.
"""

import base64
import hashlib
import hmac
from typing import Any, Final

import asyncpg

from actors.shards.errors import WrongSealingKeyError

# Kept, if it is the first; else what is kept.
_KEEP: Final = """
WITH first AS (
    INSERT INTO spaza.sealing_key (proof) VALUES ($1) ON CONFLICT DO NOTHING RETURNING proof
)
SELECT proof FROM first UNION ALL SELECT proof FROM spaza.sealing_key LIMIT 1
"""
_KEPT: Final = "SELECT proof FROM spaza.sealing_key"


def key_proof(sealing_key_b64: str) -> str:
    """What tells a key from another and nothing about it: an HMAC-SHA256 under it, 64 hexadecimal digits."""
    key = base64.b64decode(sealing_key_b64, validate=True)
    return hmac.new(key, b"spaza sealing key", hashlib.sha256).hexdigest()


async def keep_key(connection: "asyncpg.Connection[Any]", database: str, sealing_key_b64: str) -> None:
    """Note the key in a database that has none.

    Raises:
        WrongSealingKeyError: it has another.
    """
    _compare(await connection.fetchval(_KEEP, key_proof(sealing_key_b64)), database, sealing_key_b64)


async def refuse_other_key(connection: "asyncpg.Connection[Any]", database: str, sealing_key_b64: str) -> None:
    """Make sure that a database is of this key, or was not used yet.

    Raises:
        WrongSealingKeyError: it has another.
    """
    if await connection.fetchval("SELECT to_regclass('spaza.sealing_key')") is not None:
        kept = await connection.fetchval(_KEPT)
        if kept is not None:
            _compare(kept, database, sealing_key_b64)


def _compare(kept: str, database: str, sealing_key_b64: str) -> None:
    if not hmac.compare_digest(kept, key_proof(sealing_key_b64)):
        raise WrongSealingKeyError(database)
