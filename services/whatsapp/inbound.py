"""What the processor works on: a mailbox message, read into one typed record. Strict where the edge was not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from actors.mailbox.message import Message
from services.outgoing.delivery_state import rank_of_status
from services.whatsapp.envelope import BODY_VERSION
from services.whatsapp.errors import MalformedError, NotJsonError
from services.whatsapp.identity import phone_number_id, plain_id, plain_text
from services.whatsapp.lenient_json import loads

# Seconds; Meta's clock starts long after, and PostgreSQL's ends long after.
_EARLIEST_S, _LATEST_S = 1_000_000_000, 32_000_000_000
_NAME_LIMIT, _TEXT_LIMIT, _KIND_LIMIT = 100, 65_536, 64
CALLBACK_ID_LENGTH = 32


class Customer(NamedTuple):
    """Who wrote: by the business-scoped id, by phone, or both. Never neither."""

    user_id: str | None
    phone: str | None


class InboundMessage(NamedTuple):
    """A message of a customer's.

    Attributes:
        id: of the mailbox, so with the receiving number: a wamid that comes to two numbers of a merchant is two.
        sent_at: by Meta's clock.
        type: as Meta names it, known to us or not.
        text: of a text message.
        body: the mailbox body, kept as it is.
    """

    id: str
    phone_number_id: str
    sent_at: datetime
    type: str
    customer: Customer | None
    name: str | None
    text: str | None
    body: bytes
    correlation_id: str


class StatusUpdate(NamedTuple):
    """What became of a message that we sent.

    Attributes:
        participant: of a group; empty elsewhere.
        rank: see ``delivery_state``.
        message_id: our own id of the message, where the status carries it.
    """

    wamid: str
    phone_number_id: str
    participant: str
    state: str
    rank: int
    at: datetime
    message_id: str | None
    error_code: int | None
    body: bytes


class InboundEvent(NamedTuple):
    """Anything else. Kept.

    Attributes:
        phone_number_id: empty where Meta names none.
        waba_id: of the entry; may be empty.
    """

    id: str
    phone_number_id: str
    waba_id: str
    field: str
    occurred_at: datetime
    body: bytes


Inbound = InboundMessage | StatusUpdate | InboundEvent


def decode(message: Message) -> Inbound:
    """Read a mailbox message of ``whatsapp.inbound``.

    Raises:
        MalformedError: it lacks what each of its kind has; the reason says what.
    """
    try:
        body = loads(message.body)
    except NotJsonError as error:
        raise MalformedError("not_json") from error
    if not isinstance(body, dict) or body.get("v") != BODY_VERSION:
        raise MalformedError("unknown_version")
    number, item = phone_number_id(body.get("metadata")), body.get("item")
    match body.get("kind"):
        case "message":
            return _message(_item(item), number, body, message)
        case "status":
            return _status(_item(item), number, message.body)
        case "event":
            return _event(number, body, message)
        case _:
            raise MalformedError("unknown_kind")


def _item(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise MalformedError("not_an_object")
    return item


def _message(item: Mapping[str, Any], number: str, body: Mapping[str, Any], message: Message) -> InboundMessage:
    kind = plain_id(item.get("type"))
    if kind is None:
        raise MalformedError("no_type")
    text = None
    if kind == "text":
        content = item.get("text")
        if not isinstance(content, dict) or not isinstance(content.get("body"), str):
            raise MalformedError("no_text")
        text = plain_text(content["body"], _TEXT_LIMIT) or ""
    _required(item, "id")
    contact = _contact(body.get("contacts"))
    user_id = plain_id(item.get("from_user_id")) or plain_id(contact.get("user_id"))
    phone = (plain_id(item.get("from")) or "").removeprefix("+")
    profile = contact.get("profile")
    return InboundMessage(
        id=message.id,
        phone_number_id=number,
        sent_at=_timestamp(item),
        type=kind[:_KIND_LIMIT],
        customer=Customer(user_id, phone or None) if user_id or phone else None,
        name=plain_text(profile.get("name"), _NAME_LIMIT) if isinstance(profile, dict) else None,
        text=text,
        body=message.body,
        correlation_id=str(message.headers.get("correlation_id", "")),
    )


def _status(item: Mapping[str, Any], number: str, body: bytes) -> StatusUpdate:
    state = _required(item, "status")
    errors = item.get("errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    error_code = error.get("code") if isinstance(error, dict) else None
    message_id = plain_id(item.get("biz_opaque_callback_data"))
    return StatusUpdate(
        wamid=_required(item, "id"),
        phone_number_id=number,
        participant=plain_id(item.get("recipient_participant_id")) or "",
        state=state[:_KIND_LIMIT],
        rank=rank_of_status(state),
        at=_timestamp(item),
        message_id=message_id if message_id is not None and len(message_id) == CALLBACK_ID_LENGTH else None,
        error_code=error_code if isinstance(error_code, int) and abs(error_code) < 2**31 else None,
        body=body,
    )


def _event(number: str, body: Mapping[str, Any], message: Message) -> InboundEvent:
    entry, change = body.get("entry"), body.get("change")
    entry = entry if isinstance(entry, dict) else {}
    change = change if isinstance(change, dict) else {}
    return InboundEvent(
        id=message.id,
        phone_number_id=number,
        waba_id=plain_id(entry.get("id")) or "",
        field=(plain_id(change.get("field")) or "")[:_KIND_LIMIT],
        occurred_at=_event_time(entry, body.get("item"), message.published_at),
        body=message.body,
    )


def _event_time(entry: Mapping[str, Any], item: Any, received_at: float) -> datetime:
    """Meta's time of the event where it says one, for it stays the same when the event is delivered again."""
    candidates: list[Any] = [entry.get("time")]
    if isinstance(item, dict):
        listed = (value[0] for value in item.values() if isinstance(value, list) and value)
        candidates += [one.get("timestamp") for one in (item, *listed) if isinstance(one, dict)]
    for candidate in candidates:
        moment = _moment(candidate)
        if moment is not None:
            return moment
    return datetime.fromtimestamp(received_at, UTC)


def _contact(contacts: Any) -> Mapping[str, Any]:
    first = contacts[0] if isinstance(contacts, list) and len(contacts) == 1 else None
    return first if isinstance(first, dict) else {}


def _required(item: Mapping[str, Any], field: str) -> str:
    value = plain_id(item.get(field))
    if value is None:
        raise MalformedError(f"no_{field}")
    return value


def _timestamp(item: Mapping[str, Any]) -> datetime:
    moment = _moment(item.get("timestamp"))
    if moment is None:
        raise MalformedError("no_timestamp")
    return moment


def _moment(value: Any) -> datetime | None:
    """Unix seconds, which Meta writes as a string; some of its older notices have milliseconds or numbers."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 13:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if value > _LATEST_S:
        value //= 1000
    return datetime.fromtimestamp(value, UTC) if _EARLIEST_S <= value <= _LATEST_S else None
