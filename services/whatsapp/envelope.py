"""Meta's envelope, taken apart: one mailbox message for each message, each status, and whatever else is in it.

One POST holds up to 1000 updates of many businesses. Each part stands alone, with all that its processing needs, so
that a bad one neither fails the POST nor is lost. Nothing of the payload is lost: what is neither a message nor a
status, known or not, becomes an event.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from actors.mailbox.message import Message
from services.whatsapp.errors import NotAnEnvelopeError, NotJsonError
from services.whatsapp.identity import customer_key, digest_id, joined, phone_number_id, plain_id
from services.whatsapp.lenient_json import dumps, loads

Kind = Literal["message", "status", "event"]
BODY_VERSION = 1
_OBJECT = "whatsapp_business_account"
_LISTS: Mapping[str, Kind] = {"messages": "message", "statuses": "status"}
# Which field of an item names the customer, and which of a contact is the same.
_CONTACT_FIELDS = (
    ("from", "wa_id"), ("from_user_id", "user_id"), ("recipient_id", "wa_id"), ("recipient_user_id", "user_id"),
)  # fmt: skip


class Part(NamedTuple):
    """One mailbox message and what it is, which is how it is routed: ``inbound.<kind>``."""

    kind: Kind
    message: Message


def split(raw: bytes, *, correlation_id: str, received_at: float) -> list[Part]:
    """Take a POST apart.

    Args:
        raw: the body, its signature verified.
        correlation_id: put into the headers of every part.
        received_at: Unix seconds.

    Returns:
        Every part in the order of the payload. The same item twice has the same id.

    Raises:
        NotAnEnvelopeError: ``not_json``, ``not_whatsapp`` or ``nested_too_deep``.
    """
    try:
        envelope = loads(raw)
    except NotJsonError as error:
        raise NotAnEnvelopeError("not_json") from error
    if not isinstance(envelope, dict) or envelope.get("object") != _OBJECT:
        raise NotAnEnvelopeError("not_whatsapp")
    entries = envelope.get("entry")
    if not isinstance(entries, list):
        raise NotAnEnvelopeError("not_whatsapp")
    headers = {"correlation_id": correlation_id}
    pieces = (*_of_entries(entries), *_rest_of(envelope, {"object", "entry"}))
    try:
        return [Part(piece.kind, _message(piece, headers, received_at)) for piece in pieces]
    except RecursionError as error:
        raise NotAnEnvelopeError("nested_too_deep") from error


class _Piece(NamedTuple):
    """An item with its surroundings: the entry without its changes, the change without its value."""

    kind: Kind
    item: Any
    entry: Mapping[str, Any] = {}
    change: Mapping[str, Any] = {}
    metadata: Any = None
    contacts: tuple[Any, ...] = ()


def _rest_of(whole: Mapping[str, Any], known: set[str]) -> Iterator[_Piece]:
    rest = _without(whole, known)
    if rest:
        yield _Piece("event", rest)


def _of_entries(entries: list[Any]) -> Iterator[_Piece]:
    for entry in entries:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        if not isinstance(changes, list):
            yield _Piece("event", entry, {"id": entry.get("id")} if isinstance(entry, dict) else {})
            continue
        surroundings = _without(entry, {"changes"})
        for change in changes:
            yield from _of_change(change, surroundings)
        if not changes:
            yield _Piece("event", entry, surroundings)


def _of_change(change: Any, entry: Mapping[str, Any]) -> Iterator[_Piece]:
    value = change.get("value") if isinstance(change, dict) else None
    if not isinstance(value, dict):
        yield _Piece("event", change, entry, change if isinstance(change, dict) else {})
        return
    surroundings = _without(change, {"value"})
    metadata, contacts = value.get("metadata"), value.get("contacts")
    people = contacts if isinstance(contacts, list) else []
    lists = {name: value[name] for name in _LISTS if isinstance(value.get(name), list)}
    items = [(_LISTS[name], item) for name, listed in lists.items() for item in listed]
    matched = _match(items, people)
    for (kind, item), theirs in zip(items, matched, strict=True):
        yield _Piece(kind, item, entry, surroundings, metadata, theirs)
    rest = _without(value, {"messaging_product", "metadata", "contacts", *lists})
    if people is not contacts and contacts is not None:
        rest["contacts"] = contacts
    taken = {id(contact) for theirs in matched for contact in theirs}
    strangers = tuple(contact for contact in people if id(contact) not in taken)
    if rest or strangers or not items:
        yield _Piece("event", rest, entry, surroundings, metadata, strangers)


def _match(items: list[tuple[Kind, Any]], contacts: list[Any]) -> list[tuple[Any, ...]]:
    """Each item's contacts. Meta's phone of a contact may differ from the item's, so a lone item gets them all."""
    if len(items) == 1:
        return [tuple(contacts)]
    by_id: dict[tuple[str, str], Any] = {}
    for contact in contacts:
        if isinstance(contact, dict):
            for field in ("wa_id", "user_id"):
                if isinstance(contact.get(field), str):
                    by_id.setdefault((field, contact[field]), contact)
    return [_contact_of(item, by_id) for _, item in items]


def _contact_of(item: Any, by_id: Mapping[tuple[str, str], Any]) -> tuple[Any, ...]:
    if isinstance(item, dict):
        for field, theirs in _CONTACT_FIELDS:
            value = item.get(field)
            if isinstance(value, str) and (theirs, value) in by_id:
                return (by_id[theirs, value],)
    return ()


def _without(whole: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if name not in known}


def _message(piece: _Piece, headers: Mapping[str, str | int], received_at: float) -> Message:
    kind, item, entry, change, metadata, contacts = piece
    number = phone_number_id(metadata)
    identity = _identity(kind, item, number) or digest_id([kind, entry, change, metadata, contacts, item])
    customer = customer_key(item) if isinstance(item, dict) else ""
    body = {
        "v": BODY_VERSION,
        "kind": kind,
        "entry": entry,
        "change": change,
        "metadata": metadata,
        "contacts": contacts,
        "item": item,
    }
    return Message(
        id=identity,
        # Nothing of an unknown customer has an order to be kept.
        key=joined(number, customer or identity),
        tenant=number or plain_id(entry.get("id")) or "",
        body=dumps(body),
        headers=headers,
        published_at=received_at,
    )


def _identity(kind: Kind, item: Any, number: str) -> str | None:
    """What Meta calls it, within the receiving number; None where it has no usable name."""
    if kind == "event" or not isinstance(item, dict):
        return None
    wamid = plain_id(item.get("id"))
    if wamid is None or not number:
        return None
    if kind == "message":
        return joined(number, wamid)
    status = plain_id(item.get("status"))
    if status is None:
        return None
    # A message to a group has one status for each of its people.
    participant = plain_id(item.get("recipient_participant_id"))
    return joined(number, wamid, status, *([participant] if participant else []))
