from collections.abc import Callable

import aiohttp
import httpx
import orjson
import pytest

from integrations.whatsapp.client import GraphClient
from integrations.whatsapp.errors import (
    AuthError,
    DoubtfulSendError,
    InterceptedError,
    NotSentError,
    PermanentError,
    RefusedSendError,
    ThrottledError,
    TransientError,
    UnsendableError,
)
from integrations.whatsapp.schemas import SentMessage

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> GraphClient:
    return GraphClient("http://graph.test", "v23.0", transport=httpx.MockTransport(handler))


def fault(code: int, status: int, **more: object) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "type": "OAuthException", **more}})


async def refusal(answer: httpx.Response) -> Exception:
    with pytest.raises((RefusedSendError, InterceptedError, DoubtfulSendError)) as caught:
        await client(lambda _: answer).send("100", "token", {})
    return caught.value


async def test_a_message_goes_to_its_number_under_its_token_and_the_wamid_comes_back() -> None:
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"messages": [{"id": "wamid.A"}]})

    async with client(accept) as graph:
        payload = {"to": "+27", "text": {"body": "käse 🧀"}}
        sent = await graph.send("100", "secret-token", payload, correlation_id="abc-123")
        await graph.send("100", "secret-token", payload)

    assert sent == SentMessage("wamid.A")
    assert str(seen[0].url) == "http://graph.test/v23.0/100/messages"
    assert seen[0].headers["authorization"] == "Bearer secret-token"
    assert [one.headers.get("x-correlation-id") for one in seen] == ["abc-123", None]
    assert orjson.loads(seen[0].content) == {"to": "+27", "text": {"body": "käse 🧀"}}


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (130429, 400, ThrottledError), (131056, 400, ThrottledError), (80007, 400, ThrottledError),
        (4, 400, ThrottledError), (131048, 400, ThrottledError), (12345, 429, ThrottledError),
        (190, 401, AuthError), (0, 401, AuthError), (10, 403, AuthError), (3, 500, AuthError), (200, 403, AuthError),
        (299, 403, AuthError), (131005, 403, AuthError), (131031, 403, AuthError), (368, 403, AuthError),
        (1, 400, TransientError), (2, 503, TransientError), (131000, 500, TransientError),
        (131016, 500, TransientError), (131057, 500, TransientError), (133004, 503, TransientError),
        (777777, 500, TransientError),
        (100, 400, PermanentError), (33, 400, PermanentError), (131008, 400, PermanentError),
        (131009, 400, PermanentError), (131026, 400, PermanentError), (131047, 400, PermanentError),
        (130497, 403, PermanentError),
        (131045, 500, PermanentError), (132001, 404, PermanentError), (777777, 400, PermanentError),
    ],
)  # fmt: skip
async def test_an_error_is_told_by_its_code(code: int, status: int, kind: type[RefusedSendError]) -> None:
    error = await refusal(fault(code, status))

    assert type(error) is kind
    assert isinstance(error, RefusedSendError)
    assert (error.error_code, error.http_status_seen) == (code, status)


async def test_meta_may_call_any_error_transient() -> None:
    assert type(await refusal(fault(777777, 400, is_transient=True))) is TransientError


async def test_how_long_to_wait_is_taken_from_the_answer() -> None:
    answer = fault(130429, 400)
    answer.headers["retry-after"] = "17"

    error = await refusal(answer)

    assert isinstance(error, ThrottledError)
    assert error.retry_after_s == 17


@pytest.mark.parametrize("asked", ["99999999999999", "9" * 400])
async def test_nobody_is_waited_for_longer_than_a_day(asked: str) -> None:
    answer = fault(130429, 400)
    answer.headers["retry-after"] = asked

    error = await refusal(answer)

    assert isinstance(error, ThrottledError)
    assert error.retry_after_s == 86_400


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(302, headers={"location": "http://elsewhere"}),
        httpx.Response(200, json={"messages": []}),
        httpx.Response(200, text="not json"),
        httpx.Response(500, json={"error": {"code": "text"}}),
    ],
)
async def test_an_answer_that_does_not_say_what_became_of_the_message_leaves_a_doubt(answer: httpx.Response) -> None:
    assert type(await refusal(answer)) is DoubtfulSendError


@pytest.mark.parametrize("status", [401, 404, 413])
async def test_a_refusal_by_something_before_graph_says_nothing_about_the_message(status: int) -> None:
    error = await refusal(httpx.Response(status, text="no"))

    assert isinstance(error, InterceptedError)
    assert error.http_status_seen == status


@pytest.mark.parametrize("token", ["töken", "token\n", "to\0ken", "\ud800", ""])
async def test_a_token_that_fits_no_header_is_never_sent_nor_shown(token: str) -> None:
    with pytest.raises(UnsendableError) as caught:
        await client(lambda _: httpx.Response(200)).send("100", token, {})

    assert str(caught.value) == (
        "no request to the Graph API can be made of it: the access token is not of visible ASCII characters"
    )


@pytest.mark.parametrize(("number", "payload"), [("1\n0", {}), ("100", {"to": "\ud800"})])
async def test_what_makes_no_request_is_never_sent(number: str, payload: dict[str, object]) -> None:
    with pytest.raises(UnsendableError):
        await client(lambda _: httpx.Response(200)).send(number, "token", payload)


class _Key:
    host, port, ssl, is_ssl = "graph.test", 443, None, True


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (aiohttp.ClientConnectorError(_Key(), ConnectionRefusedError()), NotSentError),  # type: ignore[arg-type]
        (aiohttp.ConnectionTimeoutError(), NotSentError),
        (aiohttp.ServerDisconnectedError(), DoubtfulSendError),
        (aiohttp.ClientOSError(104, "reset"), DoubtfulSendError),
        (aiohttp.SocketTimeoutError(), DoubtfulSendError),
        (aiohttp.ClientPayloadError(), DoubtfulSendError),
    ],
)
async def test_a_lost_connection_is_in_doubt_unless_nothing_can_have_left(
    raised: Exception, kind: type[Exception]
) -> None:
    # The transport turns all of these into one and the same error of httpx.
    def lose(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("lost") from raised

    with pytest.raises(kind):
        await client(lose).send("100", "token", {})


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("x"), NotSentError),
        (httpx.PoolTimeout("x"), NotSentError),
        (httpx.ReadTimeout("x"), DoubtfulSendError),
        (httpx.WriteError("x"), DoubtfulSendError),
        (httpx.RemoteProtocolError("x"), DoubtfulSendError),
    ],
)
async def test_errors_of_httpx_itself_are_told_apart_as_well(raised: Exception, kind: type[Exception]) -> None:
    def lose(_: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(kind):
        await client(lose).send("100", "token", {})
