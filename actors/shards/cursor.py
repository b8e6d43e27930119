"""Where a page ended, as text that a client gives back to have the next one. Pure.

It holds the place of the page's last row and which query it belongs to; it is no secret and gives no right. A place
stays good whatever is added or removed meanwhile: the next page begins behind it.
"""

import base64
import binascii
import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from actors.shards.errors import InvalidCursorError
from actors.shards.shard_query import OrderBy

_TEXT_AT_MOST = 4_096
_INT64 = range(-(2**63), 2**63)


def encode_cursor(query: str, place: Sequence[Any]) -> str:
    """Text without padding, fit for a URL.

    Args:
        query: its name.
        place: values of the order's columns.
    """
    values = [value if isinstance(value, str | int | float) else str(value) for value in place]
    return base64.urlsafe_b64encode(orjson.dumps([query, *values])).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, query: str, order: Sequence[OrderBy]) -> tuple[Any, ...]:
    """The place behind which the next page begins.

    Raises:
        InvalidCursorError: it is none of this query's.
    """
    if len(cursor) > _TEXT_AT_MOST:
        raise InvalidCursorError(query)
    try:
        found = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        named, *values = found
        place = tuple(_value(value, by.kind) for value, by in zip(values, order, strict=True))
    except (ValueError, TypeError, InvalidOperation, binascii.Error) as error:
        raise InvalidCursorError(query) from error
    if not isinstance(found, list) or named != query:
        raise InvalidCursorError(query)
    return place


def _value(value: Any, kind: type[Any]) -> Any:
    if kind is int and type(value) is int and value in _INT64:
        return value
    if kind is float and type(value) is float and math.isfinite(value):
        return value
    if type(value) is not str:
        raise TypeError("not of its kind")
    if kind is str and "\0" not in value:
        return value
    if kind is dt.datetime:
        return dt.datetime.fromisoformat(value)
    if kind is dt.date:
        return dt.date.fromisoformat(value)
    if kind is Decimal and (number := Decimal(value)).is_finite():
        return number
    raise ValueError("not of its kind")
