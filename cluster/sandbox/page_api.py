"""The page's handlers: a phone in the browser, without a script."""

from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cluster.sandbox.control_errors import ControlError, invalid_request
from cluster.sandbox.conversations import Line, latest_lines
from cluster.sandbox.inbound import InboundRequest
from cluster.sandbox.page import FRAME, HEADERS, WRITE, Talk, render_frame, render_page
from cluster.sandbox.parts import Parts
from cluster.sandbox.validation import digits_of
from cluster.sandbox.writing import write_as_customer

_LINES = 400
# Of a customer whom nobody has been yet.
_NEWCOMER, _NEWCOMERS_NAME = "27821234567", "Zanele"
_LONGEST_FORM = 64_000


class PageApi:
    """The handlers, over the parts of one sandbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """The page, the frame in it, and where its form goes."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route(FRAME, self.frame, methods=["GET"]),
            Route(WRITE, self.write, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return self._page(self._talk(dict(request.query_params)))

    async def frame(self, request: Request) -> Response:
        talk = self._talk(dict(request.query_params))
        return HTMLResponse(render_frame(talk, self._lines()), headers=HEADERS)

    async def write(self, request: Request) -> Response:
        talk = self._talk(await _form(request))
        try:
            asked = InboundRequest.model_validate(
                {
                    "phone_number_id": talk.phone_number_id,
                    "from": talk.customer,
                    "name": talk.name or None,
                    "text": talk.text,
                }
            )
            await write_as_customer(self._parts, asked)
        except ValidationError as error:
            return self._page(talk, str(invalid_request(error)), 400)
        except ControlError as error:
            return self._page(talk, str(error), error.status)
        written = talk._replace(customer=digits_of(talk.customer) or talk.customer, text="")
        # So that the browser's "again" writes nothing again.
        return RedirectResponse(written.link(), 303, headers=HEADERS)

    def _page(self, talk: Talk, fault: str = "", status: int = 200) -> Response:
        numbers = [
            (one.phone_number_id, f"+{one.display_phone_number.lstrip('+')}") for one in self._parts.numbers.all()
        ]
        page = render_page(talk, numbers, len(self._parts.outbox), fault)
        return HTMLResponse(page, status, headers=HEADERS)

    def _talk(self, given: dict[str, str]) -> Talk:
        """The conversation that is asked for, else the last one, else a first one."""
        number, who, name = given.get("number"), given.get("customer"), given.get("name", "")
        if number is None or who is None:
            newest = next(iter(self._lines(1)), None)
            if newest is None:
                first = next(iter(self._parts.numbers.all())).phone_number_id
                return Talk(first, _NEWCOMER, _NEWCOMERS_NAME)
            number, who = newest.phone_number_id, newest.customer
        known = self._parts.customers.find(number, who)
        if not name and known is not None and known.name is not None:
            name = known.name
        return Talk(number, who, name, given.get("text", ""))

    def _lines(self, count: int = _LINES) -> list[Line]:
        return latest_lines(self._parts.heard, self._parts.outbox, count)


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_FORM:
            raise ControlError(f"the form is larger than {_LONGEST_FORM} bytes", status=413)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
