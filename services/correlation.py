"""The correlation id of a request: the caller's own where it is a sane one, else Serve's. Goes back to the caller."""

import re
from collections.abc import Mapping

from kernel.identifiers import new_id

HEADER = b"x-correlation-id"
# Serve gives one to each request that comes without, and answers with it.
_SERVES = b"x-request-id"
# It goes into logs and headers, so nothing that could break out of either.
_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def correlation_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The id under which a request is followed."""
    for name in (HEADER, _SERVES):
        given = headers.get(name)
        if given is not None and _SANE.fullmatch(given):
            return given.decode("ascii")
    return new_id()
