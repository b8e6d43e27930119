"""A unit of work that finds out whether a shard commits, as the units that matter do, and leaves nothing behind."""

from typing import Final

from actors.shards.unit import Transaction

PROBE: Final = "shards.probe"


async def probe(transaction: Transaction, _arguments: None) -> None:
    """Write an empty record to the log of the database, so that the commit waits for whatever commits wait for."""
    await transaction.execute("SELECT pg_logical_emit_message(true, 'spaza', '')")
