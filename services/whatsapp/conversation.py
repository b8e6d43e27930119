"""The conversation with one customer: a pure step from a message to the next state and the replies.

So far it greets. Searching, the basket and paying become further stages, each a branch of ``step``.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from services.whatsapp.inbound import InboundMessage

REPLY_PRIORITY = 5
# Graph refuses longer texts.
_BODY_LIMIT = 4096


class Stage(StrEnum):
    """How far a conversation has come."""

    NEW = "new"
    GREETED = "greeted"


class Conversation(NamedTuple):
    """What is known of one customer of one merchant.

    Attributes:
        user_id: the business-scoped id, where Meta has told it.
        phone: digits without a plus, where Meta has told it. At least one of the two is there, unless another
            conversation took over.
        name: as the customer calls himself.
        last_inbound_at: by Meta's clock; free replies are allowed for 24 hours from then.
        merged_into: the conversation of the same customer that goes on in place of this one.
    """

    id: str
    user_id: str | None
    phone: str | None
    name: str | None
    stage: Stage
    last_inbound_at: datetime
    merged_into: str | None = None


class Merchant(NamedTuple):
    """Whose conversation it is, as far as replies name him."""

    name: str


class Reply(NamedTuple):
    """Something to be sent to the customer: Graph's body without the recipient."""

    payload: Mapping[str, Any]
    priority: int = REPLY_PRIORITY


class Step(NamedTuple):
    """Where a message leads."""

    conversation: Conversation
    replies: tuple[Reply, ...]


def step(conversation: Conversation, message: InboundMessage, merchant: Merchant) -> Step:
    """Take one message into a conversation.

    Messages may come late or out of order; the time of the last one only goes up.

    Args:
        conversation: as it stands; its customer wrote the message.
        message: each one is given once.
        merchant: who is written to.
    """
    heard = conversation._replace(
        name=message.name if message.name is not None else conversation.name,
        last_inbound_at=max(conversation.last_inbound_at, message.sent_at),
    )
    if message.text is None:
        return Step(heard, ())
    match heard.stage:
        case Stage.NEW:
            return Step(heard._replace(stage=Stage.GREETED), (_text(_welcome(heard, merchant)),))
        case Stage.GREETED:
            return Step(heard, (_text(_welcome_back(heard, merchant)),))


def _welcome(conversation: Conversation, merchant: Merchant) -> str:
    return (
        f"Hello{_called(conversation)}, welcome to {merchant.name}! 👋\n"
        "Thank you for writing to us. What can we get for you today?"
    )


def _welcome_back(conversation: Conversation, merchant: Merchant) -> str:
    return f"Hello again{_called(conversation)}! {merchant.name} here, we have your message. 🙏"


def _called(conversation: Conversation) -> str:
    return f" {conversation.name}" if conversation.name else ""


def _text(body: str) -> Reply:
    return Reply({"type": "text", "text": {"preview_url": False, "body": body[:_BODY_LIMIT]}})
