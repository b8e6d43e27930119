"""The application of an admin API: what its chain let in, with errors in full, for operators may know them."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from gateway.answers import refusal_of, refuse_with
from gateway.api import Api
from gateway.asgi import Receive, Scope, Send
from gateway.context import RequestContext, context_of
from gateway.errors import UnidentifiedError
from kernel.errors import SpazaError
from services.admin.actions import Who
from telemetry.log import get_logger

# Under which a hop to a shard and back is not begun; it takes some 2 ms.
_LEAST_S: Final = 0.01
_request: ContextVar[RequestContext | None] = ContextVar("admin_request", default=None)
_log = get_logger("admin")


class AdminApi(Api):
    """Serves operators alone: without admin-auth in front it refuses everybody."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        context = context_of(scope)
        if context.operator is None:
            raise UnidentifiedError(context.route)
        token = _request.set(context)
        try:
            await super().__call__(scope, receive, send)
        except SpazaError as error:
            if context.status is not None or error.http_status != 500:
                raise
            # The gateway keeps the text of such an error to itself; who operates needs it.
            _log.exception("admin_request_failed", correlation_id=context.correlation_id)
            await refuse_with(scope, send, refusal_of(error))
        finally:
            _request.reset(token)


class WithinRequest:
    """Runs units for as long as the request has time that they are run for; those of no request as long as they may.

    What goes on after the request, a move say, is to have the runner itself.
    """

    def __init__(self, shards: UnitRunner) -> None:
        self._shards = shards

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call, in their order.

        Raises:
            DeadlineExceededError: the request's time is over, or too short.
        """
        timeout_s, followed = within_request_s(timeout_s), followed_id()
        return await self._shards.run([one._replace(correlation_id=followed) for one in calls], timeout_s=timeout_s)


def followed_id() -> str:
    """Under which what is done now is followed; empty where it is done for no request."""
    context = _request.get()
    return "" if context is None else context.correlation_id


def within_request_s(at_most: float) -> float:
    """The seconds that a hop may take: its own limit, or what is left of the request's time.

    Raises:
        DeadlineExceededError: that is over, or too short.
    """
    context = _request.get()
    return at_most if context is None else context.remaining_s(at_most, least=_LEAST_S)


def who(context: RequestContext) -> Who:
    """Who asks.

    Raises:
        UnidentifiedError: nobody was let in by admin-auth.
    """
    if context.operator is None:
        raise UnidentifiedError(context.route)
    return Who(*context.operator)
