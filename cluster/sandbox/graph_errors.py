"""The Graph API's errors, in Meta's words and shape.

SpazaError
    GraphError: one answer of the Graph API other than 200

Source: developers.facebook.com, WhatsApp Cloud API error codes (12 December 2025).
"""

from typing import NamedTuple

import orjson

from kernel.errors import SpazaError

HREF = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"


class _Known(NamedTuple):
    status: int
    title: str
    details: str


_KNOWN = {
    33: _Known(400, "Parameter value is not valid", "The business phone number has been deleted."),
    100: _Known(400, "Invalid parameter", "One or more parameters are not supported or misspelled."),
    130429: _Known(400, "Rate limit hit", "Cloud API message throughput has been reached."),
    130472: _Known(400, "User's number is part of an experiment", "The message was not sent as part of an experiment."),
    131000: _Known(500, "Something went wrong", "Message failed to send due to an unknown error."),
    131008: _Known(400, "Required parameter is missing", "The request is missing a required parameter."),
    131009: _Known(400, "Parameter value is not valid", "One or more parameter values are invalid."),
    131016: _Known(500, "Service unavailable", "A service is temporarily unavailable."),
    131021: _Known(400, "Recipient cannot be sender", "Sender and recipient phone number is the same."),
    131026: _Known(400, "Message undeliverable", "Unable to deliver message."),
    131030: _Known(400, "Recipient phone number not in allowed list", "Add the number to the recipients' list."),
    131047: _Known(
        400,
        "Re-engagement message",
        "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
    ),
    131049: _Known(400, "Meta chose not to deliver", "Not delivered to maintain healthy ecosystem engagement."),
    131051: _Known(400, "Unsupported message type", "Message type is not currently supported."),
    131056: _Known(
        400,
        "(Business Account, Consumer Account) pair rate limit hit",
        "Too many messages sent from this phone number to the same phone number in a short period of time.",
    ),
    131057: _Known(500, "Account in maintenance mode", "Business Account is in maintenance mode."),
}
_TRANSIENT = frozenset({131000, 131016, 131057})


class GraphError(SpazaError):
    """One refusal by the Graph API.

    Attributes:
        number: Meta's error code, on which clients decide.
        status: the HTTP status.
        kind: Meta's ``type``.
        subcode: only where Meta still gives one.
    """

    code = "graph_error"
    http_status = 400

    def __init__(  # noqa: PLR0917 - by position, to come through pickling
        self,
        number: int,
        status: int,
        message: str,
        details: str | None = None,
        kind: str = "OAuthException",
        subcode: int | None = None,
    ) -> None:
        super().__init__(number, status, message, details, kind, subcode)
        self.number, self.status, self.message = number, status, message
        self.details, self.kind, self.subcode = details, kind, subcode

    def __str__(self) -> str:
        return self.message if self.details is None else f"{self.message}: {self.details}"

    def body(self, trace_id: str) -> bytes:
        """The JSON of the answer."""
        error: dict[str, object] = {"message": self.message, "type": self.kind, "code": self.number}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.number in _TRANSIENT:
            error["is_transient"] = True
        error["fbtrace_id"] = trace_id
        return orjson.dumps({"error": error})


def refusal(number: int, details: str | None = None) -> GraphError:
    """The documented error of that code, with other details where they say more."""
    known = _KNOWN[number]
    return GraphError(number, known.status, f"(#{number}) {known.title}", known.details if details is None else details)


def invalid_token() -> GraphError:
    """No token, or one that nobody was given."""
    return GraphError(190, 401, "Invalid OAuth access token - Cannot parse access token")


def no_such_object(object_id: str, method: str) -> GraphError:
    """A number that does not exist or that the token gives no right to; Meta does not say which."""
    return GraphError(
        100,
        400,
        f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation. Please read the Graph API documentation at "
        "https://developers.facebook.com/docs/graph-api",
        kind="GraphMethodException",
        subcode=33,
    )


def unknown_path(path: str) -> GraphError:
    """A path that the Graph API does not have."""
    return GraphError(2500, 400, f"Unknown path components: {path}")


def missing(parameter: str) -> GraphError:
    """A field that must be there is not."""
    return refusal(131008, f"Parameter '{parameter}' is missing")


def invalid(details: str) -> GraphError:
    """A field has a value that is not allowed."""
    return refusal(131009, details)


def status_error(number: int) -> dict[str, object]:
    """The entry in ``errors`` of a status ``failed``."""
    known = _KNOWN[number]
    return {
        "code": number,
        "title": known.title,
        "message": known.title,
        "error_data": {"details": known.details},
        "href": HREF,
    }
