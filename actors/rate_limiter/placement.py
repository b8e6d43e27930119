"""Which limiter owns a tenant. Pure."""

from hashlib import blake2b


def owner_of(tenant: str, limiters: int) -> int:
    """The number of the limiter that counts for a tenant, the same in every process.

    Args:
        tenant: its id.
        limiters: how many there are. With another number most tenants have another owner, which finds what the one
            before has counted in Redis.
    """
    if limiters == 1:
        return 0
    return int.from_bytes(blake2b(tenant.encode(), digest_size=8).digest()) % limiters
