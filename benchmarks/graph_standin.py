"""A stand-in for Meta's Graph API that answers at once and remembers, for measuring what lies before it.

It checks nothing and limits nothing, so that its cost is small and the same for whoever is measured. The sandbox is
the one that behaves like Meta. Raw ASGI: ``python -m benchmarks.graph_standin --port 8500``.
"""

import argparse
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import orjson
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class GraphStandIn:
    """Accepts every message and keeps when it came, for whom, and under which id of the sender's."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        arrived_s, arrived_epoch_s = time.monotonic(), time.time()
        body = await _read(receive)
        match scope["method"], scope["path"].strip("/").split("/"):
            case "POST", [_, phone_number_id, "messages"]:
                answer = self._accept(phone_number_id, orjson.loads(body), arrived_s, arrived_epoch_s)
            case "GET", ["count"]:
                answer = {"count": len(self._messages)}
            case "GET", ["dump"]:
                after = int(parse_qs(scope["query_string"].decode()).get("after", ["0"])[0])
                answer = {"messages": self._messages[after:]}
            case "POST", ["reset"]:
                self._messages.clear()
                answer = {"count": 0}
            case _:
                await _answer(send, 404, {"error": {"message": "no such path", "code": 100}})
                return
        await _answer(send, 200, answer)

    def _accept(
        self, phone_number_id: str, message: dict[str, Any], arrived_s: float, arrived_epoch_s: float
    ) -> dict[str, Any]:
        if "type" not in message:  # a read receipt or a typing indicator goes the same way
            return {"success": True}
        to = message.get("to", message.get("recipient", ""))
        wamid = f"wamid.standin{len(self._messages):012d}"
        self._messages.append(
            {
                "monotonic_s": arrived_s,
                "epoch_s": arrived_epoch_s,
                "phone_number_id": phone_number_id,
                "to": to,
                "biz_opaque_callback_data": message.get("biz_opaque_callback_data"),
                "text": _text(message),
                "wamid": wamid,
            }
        )
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": to, "wa_id": to.lstrip("+")}],
            "messages": [{"id": wamid}],
        }


def _text(message: dict[str, Any]) -> str:
    content = message.get(message["type"], {})
    body = content.get("body", "")
    return str(body.get("text", "") if isinstance(body, dict) else body)


async def _read(receive: Receive) -> bytes:
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body", False):
        event = await receive()
        body += event.get("body", b"")
    return body


async def _answer(send: Send, status: int, answer: dict[str, Any]) -> None:
    body = orjson.dumps(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    port = arguments.parse_args().port
    uvicorn.run(
        GraphStandIn(),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
