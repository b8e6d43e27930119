"""Ids of mailbox messages made from what Meta sends: what may stand in a key or a text column, and what may not."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from actors.mailbox.limits import LONGEST_TEXT
from services.whatsapp.lenient_json import dumps

# Meta's ids are base64, digits and dots. Control characters and lone surrogates cannot stand in a text column.
_ID = re.compile(r"[\x21-\x7e]{1,256}")


def plain_id(value: Any) -> str | None:
    """The value if it can be an id, else None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def plain_text(value: Any, limit: int) -> str | None:
    """A text that a text column and strict JSON can hold: without NUL and lone surrogates, cut to a length."""
    if not isinstance(value, str):
        return None
    cleaned = value.replace("\0", "").encode("utf-8", "ignore").decode().strip()[:limit]
    return cleaned or None


def digest_id(value: Any) -> str:
    """An id for what brings none of its own: of its canonical bytes, so that the same thing has the same id."""
    return f"sha256:{hashlib.sha256(dumps(value, sort_keys=True)).hexdigest()}"


def joined(*names: str) -> str:
    """Names put together into one id or key; a digest of them where that is longer than a mailbox takes."""
    together = ":".join(names)
    return together if len(together) <= LONGEST_TEXT else digest_id(names)


def phone_number_id(metadata: Any) -> str:
    """The receiving number that Meta names, which says whose the message is; empty where it names none."""
    return (plain_id(metadata.get("phone_number_id")) or "") if isinstance(metadata, Mapping) else ""


def customer_key(item: Mapping[str, Any]) -> str:
    """Names the customer of a message or status: by the business-scoped id where there is one, else by the phone."""
    for field in ("from_user_id", "from", "recipient_user_id", "recipient_id"):
        value = plain_id(item.get(field))
        if value:
            return value
    return ""
