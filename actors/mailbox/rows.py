"""Between messages and the journal's columns. Batches go to PostgreSQL as one array a column.

The checksum covers id, key, headers and body; the seal goes on from it and covers all else of a message, and its queue,
so that a row which storage or a hand has changed is seen before it is delivered. Rows of before the seal have none.
"""

import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

import orjson

from actors.mailbox.message import HeaderValue, Message
from actors.mailbox.redriven import message_id, published_day, renamed, stored_id

__all__ = ["Columns", "checksum", "columns", "decode_headers", "encode_headers", "message_of", "published_day"]

_NO_HEADERS = b"{}"

# PostgreSQL's time begins then, and has whole microseconds.
_EPOCH_S, _MICROSECONDS = 946_684_800, 1e6

# One array for each: published_day, id, tenant, key, priority, published_at, ttl_ms, headers, body, checksum, seal.
Columns = tuple[
    list[int], list[str], list[str], list[str], list[int], list[float], list[int | None], list[bytes], list[bytes],
    list[int], list[int],
]  # fmt: skip


def columns(messages: Iterable[Message], queue: str | None) -> Columns:
    """The arrays of a batch, in the order of the statement's parameters.

    Args:
        messages: of the batch.
        queue: that takes them; None where the statement has several, and puts ``stamp`` of each on the seals.
    """
    result: Columns = ([], [], [], [], [], [], [], [], [], [], [])
    days, ids, tenants, keys, priorities, times, ttls, headers, bodies, checksums, seals = result
    stamped = 0 if queue is None else stamp(queue)
    for message in messages:
        encoded, stored = encode_headers(message), stored_id(message)
        days.append(published_day(message))
        ids.append(stored)
        tenants.append(message.tenant)
        keys.append(message.key)
        priorities.append(message.priority)
        times.append(message.published_at)
        ttls.append(message.ttl_ms)
        headers.append(encoded)
        bodies.append(message.body)
        checksums.append(summed := checksum(stored, message.key, encoded, message.body))
        seals.append(stamped ^ seal(summed, message))
    return result


def encode_headers(message: Message) -> bytes:
    """Headers as JSON."""
    return orjson.dumps(message.headers) if message.headers else _NO_HEADERS


@lru_cache(maxsize=1024)
def _decoded(headers: bytes) -> tuple[tuple[str, HeaderValue], ...]:
    decoded = orjson.loads(headers)
    if not isinstance(decoded, dict):
        raise ValueError("headers are a JSON object")  # noqa: TRY004 - data, as with all that cannot be decoded
    return tuple(decoded.items())


def decode_headers(headers: bytes) -> dict[str, HeaderValue]:
    """Headers from JSON.

    Raises:
        ValueError: they are no JSON object.
    """
    if headers == _NO_HEADERS:
        return {}
    if b"[" in headers or b"{" in headers[1:]:  # nested, as a dead letter's: nothing for messages to share
        return dict(_decoded.__wrapped__(headers))
    return dict(_decoded(headers))


def checksum(stored: str, key: str, headers: bytes, body: bytes) -> int:
    """CRC-32, as PostgreSQL's signed integer."""
    return _signed(zlib.crc32(body, zlib.crc32(headers, zlib.crc32(f"{stored}\0{key}".encode()))))


def seal(summed: int, message: Message) -> int:
    """CRC-32 of the rest of a message, whose checksum was ``summed``. Its queue's ``stamp`` is put on it by XOR."""
    at = round((message.published_at - _EPOCH_S) * _MICROSECONDS)
    rest = f"{message.tenant}\0{message.priority}\0{message.ttl_ms}\0{at}"
    return _signed(zlib.crc32(rest.encode(), summed & 0xFFFFFFFF))


@lru_cache(maxsize=1024)
def stamp(queue: str) -> int:
    """What a queue puts on the seals of its rows."""
    return _signed(zlib.crc32(queue.encode()))


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def message_of(row: Sequence[Any]) -> Message:
    """The message of a row that begins with id, key, tenant, body, headers, published_at, priority, ttl_ms."""
    headers = decode_headers(row[4])
    # Tenants are few, and each of their names is kept once.
    return Message(message_id(row[0], headers), row[1], intern(row[2]), row[3], headers, row[5], row[6], row[7])


def otherwise_named(letters: Sequence[Message], places: Sequence[int], earlier: Sequence[bytes]) -> list[Message]:
    """Dead letters, those under other names whose own some have that are settled.

    Args:
        letters: to be written.
        places: of those whose names are taken, from 1.
        earlier: the encoded headers of each that is settled.
    """
    named = list(letters)
    for place, headers in zip(places, earlier, strict=True):
        try:
            known = decode_headers(headers)
        except ValueError:  # what it died of is lost with it
            known = {}
        named[place - 1] = renamed(named[place - 1], known)
    return named
