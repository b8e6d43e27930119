"""What a dead letter says of its death, in RabbitMQ's headers. Pure."""

from actors.mailbox.message import HeaderValue, Message
from actors.mailbox.retry import Cause


def dead_letter(message: Message, queue: str, cause: Cause, reason: str) -> Message:
    """The message as it goes into the dead-letter queue: it does not expire there, and knows where and why it died."""
    headers: dict[str, HeaderValue] = {
        "x-first-death-queue": queue,
        "x-first-death-reason": cause,
        **message.headers,
        "x-last-death-queue": queue,
        "x-last-death-reason": cause,
    }
    if reason:
        headers["x-death-detail"] = reason[:500]
    return message._replace(headers=headers, ttl_ms=None)
