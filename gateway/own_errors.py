"""What errors of ours are answered with, to who may know what is behind and to who may not."""

from collections.abc import Mapping
from typing import Final

from gateway.answers import refusal_of
from gateway.context import RequestContext
from gateway.refusal import Refusal
from kernel.errors import SpazaError
from telemetry.log import get_logger

# In place of words that name parts which are nobody's business; operators find them by the id.
_PLAINLY: Final[Mapping[int, str]] = {
    503: "This cannot be done now; try again",
    504: "Not answered in time; the request may have been carried out",
}
_log = get_logger("gateway")


def refusal_in_words(error: SpazaError, context: RequestContext) -> Refusal | None:
    """The answer to who asked; None for what was not expected, which the edge answers and logs."""
    if error.http_status == 500:
        return None
    refusal = refusal_of(error)
    if context.operator is not None or error.http_status not in _PLAINLY:
        return refusal
    _log.info(
        "request_not_served",
        route=context.route,
        error=error.code,
        reason=str(error),
        correlation_id=context.correlation_id,
    )
    return refusal._replace(message=_PLAINLY[error.http_status])
