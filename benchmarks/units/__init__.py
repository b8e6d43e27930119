"""Units of work through a ShardPool actor, held against the same functions on bare asyncpg; and cross-shard queries."""
