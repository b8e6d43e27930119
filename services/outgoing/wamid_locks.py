"""Who records a wamid and who keeps a status of it without our id find each other by locks that both hold. Pure.

The one looks for statuses that came early, the other for the message that has the wamid. Were both under way at once,
neither would see what the other writes. With the lock held before its first statement, whoever comes second sees it.
"""

import hashlib
from collections.abc import Iterable


def wamid_locks(tenant_id: str, wamids: Iterable[str]) -> tuple[int, ...]:
    """The keys of the locks of a tenant's wamids, each once, ascending.

    Two wamids may share a key, and then wait for each other for nothing.
    """
    return tuple(sorted({_key(f"{tenant_id}:{wamid}") for wamid in wamids}))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)
