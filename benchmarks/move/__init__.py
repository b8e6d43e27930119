"""How long a tenant's writes stand still while it moves to another shard, and whether anything is lost or doubled."""
