"""What the mailboxes' admin API and the front can be asked: validated, served and documented from this."""

from typing import Any, Final

from pydantic import BaseModel

from gateway.operations import Operation
from gateway.refused import Refused
from services.ops.answers import (
    ActionsShown,
    Alive,
    Document,
    MessagesChanged,
    MessagesShown,
    Page,
    QueuePaused,
    QueueShown,
    QueuesShown,
    Ready,
    Traced,
    Welcome,
)
from services.ops.schemas import (
    ActionsQuery,
    ListQuery,
    NoFields,
    PeekQuery,
    PurgeRequest,
    QueuePath,
    RedriveRequest,
    TraceQuery,
)


def _of_one(method: str, verb: str, summary: str, answer: type[BaseModel], **asked: Any) -> Operation:
    """Something about one queue, of which there may be none."""
    path = f"/{{queue}}/{verb}".rstrip("/")
    return Operation(method, path, summary, path_parameters=QueuePath, answers={200: answer, 404: Refused}, **asked)


def _holding(verb: str, summary: str) -> Operation:
    return _of_one("POST", verb, summary, QueuePaused, body=NoFields, body_required=False)


LIST: Final = Operation("GET", "/", "All queues with their figures.", query=ListQuery, answers={200: QueuesShown})
ACTIONS: Final = Operation(
    "GET", "/actions", "What operators did, the latest first.", query=ActionsQuery, answers={200: ActionsShown}
)
TRACE: Final = Operation("GET", "/trace", "Where is my message?", query=TraceQuery, answers={200: Traced})
SHOW: Final = _of_one("GET", "", "One queue with its figures.", QueueShown, query=ListQuery)
PEEK: Final = _of_one("GET", "messages", "Messages that wait, or dead letters.", MessagesShown, query=PeekQuery)
PAUSE: Final = _holding("pause", "Hold a queue's deliveries; it goes on taking messages.")
RESUME: Final = _holding("resume", "Go on delivering.")
REDRIVE: Final = _of_one("POST", "redrive", "Put dead letters back.", MessagesChanged, body=RedriveRequest)
PURGE: Final = _of_one(
    "POST",
    "purge",
    "Settle what waits, or dead letters, as purged; trace still finds them.",
    MessagesChanged,
    body=PurgeRequest,
)

MAILBOXES: Final = (LIST, ACTIONS, TRACE, SHOW, PEEK, PAUSE, RESUME, REDRIVE, PURGE)
FRONT: Final = (
    Operation("GET", "/", "Where things are.", answers={200: Welcome}),
    Operation("GET", "/healthz", "Whether this process answers.", answers={200: Alive}),
    Operation(
        "GET",
        "/readyz",
        "Whether the parts behind can do their work.",
        answers={200: Ready, 503: Ready},
    ),
    Operation("GET", "/openapi.json", "This document.", answers={200: Document}),
    Operation("GET", "/docs", "This document, for reading.", answers={200: Page}),
)
