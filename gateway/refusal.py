"""A refusal in full, before it is answered."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.asgi import Header

Faults = Sequence[tuple[str, str]]


class Refusal(NamedTuple):
    """What is answered in the place of what was asked for.

    Attributes:
        status: of the answer.
        message: for whoever called.
        errors: pairs of field and message.
        headers: of the answer, beside the usual ones.
        document: in place of the one shape, where Kong has a body of its own.
    """

    status: int
    message: str
    errors: Faults = ()
    headers: tuple[Header, ...] = ()
    document: Mapping[str, Any] | None = None
