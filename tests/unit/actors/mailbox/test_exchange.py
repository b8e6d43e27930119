"""Routing."""

from collections import Counter

import pytest

from actors.mailbox.errors import UnroutableError
from actors.mailbox.exchange import Router, matches, partition_of
from actors.mailbox.message import Message
from config.topology_file import load_topology


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("inbound.*", "inbound.message", True),
        ("inbound.*", "inbound", False),
        ("inbound.*", "inbound.a.b", False),
        ("inbound.#", "inbound", True),
        ("inbound.#", "inbound.a.b", True),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("#.b.#", "a.b.c", True),
        ("#.b.#", "b", True),
        ("*.b.#", "b", False),
        ("a.#.#.c", "a.c", True),
        ("*", "", True),
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
    ],
)
def test_a_topic_takes_what_its_pattern_says(pattern: str, key: str, expected: bool) -> None:
    assert matches("topic", pattern, key) is expected


def test_a_hostile_pattern_is_decided_quickly() -> None:
    assert not matches("topic", ".".join(["#", "a"] * 200), ".".join(["a"] * 199 + ["b"]))


def test_direct_takes_the_whole_key_and_fanout_any() -> None:
    assert matches("direct", "a.*", "a.*")
    assert not matches("direct", "a.*", "a.b")
    assert matches("fanout", "", "whatever")


def test_the_declared_topology_routes_what_the_services_publish() -> None:
    router = Router(load_topology())

    assert [queue.name for queue in router.route("whatsapp.messages", "inbound.status")] == ["whatsapp.inbound"]
    assert [queue.name for queue in router.route("notifications", "")] == ["notifications.whatsapp"]
    for exchange, key in (("whatsapp.messages", "outbound.message"), ("nowhere", "x")):
        with pytest.raises(UnroutableError):
            router.route(exchange, key)


def test_a_key_stays_in_its_partition_and_keys_spread() -> None:
    queue = load_topology().queues["whatsapp.inbound"].model_copy(update={"partitions": 8})
    counts = Counter(partition_of(queue, _message(f"key {number}")) for number in range(800))

    assert partition_of(queue, _message("key 1")) == partition_of(queue, _message("key 1"))
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 50


def _message(key: str) -> Message:
    return Message("id", key, "t", b"", {}, 0.0)
