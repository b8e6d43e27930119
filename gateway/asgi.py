"""ASGI as the gateway sees it, and agreeing to a server's start and end."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ASGIApp", "Header", "Message", "Receive", "Scope", "Send", "serve_lifespan"]

Header = tuple[bytes, bytes]


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Agree to the server's start and end."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
