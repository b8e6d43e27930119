"""A cursor comes back as the place that it was made of, and nothing else is taken for one."""

import base64
import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shards.cursor import decode_cursor, encode_cursor
from actors.shards.errors import InvalidCursorError
from actors.shards.shard_query import OrderBy

ORDER = [OrderBy("name", str), OrderBy("size", int), OrderBy("at", dt.datetime), OrderBy("price", Decimal)]


@given(
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    size=st.integers(-(2**63), 2**63 - 1),
    at=st.datetimes(timezones=st.just(dt.UTC)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
)
def test_a_place_comes_back_as_it_was(name: str, size: int, at: dt.datetime, price: Decimal) -> None:
    cursor = encode_cursor("things", (name, size, at, price))

    assert decode_cursor(cursor, "things", ORDER) == (name, size, at, price)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("value", [1.5, -0.25])
def test_a_float_and_a_day_are_places_too(value: float) -> None:
    day = dt.date(2026, 11, 23)
    order = [OrderBy("share", float), OrderBy("day", dt.date)]

    assert decode_cursor(encode_cursor("q", (value, day)), "q", order) == (value, day)


def _text(json: str) -> str:
    return base64.urlsafe_b64encode(json.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "%%%",
        "A" * 5_000,
        _text("{}"),
        _text("7"),
        _text("null"),
        _text('["things"]'),
        _text('["others","a",1,"2026-11-23","1"]'),
        _text('["things","a",1,"2026-11-23","1",2]'),
        _text('["things","a",1,"yesterday","1"]'),
        _text('["things","a","1","2026-11-23","1"]'),
        _text('["things","a",true,"2026-11-23","1"]'),
        _text('["things","a",99999999999999999999,"2026-11-23","1"]'),
        _text('["things","a",1,"2026-11-23","NaN"]'),
        _text('["things","a",1,"2026-11-23","one"]'),
        _text('["things","\\u0000",1,"2026-11-23","1"]'),
        _text('{"things":1,"a":2,"b":3,"c":4,"d":5}'),
    ],
)
def test_what_is_no_cursor_of_the_query_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        decode_cursor(cursor, "things", ORDER)


@given(junk=st.text())
def test_no_text_makes_it_fail_otherwise(junk: str) -> None:
    try:
        place: Any = decode_cursor(junk, "things", ORDER)
    except InvalidCursorError:
        return
    assert len(place) == len(ORDER)
