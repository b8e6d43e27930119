"""JSON as Meta and its users write it: lone surrogates in a text are kept, where strict parsers refuse them.

orjson does the work; what it refuses for a lone surrogate goes through the standard library.
"""

import json
from typing import Any, NoReturn

import orjson

from services.whatsapp.errors import NotJsonError


def loads(raw: bytes) -> Any:
    """Parse.

    Raises:
        NotJsonError: they are not UTF-8, not JSON, or nested beyond reason.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(raw.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(type(error).__name__) from error


def dumps(value: Any, *, sort_keys: bool = False) -> bytes:
    """Write what ``loads`` gave; a lone surrogate comes out as the escape that it came in as.

    Args:
        value: of plain types.
        sort_keys: for bytes that are the same whatever the order of keys was.

    Raises:
        RecursionError: it is nested beyond reason.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), sort_keys=sort_keys).encode()


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(f"{constant} is not JSON")
