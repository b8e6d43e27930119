"""Where a page of products ended, as text that the caller gives back to have the next one. Pure.

It names the question that it belongs to, so that it is refused with another one; it is no secret and gives no right,
for a search never leaves its merchant. What it holds is checked: a place, and the words by which was searched.
"""

import hashlib
from typing import Final

import orjson

from actors.shards.cursor import decode_cursor, encode_cursor
from actors.shards.errors import InvalidCursorError
from actors.shards.shard_query import OrderBy
from services.catalog.errors import ForeignCursorError
from services.catalog.ports import Question
from services.catalog.store import Place
from services.catalog.words import ALTERNATIVES, TERMS_AT_MOST, Groups, words_of

_ORDER: Final = (OrderBy("minus_score", int), OrderBy("metres", int), OrderBy("sku", str), OrderBy("words", str))
_INT32: Final = range(-(2**31), 2**31)


def after(place: Place, question: Question, groups: Groups = ()) -> str:
    """The cursor of a page that ended at a place, found by these groups."""
    return encode_cursor(_named(question), (*place, "|".join(" ".join(group) for group in groups)))


def place_in(question: Question) -> tuple[Place, Groups] | None:
    """The place behind which a page begins, and by which groups it is to be found; None without a cursor.

    Raises:
        ForeignCursorError: the cursor is none of this question's.
    """
    if question.cursor is None:
        return None
    try:
        minus_score, metres, sku, words = decode_cursor(question.cursor, _named(question), _ORDER)
    except InvalidCursorError as error:
        raise ForeignCursorError from error
    groups = tuple(tuple(group.split(" ")) for group in words.split("|")) if words else ()
    if minus_score not in _INT32 or metres not in _INT32 or not _may_be_asked(groups):
        raise ForeignCursorError
    return Place(minus_score, metres, sku), groups


def _may_be_asked(groups: Groups) -> bool:
    """Whether a question can have become these groups; they become a part of a tsquery."""
    if len(groups) > TERMS_AT_MOST or any(len(group) > ALTERNATIVES for group in groups):
        return False
    return all(words_of(word) == [word] for group in groups for word in group)


def _named(question: Question) -> str:
    around = None if question.around is None else [*map(float, question.around)]
    asked = orjson.dumps([question.text, around])
    return f"products:{hashlib.sha256(asked).hexdigest()[:16]}"
