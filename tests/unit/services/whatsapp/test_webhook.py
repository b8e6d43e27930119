import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from actors.mailbox.errors import JournalUnavailableError, OverloadedError, QueueFullError, UnroutableError
from actors.mailbox.message import Message
from gateway.chain import Parts
from integrations.whatsapp.signature import sign
from services.whatsapp.message_limits import Admitted, MessageLimits
from services.whatsapp.routes import WebhookApp, WebhookPolicy
from tests import gateway
from tests.unit.gateway import bench
from tests.unit.gateway.bench import Answered

SECRET = b"app-secret"
BODY = json.dumps(
    {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "200",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "metadata": {"phone_number_id": "100"},
                            "messages": [{"id": "wamid.A", "from": "27", "type": "text", "timestamp": "1750000000"}],
                            "statuses": [{"id": "wamid.O", "status": "sent", "timestamp": "1750000000"}],
                        },
                    }
                ],
            }
        ],
    }
).encode()


class FakeMailbox:
    def __init__(self, error: Exception | None = None, delay_s: float = 0.0) -> None:
        self.error, self.delay_s = error, delay_s
        self.published: list[tuple[str, str, Sequence[Message]]] = []
        self.dead: list[tuple[str, Sequence[Message], str]] = []

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message], *, timeout_s: float) -> None:
        await self._wait()
        self.published.append((exchange, routing_key, messages))

    async def dead_letter(self, queue: str, messages: Sequence[Message], reason: str, *, timeout_s: float) -> None:
        await self._wait()
        self.dead.append((queue, messages, reason))

    async def _wait(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error


class Watch:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def dead_lettered(self, reason: str) -> None:
        self.reasons.append(reason)


async def call(
    mailbox: FakeMailbox,
    *,
    method: str = "POST",
    watch: Watch | None = None,
    policy: WebhookPolicy | None = None,
    limits: MessageLimits | None = None,
    headers: Mapping[str, str] | None = None,
    also: Sequence[tuple[str, str]] = (),
    path: str = "",
    **more: Any,
) -> Answered | None:
    app = WebhookApp(mailbox, b"verify-me", watch or Watch(), policy=policy or WebhookPolicy(), limits=limits)
    parts = Parts(gateway.Watch(), app_secrets=(b"older", SECRET), counts_messages=True)
    chain = gateway.behind("whatsapp", app, parts)
    return await bench.call(chain, method, path, headers=[*(headers or {}).items(), *also], **more)


async def post(mailbox: FakeMailbox, body: bytes = BODY, **more: Any) -> Answered:
    headers = {"x-hub-signature-256": sign(SECRET, body), **more.pop("headers", {})}
    response = await call(mailbox, body=body, headers=headers, **more)
    assert response is not None
    return response


async def test_a_signed_post_is_answered_once_its_parts_are_published_each_by_its_kind() -> None:
    mailbox = FakeMailbox()

    response = await post(mailbox)

    assert response.status == 200
    assert {(exchange, key): len(messages) for exchange, key, messages in mailbox.published} == {
        ("whatsapp.messages", "inbound.message"): 1,
        ("whatsapp.messages", "inbound.status"): 1,
    }


class Limits:
    """Lets so many messages pass, and has the rest come again."""

    def __init__(self, most: int, retry_after_s: int | None) -> None:
        self._most, self._retry_after_s = most, retry_after_s
        self.asked: list[str] = []

    async def admit(self, messages: Sequence[Message]) -> Admitted:
        self.asked += [message.id for message in messages]
        return Admitted(messages[: self._most], self._retry_after_s, ((b"ratelimit-remaining", b"0"),))


async def test_messages_are_held_against_limits_and_statuses_are_not() -> None:
    mailbox, limits = FakeMailbox(), Limits(1, None)

    assert (await post(mailbox, limits=limits)).status == 200

    assert limits.asked == ["100:wamid.A"]
    assert len(mailbox.published) == 2


async def test_what_is_over_a_limit_is_to_come_again_and_the_rest_is_kept() -> None:
    mailbox = FakeMailbox()

    response = await post(mailbox, limits=Limits(0, 17))

    assert (response.status, response.headers["retry-after"]) == (429, "17")
    assert response.headers["ratelimit-remaining"] == "0"
    assert response.json()["message"] == "API rate limit exceeded"
    assert [key for _, key, _ in mailbox.published] == ["inbound.status"]


async def test_the_correlation_id_comes_back_and_goes_along_with_the_message() -> None:
    mailbox = FakeMailbox()

    response = await post(mailbox, headers={"x-correlation-id": "abc-123"})

    assert response.headers["x-correlation-id"] == "abc-123"
    assert mailbox.published[0][2][0].headers == {"correlation_id": "abc-123"}


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, 'a"b', "a\r\nset-cookie: x"])
async def test_an_insane_correlation_id_is_replaced(given: str) -> None:
    response = await post(FakeMailbox(), headers={"x-correlation-id": given})

    assert response.headers["x-correlation-id"] != given
    assert len(response.headers["x-correlation-id"]) == 32


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (None, "Unauthorized"),
        ("sha256=" + "0" * 64, "HMAC signature does not match"),
        (sign(b"other", BODY), "HMAC signature does not match"),
    ],
)
async def test_a_post_without_metas_signature_is_refused_and_nothing_is_kept(
    signature: str | None, message: str
) -> None:
    mailbox = FakeMailbox()

    response = await call(mailbox, body=BODY, headers={"x-hub-signature-256": signature} if signature else {})

    assert response is not None
    assert response.status == 401
    assert response.json() == {
        "message": message,
        "request_id": response.headers["x-correlation-id"],
    }
    assert not mailbox.published
    assert not mailbox.dead


@pytest.mark.parametrize("second", ["sha256=" + "0" * 64, sign(SECRET, BODY)])
async def test_a_request_with_two_signatures_is_refused_whichever_of_them_is_right(second: str) -> None:
    mailbox = FakeMailbox()

    response = await post(mailbox, also=[("x-hub-signature-256", second)])

    assert response.status == 401
    assert mailbox.published == []


async def test_a_body_that_comes_in_pieces_is_verified_as_a_whole() -> None:
    mailbox = FakeMailbox()

    response = await call(
        mailbox, body=[BODY[:10], BODY[10:50], b"", BODY[50:]], headers={"x-hub-signature-256": sign(SECRET, BODY)}
    )

    assert response is not None
    assert response.status == 200


async def test_a_body_at_the_limit_is_taken_and_one_beyond_it_is_refused() -> None:
    limit = 3 * 1024 * 1024
    body = BODY + b" " * (limit - len(BODY))

    assert (await post(FakeMailbox(), body)).status == 200
    assert (await post(FakeMailbox(), body + b" ")).status == 413


async def test_a_body_without_a_declared_length_is_refused_after_its_end_and_cut_off_if_it_has_none() -> None:
    piece = b" " * 1024 * 1024
    ended = await call(FakeMailbox(), body=[piece] * 5)
    endless = await call(FakeMailbox(), body=[piece] * 100)

    assert ended is not None
    assert endless is not None
    assert (ended.status, endless.status) == (413, 413)
    assert "connection" not in ended.headers
    assert endless.headers["connection"] == "close"


async def test_a_body_that_is_declared_too_large_is_refused_before_it_is_read() -> None:
    response = await call(FakeMailbox(), headers={"content-length": str(3 * 1024 * 1024 + 1)}, disconnect=True)

    assert response is not None
    assert response.status == 413


async def test_a_caller_who_goes_away_while_sending_gets_no_answer() -> None:
    mailbox = FakeMailbox()

    assert await call(mailbox, body=BODY, headers={"x-hub-signature-256": sign(SECRET, BODY)}, disconnect=True) is None
    assert mailbox.published == []


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (JournalUnavailableError("q", "down"), "2"),
        (OverloadedError("q", 7.4), "7"),
        (OverloadedError("q", 0.1), "1"),
    ],
)
async def test_a_journal_that_cannot_be_written_makes_meta_deliver_again(error: Exception, after: str) -> None:
    response = await post(FakeMailbox(error))

    assert response.status == 503
    assert response.headers["retry-after"] == after
    assert "request_id" in response.json()


class FullForMessages(FakeMailbox):
    """Refuses messages at once, and takes statuses a little later."""

    async def publish(self, exchange: str, routing_key: str, messages: Sequence[Message], *, timeout_s: float) -> None:
        if routing_key == "inbound.message":
            raise QueueFullError("whatsapp.inbound", 5, "100", 3.0, ("100",))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await super().publish(exchange, routing_key, messages, timeout_s=timeout_s)


async def test_what_is_not_refused_is_kept_before_meta_is_asked_to_deliver_again() -> None:
    mailbox = FullForMessages()

    response = await post(mailbox)

    assert (response.status, response.headers["retry-after"]) == (503, "3")
    assert [routing_key for _, routing_key, _ in mailbox.published] == ["inbound.status"]


async def test_a_mailbox_that_does_not_answer_is_not_waited_for() -> None:
    response = await post(FakeMailbox(delay_s=5), policy=WebhookPolicy(answer_s=0.02))

    assert response.status == 503


async def test_nothing_is_published_that_could_not_be_acknowledged_in_time() -> None:
    mailbox = FakeMailbox()

    response = await post(mailbox, policy=WebhookPolicy(answer_s=0.2, least_s=0.3))

    assert (response.status, response.headers["retry-after"], mailbox.published) == (503, "2", [])


@pytest.mark.parametrize("error", [UnroutableError("e", "k"), RuntimeError("bug")])
async def test_a_fault_of_ours_is_a_500_after_which_meta_delivers_again(error: Exception) -> None:
    response = await post(FakeMailbox(error))

    assert response.status == 500
    assert response.json()["message"] == "An unexpected error occurred"


@pytest.mark.parametrize(("body", "reason"), [(b"not json", "not_json"), (b'{"object":"page"}', "not_whatsapp")])
async def test_a_signed_body_that_cannot_be_read_is_kept_as_it_is_and_acknowledged(body: bytes, reason: str) -> None:
    mailbox, watch = FakeMailbox(), Watch()

    response = await post(mailbox, body, watch=watch)

    assert response.status == 200
    ((queue, (message,), given),) = mailbox.dead
    assert (queue, message.body, given) == ("whatsapp.inbound", body, reason)
    assert mailbox.published == []
    assert watch.reasons == [reason]


async def test_a_dead_letter_that_cannot_be_kept_is_not_acknowledged() -> None:
    assert (await post(FakeMailbox(JournalUnavailableError("q", "down")), b"not json")).status == 503


async def handshake(query: bytes) -> Answered:
    response = await call(FakeMailbox(), method="GET", query=query.decode("latin-1"))
    assert response is not None
    return response


async def test_the_handshake_gives_the_challenge_back_as_text() -> None:
    response = await handshake(b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me")

    assert (response.status, response.body) == (200, b"1158201444")
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong",
        b"hub.mode=subscribe&hub.challenge=1",
        b"hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=verify-me",
        b"hub.challenge=1&hub.verify_token=verify-me",
        b"hub.mode=subscribe&hub.verify_token=verify-me",
        b"&".join(b"a=1" for _ in range(100)),
        b"hub.mode=subscribe&hub.challenge=1&hub.verify_token=%ff%fe",
    ],
)
async def test_any_other_handshake_is_forbidden(query: bytes) -> None:
    assert (await handshake(query)).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_refused(method: str) -> None:
    response = await call(FakeMailbox(), method=method)

    assert response is not None
    assert response.status == 405
    assert response.headers["allow"] == "GET, POST"


async def test_only_the_route_itself_is_served() -> None:
    for path, status in {"": 403, "/": 403, "x": 404, "/more": 404}.items():
        response = await call(FakeMailbox(), method="GET", path=path)
        assert response is not None
        assert response.status == status, path


async def test_every_event_is_made_anew_for_the_server_writes_into_it() -> None:
    first, second = await post(FakeMailbox()), await post(FakeMailbox())
    for response in (first, second):
        response.events[0]["headers"].append((b"x-request-id", b"1"))

    assert (await post(FakeMailbox())).headers.keys() == {"content-type", "content-length", "x-correlation-id"}
    assert first.events[1] is not second.events[1]
