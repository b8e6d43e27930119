"""A body that was read, for those who read it from the server's events."""

from gateway.asgi import Message, Receive


def replaying(body: bytes, receive: Receive) -> Receive:
    """Gives the body as a whole, and then what comes after it.

    Args:
        body: that was read.
        receive: of who read it.
    """
    left = [body]

    async def replayed() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replayed
