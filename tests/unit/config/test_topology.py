"""What is refused at start cannot lose a message later."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.topology import DECLARED, TopologyError, load_topology


def write(tmp_path: Path, change: Any) -> Path:
    declared = yaml.safe_load(DECLARED.read_text())
    change(declared["exchanges"], declared["queues"])
    path = tmp_path / "queues.yaml"
    path.write_text(yaml.safe_dump(declared))
    return path


def test_the_declaration_is_whole() -> None:
    topology = load_topology()

    assert [queue.name for queue in topology.sources()] == ["whatsapp.inbound", "notifications.whatsapp"]
    assert topology.dead_letter_queue("whatsapp.inbound") == "dlq.whatsapp.inbound"
    assert topology.dead_letter_queue("dlq.whatsapp.inbound") is None
    assert topology.queues["whatsapp.inbound"].ttl_ms == 300_000


def test_partitions_are_shared_out_among_actors() -> None:
    queue = load_topology().queues["notifications.whatsapp"].model_copy(update={"partitions_per_actor": 12})

    assert queue.groups == 3
    assert [list(queue.partitions_of(group))[-1] for group in range(3)] == [11, 23, 31]
    assert [queue.group_of(partition) for partition in (0, 11, 12, 31)] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, q: x.pop("whatsapp.messages"), "bound to exchange whatsapp.messages, which is not declared"),
        (lambda x, q: x.pop("dlx.whatsapp"), "its dlx dlx.whatsapp is not declared"),
        (lambda x, q: q.pop("dlq.whatsapp.inbound"), "must lead to one queue under its name, but leads to none"),
        (lambda x, q: x["dlx.whatsapp"].update(type="topic"), "must be direct or fanout"),
        (lambda x, q: q["dlq.whatsapp.inbound"].update(partitions=2), "must be partitioned like whatsapp.inbound"),
        (lambda x, q: q["dlq.whatsapp.inbound"].update(dlx="dlx.notifications"), "has no dlx of its own"),
        (lambda x, q: q["notifications.whatsapp"].update(partitions=16), "needs 32 partitions, not 16"),
        (lambda x, q: q["whatsapp.inbound"].update(dlx="whatsapp.messages"), "must be direct or fanout"),
        (lambda x, q: q["whatsapp.inbound"].update(max_retry=3), "max_retry"),
        (lambda x, q: q["whatsapp.inbound"].update(bindings=[]), "bindings"),
    ],
)
def test_a_faulty_declaration_is_refused_with_its_fault(tmp_path: Path, change: Any, fault: str) -> None:
    with pytest.raises(TopologyError) as refused:
        load_topology(write(tmp_path, change))

    assert fault in str(refused.value)
