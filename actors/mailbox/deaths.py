"""What a dead letter says of its death, in RabbitMQ's headers, and what may be read from them. Pure.

``x-death`` has one entry for each queue and reason, the latest death first. ``x-first-death-*`` never change,
``x-last-death-*`` always tell of the latest.

Source:
    RabbitMQ 4, https://www.rabbitmq.com/docs/dlx and ``record_death`` of its ``mc.erl``.
"""

from collections.abc import Mapping
from typing import Any

from actors.mailbox.exchange import EXCHANGE, ROUTING_KEY, addressed
from actors.mailbox.message import HeaderValue, Message
from actors.mailbox.reasons import storable
from actors.mailbox.retry import Cause
from config.topology import Queue

# Of a header that any publisher may have written.
_HIGHEST_COUNT = (1 << 31) - 1


def dead_letter(message: Message, queue: Queue, cause: Cause, reason: str, wall: float) -> Message:
    """The message as it goes into the dead-letter queue: it does not expire there, and knows where and why it died.

    Args:
        message: as it was in the queue.
        queue: where it died.
        cause: why.
        reason: of the consumer, for the operator.
        wall: Unix seconds.
    """
    exchange = str(message.headers.get(EXCHANGE, ""))
    latest: dict[str, HeaderValue] = {"queue": queue.name, "reason": cause, "exchange": exchange}
    headers: dict[str, HeaderValue] = {
        **{f"x-first-death-{name}": value for name, value in latest.items()},
        **message.headers,
        **{f"x-last-death-{name}": value for name, value in latest.items()},
        "x-death": _deaths_with(message, queue.name, cause, wall),
    }
    headers.pop("x-death-detail", None)
    if reason:
        headers["x-death-detail"] = storable(reason)
    dead = message._replace(headers=headers, ttl_ms=None)
    return addressed(dead, "" if queue.dlx is None else queue.dlx, queue.name)


def died_before(letter: Message, earlier: Mapping[str, HeaderValue]) -> Message:
    """A dead letter of a message that another one was of, which is over: its deaths came before.

    Args:
        letter: the new one.
        earlier: headers of the other.
    """
    deaths = _deaths(letter.headers)
    if not deaths:
        return letter
    latest, *others = deaths
    name = (latest["queue"], latest["reason"])
    count = _count(latest)
    for death in _deaths(earlier):
        if (death["queue"], death["reason"]) == name:
            latest, count = death, max(count, _count(death) + 1)
        elif all((one["queue"], one["reason"]) != (death["queue"], death["reason"]) for one in others):
            others.append(death)
    firsts = {name: value for name, value in earlier.items() if name.startswith("x-first-death-")}
    told: list[HeaderValue] = [{**latest, "count": count}, *map(dict, others)]
    return letter._replace(headers={**letter.headers, **firsts, "x-death": told})


def published_at_death(message: Message) -> tuple[str, str] | None:
    """Exchange and routing key under which a dead letter was published before it died last; None if unknown."""
    deaths = _deaths(message.headers)
    if not deaths:
        return None
    routing_keys = deaths[0].get("routing-keys")
    first = str(routing_keys[0]) if isinstance(routing_keys, list) and routing_keys else ""
    return str(deaths[0].get("exchange", "")), first


def _deaths_with(message: Message, queue: str, cause: Cause, wall: float) -> list[HeaderValue]:
    known = _deaths(message.headers)
    same = [death for death in known if (death["queue"], death["reason"]) == (queue, cause)]
    others = [dict(death) for death in known if (death["queue"], death["reason"]) != (queue, cause)]
    if same:  # told of as it was the first time
        return [{**same[0], "count": _count(same[0]) + 1}, *others]
    routing_key = message.headers.get(ROUTING_KEY)
    death: dict[str, HeaderValue] = {
        "queue": queue,
        "reason": cause,
        "count": 1,
        "exchange": str(message.headers.get(EXCHANGE, "")),
        "routing-keys": [] if routing_key is None else [str(routing_key)],
        "time": int(wall),
    }
    if message.ttl_ms is not None:
        death["original-expiration"] = str(message.ttl_ms)
    return [death, *others]


def _deaths(headers: Mapping[str, HeaderValue]) -> list[Mapping[str, Any]]:
    """What is there, as far as it is such a header: any publisher may have written it."""
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return []
    return [one for one in deaths if isinstance(one, Mapping) and {"queue", "reason"} <= one.keys()]


def _count(death: Mapping[str, Any]) -> int:
    count = death.get("count")
    return count if isinstance(count, int) and 0 < count < _HIGHEST_COUNT else 1
