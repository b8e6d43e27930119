"""Structured logs: one JSON object a line, a constant event name with bound fields, no personal data.

Correlation ids travel inside the messages. One line is about a batch of them, of many tenants, so that it names the
first few ids itself and nothing is bound behind its back. As a safety net, fields whose names speak of a customer or a
secret are masked before they are written. Logging raises nothing into the code that logs.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from itertools import islice
from typing import Any, TextIO, cast

import orjson
import structlog

from telemetry.unfailing import unfailing

# A field of such a name is replaced whole, whoever logs it.
_PRIVATE = frozenset(
    {
        "access_token", "app_secret", "authorization", "body", "customer", "dsn", "from", "key", "password", "phone",
        "recipient", "secret", "text", "to", "token", "wa_id", "wamid",
    }
)  # fmt: skip


# Enough to find the rest by; a line stays a line, however large the batch.
_FEW = 3


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write the logs of this process. Called once where a process starts; again is harmless.

    Args:
        level: the least that is written.
        stream: where to; None for standard error. Ray Serve puts a buffered logger in the place of a replica's
            ``sys.stderr``, and what is in it when the replica is killed is gone, so replicas give ``sys.__stderr__``.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_traceback),
            mask_private,
            structlog.processors.JSONRenderer(serializer=_serialise),
        ],
        wrapper_class=unfailing(structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level])),
        # Written, not printed: Ray Serve replaces print, and spoils the line.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr if stream is None else stream),
        cache_logger_on_first_use=False,
    )


def get_logger(component: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines name the component, for example ``mailbox``."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(component=component))


def correlation_ids(headers: Iterable[Mapping[str, object]]) -> list[str]:
    """The ids under which the first few of many messages are followed, for one line about all of them.

    Args:
        headers: of the messages; those without an id are left out.
    """
    return few(str(one["correlation_id"]) for one in headers if one.get("correlation_id"))


def few(ids: Iterable[str]) -> list[str]:
    """The first few of many correlation ids, each once, without those that are empty."""
    return list(islice(dict.fromkeys(filter(None, ids)), _FEW))


def mask_private(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the fields that may hold a customer's data or a secret."""
    for name in event.keys() & _PRIVATE:
        event[name] = "***"
    return event


def _traceback(exc_info: structlog.typing.ExcInfo) -> str:
    # Formatted, not printed as structlog does it: Ray Serve replaces print, and spoils the text.
    return "".join(traceback.format_exception(*exc_info)).rstrip("\n")


def _serialise(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair, a huge number, a value that has no text
        return json.dumps(event, default=object.__repr__, skipkeys=True)
