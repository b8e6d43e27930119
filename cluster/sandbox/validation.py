"""What Meta accepts in ``POST /{phone_number_id}/messages``: the required fields and the limits of each type.

Source: developers.facebook.com, WhatsApp Cloud API, sending messages.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cluster.sandbox.fields import Fields, list_in, number_in, object_in, optional_text_in, text_in
from cluster.sandbox.graph_errors import invalid, missing, refusal
from cluster.sandbox.interactive import check_interactive

_PHONE_NOISE = re.compile(r"[+\-() ]")
# Loose on purpose: Meta's own samples break its grammar.
_BSUID = re.compile(r"[A-Za-z]{2,3}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


class Recipient(NamedTuple):
    """To whom a message goes.

    Attributes:
        given: as the request has it, echoed in the answer.
        wa_id: the phone number's digits; None where a BSUID was given.
        user_id: the BSUID; None where a phone number was given.
    """

    given: str
    wa_id: str | None
    user_id: str | None

    @property
    def identity(self) -> str:
        """The digits or the BSUID."""
        return self.wa_id if self.wa_id is not None else self.user_id or ""


def digits_of(phone: str) -> str | None:
    """The digits of a phone number in any of the spellings that Meta takes; None if it is none."""
    digits = _PHONE_NOISE.sub("", phone)
    return digits if digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15 else None


def is_bsuid(value: str) -> bool:
    """Whether it looks like a business-scoped user id."""
    return _BSUID.fullmatch(value) is not None


def recipient_of(message: Fields) -> Recipient:
    """The recipient; ``to`` wins over ``recipient``.

    Raises:
        GraphError: neither is there, or it is no phone number or BSUID.
    """
    to = optional_text_in(message, "to", "to", most=64)
    if to is not None:
        digits = digits_of(to)
        if digits is None:
            raise invalid("Param to must be a valid WhatsApp phone number.")
        return Recipient(to, digits, None)
    recipient = optional_text_in(message, "recipient", "recipient", most=160)
    if recipient is None:
        raise missing("to")
    if not is_bsuid(recipient):
        raise invalid("Param recipient must be a valid business-scoped user ID.")
    return Recipient(recipient, None, recipient)


def check_message(message: Fields) -> None:
    """Refuse a message that Meta would refuse; the recipient is judged by :func:`recipient_of`.

    Raises:
        GraphError: 131008, 131009 or 131051, naming the field.
    """
    check_product(message)
    kind = optional_text_in(message, "type", "type", most=64)
    kind = "text" if kind is None else kind
    if optional_text_in(message, "recipient_type", "recipient_type", most=16) not in {None, "individual", "group"}:
        raise invalid("Param recipient_type must be one of {individual, group}.")
    optional_text_in(message, "biz_opaque_callback_data", "biz_opaque_callback_data", most=512)
    if message.get("context") is not None:
        text_in(object_in(message, "context", "context"), "message_id", "context['message_id']", most=512)
    check = _CHECKS.get(kind)
    if check is None:
        raise refusal(131051, f'Message type "{kind}" is not supported.')
    if kind == "contacts":
        list_in(message, "contacts", "contacts", least=1, most=5, what="contacts")
    else:
        check(object_in(message, kind, kind))


def check_product(message: Fields) -> None:
    """Every request names the product it is for."""
    if text_in(message, "messaging_product", "messaging_product", most=16) != "whatsapp":
        raise invalid('Param messaging_product must be "whatsapp".')


def _check_text(text: Fields) -> None:
    text_in(text, "body", "text['body']", most=4096)
    if not isinstance(text.get("preview_url", False), bool):
        raise invalid("Param text['preview_url'] must be a boolean.")


def _media(kind: str, *, caption: bool) -> Callable[[Fields], None]:
    def check(media: Fields) -> None:
        identity = optional_text_in(media, "id", f"{kind}['id']", most=128)
        link = optional_text_in(media, "link", f"{kind}['link']", most=2048)
        if identity is None and link is None:
            raise missing(f"{kind}['id'] or {kind}['link']")
        if link is not None and not link.startswith(("https://", "http://")):
            raise invalid(f"Param {kind}['link'] must be a valid URL.")
        if media.get("caption") is not None and not caption:
            raise invalid(f"Param {kind}['caption'] is not allowed.")
        optional_text_in(media, "caption", f"{kind}['caption']", most=1024)

    return check


def _check_location(location: Fields) -> None:
    number_in(location, "latitude", "location['latitude']", limit=90)
    number_in(location, "longitude", "location['longitude']", limit=180)


def _check_reaction(reaction: Fields) -> None:
    text_in(reaction, "message_id", "reaction['message_id']", most=512)
    if optional_text_in(reaction, "emoji", "reaction['emoji']", most=64) is None:
        raise missing("reaction['emoji']")


def _check_template(template: Fields) -> None:
    text_in(template, "name", "template['name']", most=512)
    text_in(object_in(template, "language", "template['language']"), "code", "template['language']['code']", most=16)


_CHECKS: Mapping[str, Callable[[Fields], None]] = {
    "audio": _media("audio", caption=False),
    "contacts": lambda _contacts: None,
    "document": _media("document", caption=True),
    "image": _media("image", caption=True),
    "interactive": check_interactive,
    "location": _check_location,
    "reaction": _check_reaction,
    "sticker": _media("sticker", caption=False),
    "template": _check_template,
    "text": _check_text,
    "video": _media("video", caption=True),
}
