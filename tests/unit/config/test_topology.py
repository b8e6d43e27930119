"""What is refused at start cannot lose a message later."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.topology import DECLARED, Topology, TopologyError
from config.topology_file import load_topology
from config.topology_rules import pattern_fault

WHOLE = """\
exchanges:
  in: {type: topic}
  dlx: {type: direct}
queues:
  work:
    bindings:
      - {exchange: in, routing_key: "a.*"}
    dlx: dlx
  dlq.work:
    bindings: [{exchange: dlx, routing_key: work}]
"""


def write(tmp_path: Path, change: Any) -> Path:
    declared = yaml.safe_load(DECLARED.read_text())
    change(declared["exchanges"], declared["queues"])
    return text_file(tmp_path, yaml.safe_dump(declared))


def text_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "queues.yaml"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as refused:
        load_topology(text_file(tmp_path, text))
    return refused.value.faults


def test_the_declaration_is_whole() -> None:
    topology = load_topology()

    assert [queue.name for queue in topology.sources()] == [
        "whatsapp.inbound",
        "orders.process",
        "notifications.whatsapp",
    ]
    assert topology.dead_letter_queue("whatsapp.inbound") == "dlq.whatsapp.inbound"
    assert topology.dead_letter_queue("dlq.whatsapp.inbound") is None
    assert topology.queues["whatsapp.inbound"].ttl_ms == 300_000
    assert topology.queues["orders.process"].max_retries == 3
    assert (topology.queues["orders.process"].max_length, topology.queues["orders.process"].tenant_share) == (
        1_000_000,
        0.5,
    )
    assert [name for name, one in topology.exchanges.items() if one.type == "topic"] == [
        "whatsapp.messages",
        "payments",
    ]


def test_partitions_are_shared_out_among_actors() -> None:
    queue = load_topology().queues["notifications.whatsapp"].model_copy(update={"partitions_per_actor": 12})

    assert queue.groups == 3
    assert [list(queue.partitions_of(group))[-1] for group in range(3)] == [11, 23, 31]
    assert [queue.group_of(partition) for partition in (0, 11, 12, 31)] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, q: x.pop("whatsapp.messages"), "exchange whatsapp.messages is not declared"),
        (lambda x, q: x.pop("dlx.whatsapp"), "dlx: exchange dlx.whatsapp is not declared"),
        (lambda x, q: q.pop("dlq.whatsapp.inbound"), "must lead to one queue under its name, but leads to none"),
        (lambda x, q: x["dlx.whatsapp"].update(type="topic"), "must be direct or fanout"),
        (lambda x, q: q["dlq.whatsapp.inbound"].update(partitions=2), "must be partitioned like whatsapp.inbound"),
        (lambda x, q: q["dlq.whatsapp.inbound"].update(dlx="dlx.notifications"), "has no dlx of its own"),
        (lambda x, q: q["notifications.whatsapp"].update(partitions=16), "each of 32 shards, not 16"),
        (lambda x, q: q["whatsapp.inbound"].update(dlx="whatsapp.messages"), "must be direct or fanout"),
        (lambda x, q: q["whatsapp.inbound"].update(max_retry=3), "did you mean max_retries?"),
        (lambda x, q: q["whatsapp.inbound"].update(bindings=[]), "bindings"),
        (lambda x, q: q["whatsapp.inbound"].pop("dlx"), "dlx is missing"),
        (lambda x, q: x["dlx.whatsapp"].update(type="fanout"), "compares no routing key; remove"),
        (lambda x, q: x["payments"].update(unroutable="orders.proces"), "did you mean orders.process?"),
        (lambda x, q: x["payments"].update(unroutable="dlq.orders.process"), "has no dead-letter queue"),
        (lambda x, q: q["whatsapp.inbound"].update(tenant_share=1.5), "tenant_share: must be less than"),
        (lambda x, q: q.update({"a b": q.pop("dlq.whatsapp.inbound")}), "a name has 1 to 255 letters"),
        (
            lambda x, q: q["dlq.orders.process"]["bindings"].append(
                {"exchange": "dlx.notifications", "routing_key": "notifications.whatsapp"}
            ),
            "leads to dlq.notifications.whatsapp, dlq.orders.process",
        ),
    ],
)
def test_a_faulty_declaration_is_refused_with_its_fault(tmp_path: Path, change: Any, fault: str) -> None:
    with pytest.raises(TopologyError) as refused:
        load_topology(write(tmp_path, change))

    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("{type: topic}", "{type: topics}", "F:2: exchanges.in.type: must be 'topic'"),
        ("{type: topic}", "{typ: topic}", "F:2: exchanges.in.typ: there is no such field; did you mean type?"),
        ("    dlx: dlx", "    dlx: dlz", "F:8: queues.work.dlx: exchange dlz is not declared; did you mean dlx?"),
        ("    dlx: dlx", "    dlx: dlx\n    ttl_ms: soon", "F:9: queues.work.ttl_ms: must be a whole number, not"),
        ("    dlx: dlx", "    dlx: dlx\n    dlx: in", "F:8: queues.work.dlx: stands a second time, in line 9"),
        ('"a.*"', '"a*"', "F:7: queues.work.bindings.0.routing_key: exchange in is topic: in 'a*'"),
        ("exchange: in,", "exchange: inn,", "F:7: queues.work.bindings.0.exchange: exchange inn is not declared"),
        ("routing_key: work", "routing_key: other", "F:8: queues.work.dlx: dlx dlx must lead to one queue"),
        ("queues:\n", "queus:\n", "F:4: queus: there is no such field; did you mean queues?"),
        ("    dlx: dlx", "  dlx: dlx", "F:8: queues.dlx: must hold fields, not 'dlx'"),
        ("    dlx: dlx", " dlx: dlx", "F:8: this is no YAML"),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_field_and_remedy(tmp_path: Path, old: str, new: str, line: str) -> None:
    found = [fault.replace("queues.yaml:", "F:") for fault in faults(tmp_path, WHOLE.replace(old, new))]

    assert any(fault.startswith(line) for fault in found), found


def test_all_faults_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = WHOLE.replace("{type: topic}", "{type: topic, durable: true}").replace(
        "dlx: dlx", "dlx: nowhere\n    ttl: 5"
    )

    found = faults(tmp_path, text)

    assert [re.match(r"queues\.yaml:(\d+)", fault)[1] for fault in found] == ["2", "9"]  # type: ignore[index]
    found = faults(tmp_path, text.replace("\n    ttl: 5", "\n    partitions: 2").replace(", durable: true", ""))
    assert len(found) == 1
    assert "exchange nowhere is not declared" in found[0]


def test_a_circle_of_dead_letter_exchanges_is_refused_by_name(tmp_path: Path) -> None:
    text = WHOLE.replace("in: {type: topic}", "in: {type: topic}\n  back: {type: direct}").replace(
        "routing_key: work}]", "routing_key: work}]\n    dlx: back"
    )
    text = text.replace('"a.*"}', '"a.*"}\n      - {exchange: back, routing_key: dlq.work}')

    found = faults(tmp_path, text)

    assert len(found) == 1
    assert "without end: work -(dlx)-> dlq.work -(back)-> work; remove the dlx of one of them" in found[0]


def test_a_file_that_is_not_there_or_holds_nothing_is_a_fault_too(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be read"):
        load_topology(tmp_path / "nowhere.yaml")
    assert faults(tmp_path, "") == ("queues.yaml:1: the file: must hold exchanges and queues",)
    assert len(faults(tmp_path, "exchanges: []\nqueues: {1: {}}")) == 2


@pytest.mark.parametrize(
    ("kind", "pattern", "valid"),
    [
        ("topic", "a.*.#", True),
        ("topic", "#", True),
        ("topic", "a..b", False),
        ("topic", "", False),
        ("topic", "a.b#", False),
        ("direct", "orders.new", True),
        ("direct", "orders.*", False),
        ("direct", "", False),
        ("fanout", "", True),
        ("fanout", "a", False),
        ("topic", "a" * 256, False),
    ],
)
def test_a_binding_fits_the_type_of_its_exchange(kind: str, pattern: str, valid: bool) -> None:
    assert (pattern_fault(kind, pattern) is None) is valid


def test_a_topology_that_is_made_in_a_program_holds_the_same_rules() -> None:
    declared = {"exchanges": {"x": {"type": "fanout"}}, "queues": {"q": {"bindings": [{"exchange": "y"}]}}}

    with pytest.raises(TopologyError, match=r"queues\.q\.bindings\.0\.exchange: exchange y is not declared"):
        Topology.model_validate(declared)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl_ms", "1000"), ("max_retries", "3"), ("priority", "true"), ("weights", "{a: 2}"), ("max_length", "5"),
        ("lease_s", "10"), ("tenant_share", "0.2"), ("prefetch", "10"), ("window", "10"), ("delivery_limit", "2"),
    ],
)  # fmt: skip
def test_what_does_nothing_in_a_dead_letter_queue_is_refused(tmp_path: Path, field: str, value: str) -> None:
    (fault,) = faults(tmp_path, f"{WHOLE}    {field}: {value}\n")

    assert fault.startswith(f"queues.yaml:11: queues.dlq.work.{field}: does nothing in a dead-letter queue")
    assert "remove it, or set it in work" in fault


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("priority_step_s: 5", "add priority: true"),
        ("batch: 2000", "no more than prefetch, 1024, are in flight"),
        ("key_run: 300", "a batch has 256 messages at most"),
        ("{batches_in_flight: 1, patience_ms: 5}", "raise batches_in_flight"),
        ("busy_linger_ms: 300", "does nothing without busy_per_s; add busy_per_s"),
        (
            "{linger_ms: 75, busy_per_s: 300, busy_linger_ms: 75}",
            "which is 75; write a busy_linger_ms above that",
        ),
        ("{linger_ms: 300, busy_per_s: 300}", "busy_linger_ms, 250, keeps calls no further apart than linger_ms does"),
        ("max_retries: yes", "whole number, not True"),
        ('ttl_ms: "300000"', "whole number, not '300000'"),
        ("prefetch: 10.0", "whole number, not 10.0"),
        ("priority: 1", "must be true or false, not 1"),
        ("lease_s: yes", "must be a number, not True"),
        ("lease_s: .inf", "finite number"),
        ("weights: {a: true}", "whole number, not True"),
    ],
)
def test_what_would_do_nothing_or_something_else_is_refused(tmp_path: Path, line: str, says: str) -> None:
    lines = line.strip("{}").split(", ") if line.startswith("{") else [line]
    text = WHOLE.replace("    dlx: dlx\n", "    dlx: dlx\n" + "".join(f"    {one}\n" for one in lines))

    (fault,) = faults(tmp_path, text)

    assert says in fault
    assert fault.startswith(f"queues.yaml:{8 + len(lines)}: queues.work.")


def test_a_dead_letter_queue_may_say_that_its_own_dead_are_only_recorded(tmp_path: Path) -> None:
    load_topology(text_file(tmp_path, f"{WHOLE}    dlx: null\n"))


def test_an_actor_is_not_given_more_partitions_than_there_are(tmp_path: Path) -> None:
    text = (
        WHOLE.replace("    dlx: dlx\n", "    dlx: dlx\n    partitions_per_actor: 2\n") + "    partitions_per_actor: 2\n"
    )

    (fault,) = faults(tmp_path, text)

    assert fault.startswith("queues.yaml:9: queues.work.partitions_per_actor: there are no more than 1 partitions")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("ttl_ms", "1" + 400 * "0", "ttl_ms: must be less than or equal to 31536000000, not 1000"),
        ("ttl_ms", "0x" + 5000 * "f", "ttl_ms: must be less than or equal to 31536000000, not a number without end"),
        ("lease_s", "1.0e-300", "lease_s: must be greater than or equal to 0.05, not 1e-300"),
        ("lease_s", "1.0e+300", "lease_s: must be less than or equal to 86400, not 1e+300"),
        ("priority_step_s", "5.0e-324", "priority_step_s: must be greater than or equal to 0.001, not 5e-324"),
        ("max_length", "1" + 400 * "0", "max_length: must be less than or equal to 1000000000000, not 1000"),
        ("window", "1" + 400 * "0", "window: must be less than or equal to"),
        ("ttl_ms", "1:30", "ttl_ms: 1:30 is read in base 60 as 90; write the one number that is meant, or put it in"),
        ("lease_s", "1:30.5", "lease_s: 1:30.5 is read in base 60 as 90.5; write"),
        ("ttl_ms", "0100", "ttl_ms: 0100 is read in base 8 as 64; write it without the 0 in front, or put it in"),
        ("priority", "1:30:00", "priority: 1:30:00 is read in base 60 as 5400; write"),
        ("ttl_ms", "[5]", "ttl_ms: must be a whole number, not [5]"),
        ("bindings", "in", "bindings: must be a list, such as [...], not 'in'"),
        ("bindings", "[in]", "bindings.0: must be fields, such as {name: value}, not 'in'"),
        ("bindings", "[{exchang: in}]", "bindings.0.exchang: there is no such field; did you mean exchange?"),
        ("bindings", "[{exchange: in, routing_key: 5}]", "bindings.0.routing_key: must be text, in quotes"),
        ("bindings", "[]", "bindings: must hold at least 1; add what is missing"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_fault_with_its_field_and_what_to_do(
    tmp_path: Path, field: str, value: str, says: str
) -> None:
    bindings = '    bindings:\n      - {exchange: in, routing_key: "a.*"}\n'
    assert bindings in WHOLE
    text = WHOLE.replace(bindings, "") if field == "bindings" else WHOLE

    found = faults(tmp_path, text.replace("  work:\n", f"  work:\n    {field}: {value}\n", 1))

    (fault,) = [one for one in found if "is missing; write it" not in one]
    assert fault.startswith(f"queues.yaml:6: queues.work.{says}"), found


@pytest.mark.parametrize(
    "value",
    ["9" * 5000, "2026-13-45", "!!bool maybe", "!!timestamp soon"],
    ids=["no-end", "no-day", "no-bool", "no-time"],
)
def test_what_yaml_itself_cannot_read_is_a_fault_with_its_line(tmp_path: Path, value: str) -> None:
    (found,) = faults(tmp_path, f"{WHOLE}    ttl_ms: {value}\n")

    shown = value.removeprefix("!!bool ").removeprefix("!!timestamp ")[:40]
    assert found.startswith(f"queues.yaml:11: this is no YAML: {shown} cannot be read; check")


def test_fewer_messages_than_actors_may_not_be_all_that_waits(tmp_path: Path) -> None:
    of_eight = WHOLE.replace("    dlx: dlx", "    dlx: dlx\n    partitions: 8") + "    partitions: 8\n"

    (found,) = faults(tmp_path, of_eight.replace("    dlx: dlx", "    dlx: dlx\n    max_length: 2"))

    assert found.startswith("queues.yaml:9: queues.work.max_length: each of the queue's 8 actors has its part")
    assert found.endswith("write at least 8, or raise partitions_per_actor")
    for text in ("max_length: 8", "max_length: 2\n    partitions_per_actor: 4"):
        both = of_eight + ("    partitions_per_actor: 4\n" if "actor" in text else "")
        load_topology(text_file(tmp_path, both.replace("    dlx: dlx", f"    dlx: dlx\n    {text}")))
