"""The last things that were said, in both directions, as a person reads them."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, NamedTuple

import orjson

from cluster.sandbox.outbox import Outbox, Sent

_REMEMBERED = 200


class Line(NamedTuple):
    """One message as the page shows it."""

    at: float
    phone_number_id: str
    customer: str
    direction: Literal["in", "out"]
    text: str
    status: str


class Heard:
    """The last messages that customers wrote through the sandbox."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=_REMEMBERED)

    def add(self, line: Line) -> None:
        """Remember one more."""
        self._lines.append(line)

    def latest(self) -> Iterator[Line]:
        """From the newest to the oldest."""
        return reversed(self._lines)


def latest_lines(heard: Heard, outbox: Outbox, count: int) -> list[Line]:
    """What was said last, the newest first."""
    sent: Iterable[Line] = (_line_of(one) for one in outbox.latest())
    return list(islice(heapq.merge(sent, heard.latest(), key=lambda line: line.at, reverse=True), count))


def describe(message: Mapping[str, Any]) -> str:
    """A message of any type in one line of plain text, whatever its shape."""
    kind = str(message.get("type", "text"))
    content = message.get(kind)
    if not isinstance(content, dict):
        return f"[{kind}]"
    if kind == "text":
        return str(content.get("body", ""))
    if kind == "interactive":
        return _describe_interactive(content)
    said = content.get("caption") or content.get("emoji") or content.get("name") or content.get("text")
    return f"[{kind}] {said}" if isinstance(said, str) else f"[{kind}]"


def _line_of(sent: Sent) -> Line:
    status = sent.statuses[-1].status if sent.statuses else "accepted"
    text = describe(orjson.loads(sent.payload))
    return Line(sent.accepted_at, sent.phone_number_id, sent.to, "out", text, status)


def _describe_interactive(content: Mapping[str, Any]) -> str:
    for reply in ("button_reply", "list_reply"):
        if isinstance(content.get(reply), dict):
            return f"[{content[reply].get('title')}]"
    body, action = content.get("body"), content.get("action")
    said = str(body.get("text", "")) if isinstance(body, dict) else ""
    return f"{said} {' '.join(f'[{title}]' for title in _choices(action))}".strip()


def _choices(action: Any) -> Iterator[str]:
    """Every title that a customer could press, at any depth."""
    if isinstance(action, dict):
        for name, value in action.items():
            if name in {"title", "display_text"} and isinstance(value, str):
                yield value
            else:
                yield from _choices(value)
    elif isinstance(action, list):
        for value in action:
            yield from _choices(value)
