"""What supervisor and node tell each other."""

import json
import socket

import pytest

from cluster.node_link import NodeLink, NodeOrder, Servers, encode_order, encode_servers

ORDER = NodeOrder("an-id", "/data", "/run", None, {"http": 8000})


def test_an_order_and_the_servers_arrive_as_they_were_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = NodeLink(theirs)
        servers = Servers("postgresql://owner:secret@/", "unix://:secret@/run/redis.sock?db=0")

        ours.sendall(encode_order(ORDER) + encode_servers(servers))

        assert link.receive_order() == ORDER
        assert link.receive_servers() == servers


def test_a_node_whose_supervisor_is_gone_does_not_wait() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()

        with pytest.raises(ConnectionError, match="supervisor"):
            NodeLink(theirs).receive_order()


def test_a_failure_says_whether_an_address_was_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        NodeLink(theirs).failed("no luck", address_taken=True)

        assert json.loads(ours.recv(4096)) == {"failed": "no luck", "address_taken": True}
