"""A message to be sent, as the notifications mailbox carries it, and as the Graph API wants it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from actors.mailbox.message import Delivery
from services.outgoing.errors import MalformedOutgoingError

BODY_VERSION = 1


class Outgoing(NamedTuple):
    """One message to be sent.

    Attributes:
        place: in the batch.
        id: ours; Meta echoes it in every status of the message.
        recipient: ``to`` with a phone, or ``recipient`` with a business-scoped id.
        payload: Graph's body without recipient and ids.
    """

    place: int
    delivery: Delivery
    id: str
    tenant_id: str
    phone_number_id: str
    recipient: Mapping[str, str]
    payload: Mapping[str, Any]

    def graph_payload(self) -> dict[str, Any]:
        """The whole body for Graph."""
        return {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            **self.recipient,
            **self.payload,
            "biz_opaque_callback_data": self.id,
        }


def encode(phone_number_id: str, recipient: Mapping[str, str], payload: Mapping[str, Any]) -> bytes:
    """Write the body of a message of the notifications mailbox; the other end is ``decode``.

    Args:
        phone_number_id: of the number that it is sent from.
        recipient: ``to`` with a phone, or ``recipient`` with a business-scoped id.
        payload: Graph's body without recipient and ids.
    """
    return orjson.dumps({"v": BODY_VERSION, "phone_number_id": phone_number_id, **recipient, "payload": payload})


def decode(place: int, delivery: Delivery) -> Outgoing:
    """Read a message of the notifications mailbox.

    Raises:
        MalformedOutgoingError: it cannot be sent as it is; the reason says why.
    """
    message = delivery.message
    try:
        body = orjson.loads(message.body)
    except orjson.JSONDecodeError as error:
        raise MalformedOutgoingError("not_json") from error
    if not isinstance(body, dict) or body.get("v") != BODY_VERSION:
        raise MalformedOutgoingError("unknown_version")
    number, payload = body.get("phone_number_id"), body.get("payload")
    if not isinstance(number, str) or not number:
        raise MalformedOutgoingError("no_phone_number_id")
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        raise MalformedOutgoingError("no_payload")
    recipient = {name: body[name] for name in ("to", "recipient") if isinstance(body.get(name), str) and body[name]}
    if not recipient:
        raise MalformedOutgoingError("no_recipient")
    return Outgoing(place, delivery, message.id, message.tenant, number, recipient, payload)
