"""What a caller says of who it is, which nobody is to believe: who has verified it says such things in its place."""

from collections.abc import Iterable
from typing import Final

from gateway.asgi import Header

_NAMES: Final = (b"x-tenant-id", b"x-consumer-", b"x-credential-", b"x-anonymous-consumer", b"x-authenticated-")


def without_hearsay(headers: Iterable[Header]) -> list[Header]:
    """The headers without those that an application might take for what the chain has verified."""
    return [one for one in headers if not (one[0].startswith(b"x") and one[0].replace(b"_", b"-").startswith(_NAMES))]
