"""The sandbox as one ASGI application, and the server that runs it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from cluster.sandbox.clock import Clock
from cluster.sandbox.config import SandboxConfig
from cluster.sandbox.control_api import ControlApi
from cluster.sandbox.control_errors import ControlError, respond_error
from cluster.sandbox.graph_api import GraphApi
from cluster.sandbox.page_api import PageApi
from cluster.sandbox.parts import make_parts
from telemetry.log import get_logger

_BACKLOG = 2048
_SHUTDOWN_S = 3


class SandboxApp:
    """Sends ``/v...`` straight to the Graph API and the rest through Starlette.

    Its tasks run between the lifespan's start-up and shutdown.
    """

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.parts = make_parts(config, clock)
        self._graph = GraphApi(self.parts.desk, self.parts.panel, config.bounds)
        self._rest = Starlette(
            routes=[*PageApi(self.parts).routes(), *ControlApi(self.parts).routes()],
            exception_handlers={
                ControlError: respond_error,
                HTTPException: respond_error,
                Exception: respond_error,
            },
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http" and scope["path"].startswith("/v"):
            await self._graph(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.parts.sender.run()), asyncio.create_task(self.parts.reporter.run())]
        for task in tasks:
            task.add_done_callback(_report_end)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.parts.sender.aclose()


def _report_end(task: asyncio.Task[None]) -> None:
    """They run for ever; one that fails would leave a sandbox that looks well and sends nothing."""
    if not task.cancelled():
        get_logger("sandbox").error("sandbox_task_ended", exc_info=task.exception())


def build_app(config: SandboxConfig, clock: Clock | None = None) -> SandboxApp:
    """The application; its tasks start with the lifespan."""
    return SandboxApp(config, Clock() if clock is None else clock)


def bind(config: SandboxConfig) -> socket.socket:
    """Take the port before anything else, so that a taken one fails with a plain OSError."""
    return socket.create_server((config.host, config.port), backlog=_BACKLOG)


def run(config: SandboxConfig, listening: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT, on a socket that was bound before if one is given.

    Prints its address on standard output, for port 0 means any.

    Raises:
        OSError: the port is taken.
        NumbersFileError: the kept numbers cannot be read.
    """
    app = build_app(config)
    listening = bind(config) if listening is None else listening
    host, port = listening.getsockname()[:2]
    settings = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    print(f"sandbox listening on http://{host}:{port}", flush=True)
    get_logger("sandbox").info("sandbox_listening", host=host, port=port, callback_url=config.callback_url)
    uvicorn.Server(settings).run(sockets=[listening])
