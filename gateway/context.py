"""What the plugins of a chain and the application behind them know of one request, as a typed record in its scope."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from actors.rate_limiter.own_limits import OwnLimits
from gateway.asgi import Header, Scope
from gateway.errors import DeadlineExceededError, UnidentifiedError
from gateway.operations import Call
from gateway.refusal import Refusal
from gateway.timer import Timer

_KEY: Final = "spaza.context"


class Identity(NamedTuple):
    """Who calls, as verified. Nothing that a caller merely says stands here.

    Attributes:
        tenant_id: of the verified claim, whose the credential is.
        kid: of the credential.
        shard: where the tenant's schema is.
        epoch: of the tenant's placement; grows when it moves.
        limits: the tenant's own.
    """

    tenant_id: str
    kid: str
    shard: int
    epoch: int
    limits: OwnLimits = OwnLimits()


class Operator(NamedTuple):
    """Who operates the platform: as he calls himself, and where he called from. Only the token was verified."""

    name: str
    peer: str


@dataclass(slots=True)
class RequestContext:
    """One request on its way through a chain. The edge makes it; each plugin fills in its part.

    Attributes:
        route: the name of the route in ``routes.yaml``.
        path: below the route's own, without a slash at its end: empty for the route itself, else ``/...``.
        headers: as they came, by lower-case name; of a name that came more than once, the last.
        correlation_id: under which the request is followed; the ``request_id`` of refusals.
        body: the whole of it, read within the limit; ``receive`` gives it once more.
        identity: None on routes without jwt-auth.
        operator: None on routes without admin-auth.
        call: what the operation is asked, where request-validator has looked at it and nobody changed it since.
        answer_headers: go onto the answer, whoever gives it.
        status: of the answer; None until it has begun.
        late: what is answered at the deadline.
        timer: ends the work at the deadline, until the answer has begun. The edge runs it.
    """

    route: str
    path: str
    headers: Mapping[bytes, bytes]
    correlation_id: str = ""
    body: bytes = b""
    identity: Identity | None = None
    operator: Operator | None = None
    call: Call | None = None
    answer_headers: list[Header] = field(default_factory=list)
    status: int | None = None
    late: Refusal | None = None
    timer: Timer = field(default_factory=Timer)

    @property
    def deadline(self) -> float:
        """When the body, and then the answer, has to have begun, in the event loop's time."""
        return self.timer.deadline

    def allow(self, seconds: float, late: Refusal) -> None:
        """Give the request so much time from now, in the place of what it had.

        Args:
            seconds: from now until the answer has begun.
            late: what is answered then.
        """
        self.late = late
        self.timer.allow(seconds)

    def remaining_s(self, at_most: float, *, least: float = 0.0) -> float:
        """The time that a hop may take.

        Args:
            at_most: seconds, the hop's own limit.
            least: seconds under which it cannot be done, so that it is not begun.

        Raises:
            DeadlineExceededError: there is no more than the least.
        """
        left = self.deadline - asyncio.get_running_loop().time()
        if left <= least:
            raise DeadlineExceededError(self.route)
        return min(at_most, left)

    @property
    def known(self) -> Identity:
        """Who calls, for applications on routes with jwt-auth.

        Raises:
            UnidentifiedError: nobody knows; where jwt-auth is in shadow, it let pass what it would have refused.
        """
        if self.identity is None:
            raise UnidentifiedError(self.route)
        return self.identity


def context_of(scope: Scope) -> RequestContext:
    """The record of a request.

    Raises:
        KeyError: there is no chain in front.
    """
    context: RequestContext = scope[_KEY]
    return context


def with_context(scope: Scope, context: RequestContext) -> Scope:
    """A copy of the scope that carries the record."""
    return {**scope, _KEY: context}
