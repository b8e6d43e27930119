"""What supervisor and node tell each other: one JSON object a line, over a socket that ends with either of them.

The supervisor says first what to run, and where the servers are when they are up. The node says which part came up
in what time, when it is ready, and why it is not.
"""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """What a node is to run. The rest of the settings it reads from its environment.

    Attributes:
        demo_key: the demo's sealing key; None without the demo.
        ports: for what listens, by purpose, see ``node_environment``.
    """

    instance_id: str
    data_dir: str
    run_dir: str
    demo_key: str | None
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are that a node uses. Holds secrets."""

    postgres_dsn: str
    redis_url: str


def encode_order(order: NodeOrder) -> bytes:
    """The supervisor's first line."""
    return _line(order=asdict(order))


def encode_servers(servers: Servers) -> bytes:
    """The supervisor's second line."""
    return _line(servers=asdict(servers))


class NodeLink:
    """The node's end. Blocks; written to from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lines = connection, connection.makefile("rb")

    def receive_order(self) -> NodeOrder:
        """Wait for the order.

        Raises:
            ConnectionError: the supervisor is gone.
        """
        return NodeOrder(**self._receive()["order"])

    def receive_servers(self) -> Servers:
        """Wait for the servers.

        Raises:
            ConnectionError: the supervisor is gone.
        """
        return Servers(**self._receive()["servers"])

    def part_up(self, name: str, seconds: float, detail: str) -> None:
        """Say that a part runs."""
        self._connection.sendall(_line(part=name, seconds=round(seconds, 3), detail=detail))

    def ready(self) -> None:
        """Say that all parts run."""
        self._connection.sendall(_line(ready=True))

    def failed(self, reason: str, *, address_taken: bool = False) -> None:
        """Say why the node ends, and whether somebody else has taken a port of ours."""
        with suppress(OSError):
            self._connection.sendall(_line(failed=reason, address_taken=address_taken))

    def _receive(self) -> dict[str, Any]:
        received = self._lines.readline()
        if not received:
            raise ConnectionError("the supervisor is gone")
        message: dict[str, Any] = json.loads(received)
        return message


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"
