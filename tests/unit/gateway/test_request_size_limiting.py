"""Kong's cases for request-size-limiting, and those of bodies that lie about their length.

Follows Kong, spec/03-plugins/12-request-size-limiting/01-access_spec.lua.
"""

import asyncio
from typing import Any

import pytest

from config.plugins import RequestSizeLimitingOptions
from gateway.chain import Parts, chained
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, call, route

LIMIT = 1024


def chain(app: App, watch: Watch | None = None, **options: Any) -> Any:
    given = {"allowed_payload_size": LIMIT, "size_unit": "bytes", **options}
    limiting = {"request-size-limiting": RequestSizeLimitingOptions(**given)}
    return chained(app, route(limiting), Parts(watch or Watch()))


async def post(chain: Any, body: Any, *headers: tuple[str, str], **more: Any) -> Answered:
    return await answered(chain, "POST", body=body, headers=headers, **more)


@pytest.mark.parametrize(("unit", "factor"), [("bytes", 1), ("kilobytes", 1024), ("megabytes", 1024 * 1024)])
async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(unit: str, factor: int) -> None:
    app = App()
    limited = chain(app, allowed_payload_size=2, size_unit=unit)

    passed = await post(limited, b"x" * (2 * factor))
    refused = await post(limited, b"x" * (2 * factor + 1))

    assert (passed.status, refused.status) == (200, 413)
    assert len(app.bodies[0]) == 2 * factor
    assert len(app.bodies) == 1
    assert refused.json()["message"] == "Request size limit exceeded"
    assert refused.json()["request_id"] == refused.headers["x-correlation-id"]


async def test_what_is_declared_too_large_is_refused_before_it_is_read() -> None:
    answer = await post(chain(App()), b"", ("Content-Length", str(LIMIT + 1)), disconnect=True)

    assert answer.status == 413


async def test_who_asks_before_sending_is_told_417() -> None:
    answer = await post(chain(App()), b"", ("Content-Length", str(LIMIT + 1)), ("Expect", "100-continue"))

    assert (answer.status, answer.json()["message"]) == (417, "Request size limit exceeded")


@pytest.mark.parametrize(
    ("headers", "status"),
    [((), 411), ((("Transfer-Encoding", "chunked"),), 200), ((("Content-Length", "2"),), 200)],
)
async def test_a_length_may_be_required(headers: tuple[tuple[str, str], ...], status: int) -> None:
    answer = await post(chain(App(), require_content_length=True), b"{}", *headers)

    assert answer.status == status
    assert status == 200 or answer.json()["message"] == "A valid Content-Length header is required"


async def test_a_length_that_lies_is_no_way_around_the_limit() -> None:
    answer = await post(chain(App()), [b"x" * LIMIT, b"x"], ("Content-Length", "10"))

    assert answer.status == 413


async def test_a_body_without_an_end_is_cut_off_and_one_that_ends_is_read_so_that_its_sender_sees_the_answer() -> None:
    ended = await post(chain(App()), [b"x" * LIMIT] * 2)
    endless = await post(chain(App()), [b"x" * LIMIT] * 100)

    assert (ended.status, endless.status) == (413, 413)
    assert "connection" not in ended.headers
    assert endless.headers["connection"] == "close"


async def test_a_body_in_pieces_arrives_as_a_whole() -> None:
    app = App()

    await post(chain(app), [b"ab", b"", b"cd"])

    assert app.bodies == [b"abcd"]
    assert app.context.body == b"abcd"


async def test_a_caller_who_goes_away_while_sending_gets_no_answer() -> None:
    app, watch = App(), Watch()

    assert await call(chain(app, watch), "POST", body=b"ab", disconnect=True) is None
    assert (app.scopes, watch.answers) == ([], [])


async def test_in_shadow_it_is_counted_and_let_pass_but_not_without_bound() -> None:
    app, watch = App(), Watch()
    shadow = chain(app, watch, mode="shadow")

    passed = await post(shadow, [b"x" * LIMIT] * 2)
    declared = await post(shadow, b"x" * (LIMIT + 1), ("Content-Length", str(LIMIT + 1)))
    endless = await post(shadow, [b"x" * LIMIT] * 100)

    assert [passed.status, declared.status, endless.status] == [200, 200, 413]
    assert [len(body) for body in app.bodies] == [2 * LIMIT, LIMIT + 1]
    assert watch.refusals == [
        ("things", "request-size-limiting", 413, False),
        ("things", "request-size-limiting", 413, False),
        ("things", "request-size-limiting", 413, True),
    ]


async def test_in_shadow_a_declared_body_that_is_not_kept_is_not_passed_on_as_none() -> None:
    app = App()
    shadow = chain(app, mode="shadow")

    declared = await post(shadow, [b"x" * LIMIT] * 100, ("Content-Length", str(100 * LIMIT)))

    assert (declared.status, app.bodies) == (413, [])


@pytest.mark.parametrize("limits", [{"read_timeout_s": 0.01}, {"pause_timeout_s": 0.01}])
@pytest.mark.parametrize("pieces", [0, 2])
async def test_a_body_that_does_not_arrive_in_time_is_not_waited_for(pieces: int, limits: dict[str, Any]) -> None:
    left = [{"type": "http.request", "body": b"x", "more_body": True}] * pieces

    async def never() -> dict[str, Any]:
        if left:
            return left.pop()
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await chain(App(), **limits)(scope, never, send)

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
