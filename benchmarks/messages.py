"""Webhooks as Meta sends them: one text message each, escaped in Meta's way and signed, as ready HTTP requests."""

import hashlib
import hmac
import json
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.merchants import APP_SECRET, MERCHANTS, Merchant, customer, merchant


class PreparedMessage(NamedTuple):
    """One message: whose reply to look for, and the bytes to send."""

    customer: str
    phone_number_id: str
    request: bytes


def prepare(url: str, first: int, count: int) -> list[PreparedMessage]:
    """Build the messages numbered ``first`` to ``first + count - 1``, turn and turn about among the merchants.

    Args:
        url: the webhook, an http URL with host and port.
        first: no number is used twice against one system, or its message would be a duplicate.
        count: how many.
    """
    now = int(time.time())
    return [_prepared(url, merchant(number % MERCHANTS), number, now) for number in range(first, first + count)]


def envelope(to: Merchant, sequence: int, timestamp: int) -> bytes:
    """The body of one webhook, in the layout of Meta's documented text message."""
    phone = customer(sequence)
    body = {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": to.waba_id,
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {
                                "display_phone_number": to.display_phone_number.lstrip("+"),
                                "phone_number_id": to.phone_number_id,
                            },
                            "contacts": [{"profile": {"name": f"Customer {sequence} café"}, "wa_id": phone}],
                            "messages": [
                                {
                                    "from": phone,
                                    "id": f"wamid.HBgLMjc2{sequence:012d}VAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
                                    "timestamp": str(timestamp),
                                    "type": "text",
                                    "text": {"body": f"Hello, do you have bread and/or milk today? ({sequence})"},
                                }
                            ],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }
    # Meta escapes the slash, and non-ASCII characters as \uXXXX: who signs a re-serialised body gets it wrong.
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/").encode()


def signature(body: bytes) -> str:
    """The value of ``X-Hub-Signature-256`` over the raw bytes."""
    return "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()


def _prepared(url: str, to: Merchant, sequence: int, now: int) -> PreparedMessage:
    body = envelope(to, sequence, now)
    target = urlsplit(url)
    head = (
        f"POST {target.path} HTTP/1.1\r\n"
        f"Host: {target.netloc}\r\n"
        "User-Agent: facebookexternalua\r\n"
        "Content-Type: application/json\r\n"
        f"X-Hub-Signature-256: {signature(body)}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "\r\n"
    )
    return PreparedMessage(customer(sequence), to.phone_number_id, head.encode() + body)
