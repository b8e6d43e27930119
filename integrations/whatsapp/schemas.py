"""What goes to the Graph API and comes back, as far as Spaza reads it."""

from typing import Any, NamedTuple

import orjson


class SentMessage(NamedTuple):
    """A message that Meta has accepted. Whether it arrives is told by statuses.

    Attributes:
        wamid: Meta's id of it; contains the recipient's number, so it is personal data.
    """

    wamid: str


class GraphFault(NamedTuple):
    """The error that Graph names in an answer."""

    code: int
    is_transient: bool


def parse_sent(content: bytes) -> SentMessage | None:
    """Read the answer to an accepted message; None where it does not name one."""
    answer = _object(content)
    messages = answer.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
        return None
    wamid = messages[0].get("id")
    return SentMessage(wamid) if isinstance(wamid, str) and wamid else None


def parse_fault(content: bytes) -> GraphFault | None:
    """Read the error of an answer; None where it is not Graph's own, such as a proxy's page."""
    fault = _object(content).get("error")
    if not isinstance(fault, dict):
        return None
    code = fault.get("code")
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) >= 2**31:
        return None
    return GraphFault(code, fault.get("is_transient") is True)


def _object(content: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
