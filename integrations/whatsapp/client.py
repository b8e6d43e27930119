"""The client of Meta's Graph API: httpx's messages over aiohttp's connections, which cost a fifth of httpx's own.

It speaks to the transport itself. What ``httpx.AsyncClient`` does on the way, cookies, redirects, credentials, is not
wanted here, and costs more than the sending.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Self

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from integrations.whatsapp.classification import classify
from integrations.whatsapp.errors import (
    DoubtfulSendError,
    InterceptedError,
    NotSentError,
    RefusedSendError,
    UnsendableError,
)
from integrations.whatsapp.schemas import SentMessage, parse_fault, parse_sent


class GraphTimeouts(NamedTuple):
    """Seconds.

    Attributes:
        connect_s: for TCP and TLS.
        read_s: between two pieces of the answer; when it passes, the send is in doubt.
        write_s: for the request to go out.
        pool_s: for a free connection, once the limit is reached.
    """

    connect_s: float = 2.0
    read_s: float = 10.0
    write_s: float = 5.0
    pool_s: float = 5.0


class GraphLimits(NamedTuple):
    """Connections.

    Attributes:
        connections: to the Graph API at once, from this process.
        keepalive_s: how long an idle one is kept. Shorter than the server keeps it: a request on a connection
            that is just being closed is a send in doubt.
    """

    connections: int = 100
    keepalive_s: float = 4.0


# What a header can carry. The error of who tries otherwise would quote the token.
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# Numbers whose addresses are remembered.
_NUMBERS = 4_096
# Nobody means more by it; a proxy on the way may write anything.
_LONGEST_RETRY_AFTER_S = 86_400.0
_TIMEOUTS, _LIMITS = GraphTimeouts(), GraphLimits()


class GraphClient:
    """Sends messages. One per process; safe to use from many tasks of one event loop.

    It never tries again by itself: Meta knows no idempotency key, so who calls decides.
    """

    def __init__(
        self,
        base_url: str,
        version: str,
        *,
        timeouts: GraphTimeouts = _TIMEOUTS,
        limits: GraphLimits = _LIMITS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            base_url: such as ``https://graph.facebook.com``, without a slash at its end.
            version: such as ``v23.0``.
            timeouts: of each part of a call.
            limits: of connections.
            transport: stands in for the network in tests.
        """
        self._messages_url = f"{base_url}/{version}/{{}}/messages"
        self._url_of = lru_cache(maxsize=_NUMBERS)(self._url)
        timeout = httpx.Timeout(
            connect=timeouts.connect_s, read=timeouts.read_s, write=timeouts.write_s, pool=timeouts.pool_s
        )
        self._extensions = {"timeout": timeout.as_dict()}
        self._transport = _connections(limits) if transport is None else transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def send(
        self, phone_number_id: str, access_token: str, payload: Mapping[str, Any], *, correlation_id: str = ""
    ) -> SentMessage:
        """Send one message from a business number.

        Args:
            phone_number_id: of the number it comes from.
            access_token: of the merchant who owns that number.
            payload: the whole body as Graph wants it.
            correlation_id: under which what led to it is followed; empty where there is none.

        Raises:
            NotSentError: Meta has seen nothing of it.
            UnsendableError: nor will it ever.
            DoubtfulSendError: Meta may have taken it.
            InterceptedError: something before Meta refused it.
            RefusedSendError: Meta did not take it; its subclass says what that means.
        """
        request = self._request(phone_number_id, access_token, payload, correlation_id)
        try:
            response = await self._transport.handle_async_request(request)
            try:
                await response.aread()
            finally:
                await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _lost(error) from error
        if response.status_code == 200:
            sent = parse_sent(response.content)
            if sent is None:
                raise DoubtfulSendError("the answer names no message")
            return sent
        raise _refused(response)

    def _request(
        self, phone_number_id: str, access_token: str, payload: Mapping[str, Any], correlation_id: str
    ) -> httpx.Request:
        if _VISIBLE.fullmatch(access_token) is None:
            raise UnsendableError("the access token is not of visible ASCII characters")
        try:
            return httpx.Request(
                "POST",
                self._url_of(phone_number_id),
                content=orjson.dumps(payload),
                # An answer is too short to be worth compressing.
                headers={
                    "authorization": f"Bearer {access_token}",
                    "content-type": "application/json",
                    "accept-encoding": "identity",
                    **({"x-correlation-id": correlation_id} if _VISIBLE.fullmatch(correlation_id) else {}),
                },
                extensions=self._extensions,
            )
        except (ValueError, httpx.InvalidURL, orjson.JSONEncodeError) as error:
            raise UnsendableError(type(error).__name__) from error

    def _url(self, phone_number_id: str) -> httpx.URL:
        return httpx.URL(self._messages_url.format(phone_number_id))


def _connections(limits: GraphLimits) -> AiohttpTransport:
    # Proxies and the like are set here, not taken from the environment.
    tls = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=limits.connections, keepalive_timeout=limits.keepalive_s, ssl=tls)
        # What is set in the answer to one merchant is no other's.
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    return AiohttpTransport(verify=tls, trust_env=False, client=session)


def _refused(response: httpx.Response) -> RefusedSendError | InterceptedError | DoubtfulSendError:
    fault = parse_fault(response.content)
    if fault is not None:
        kind = classify(fault.code, response.status_code, is_transient=fault.is_transient)
        return kind(fault.code, response.status_code, _retry_after_s(response))
    if response.status_code == 429:
        return classify(4, 429)(4, 429, _retry_after_s(response))
    if 400 <= response.status_code < 500:
        return InterceptedError(response.status_code)
    # A proxy's page or a redirect: what became of the message behind it is not known.
    return DoubtfulSendError(f"HTTP {response.status_code} without an error of Graph's")


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return min(float(value), _LONGEST_RETRY_AFTER_S) if value.isdecimal() else None


def _lost(error: Exception) -> NotSentError | DoubtfulSendError:
    # The transport calls every lost connection a ConnectTimeout, also one that broke after the request had gone
    # out, so the cause is asked first.
    told = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ is not None else error
    never_left = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
        ConnectionRefusedError,
    )
    name = type(told).__name__
    return NotSentError(name) if isinstance(told, never_left) else DoubtfulSendError(name)
