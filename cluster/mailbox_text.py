"""What ``spaza mailbox`` shows to a person. All of it, and more, is in the JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.durations import duration

_GAP = "  "


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Columns as wide as what is in them; those of ``right`` are flush right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (f"{cell:>{width}}" if at in right else f"{cell:<{width}}" for at, (cell, width) in _at(row, widths))
        return _GAP.join(cells).rstrip()

    return [line(head), *(line(row) for row in rows)]


def overview(document: Mapping[str, Any]) -> list[str]:
    """The queues, and below them whom it concerns and why letters died."""
    head = ("Queue", "Waiting", "In flight", "Oldest", "In/s", "Out/s", "Dead letters", "")
    queues = document["queues"]
    lines = table(head, [_queue(one) for one in queues], right=range(1, 7))
    for one in queues:
        for tenant, number in one.get("tenants", {}).items():
            lines.append(f"  {one['queue']}: {number:,} wait for tenant {tenant or '(none)'}")
        more = one.get("tenants_total", 0) - len(one.get("tenants", {}))
        if more > 0:
            lines.append(f"  {one['queue']}: and {more:,} more tenants")
        for reason, number in one.get("reasons", {}).items():
            lines.append(f"  {one['queue']}: {number:,} dead letters, {reason}")
        if one.get("loops_cut"):
            lines.append(f"  {one['queue']}: {one['loops_cut']:,} times a letter that dies each time was not put back")
        if one.get("missing_partitions"):
            lines.append(f"  {one['queue']}: partitions not counted: {_list(one['missing_partitions'])}")
    return lines


def messages(document: Mapping[str, Any]) -> list[str]:
    """A page of messages."""
    found = document["messages"]
    if not found:
        return [f"No {_kind(document)} in {document['queue']} that match."]
    head = ("Place", "Age", "Message", "Key", "Bytes", "State")
    rows = [
        (
            f"{one['partition']}:{one['seq']}", duration(one["age_s"]), one["message_id"], one["key"],
            f"{one['size_bytes']:,}", _state(one),
        )
        for one in found
    ]  # fmt: skip
    lines = table(head, rows, right=(1, 4))
    for one in found:
        if "body" in one:
            lines += ["", f"{one['partition']}:{one['seq']}", f"  {_pairs(one['headers'])}", f"  {one['body']}"]
    if document["next"] is not None:
        lines.append(f"More with: --after {document['next']}")
    return lines


def trails(document: Mapping[str, Any]) -> list[str]:
    """The way of each message."""
    lines = [line for one in document["messages"] for line in _trail(one)]
    if not lines:
        lines = ["Nothing is known of it. What has ended is kept for seven days."]
    if document["caused"]:
        lines += ["", "It caused:"]
        lines += [f"  {line}" for one in document["caused"] for line in _trail(one)]
    if document["missing_shards"]:
        lines += ["", f"Shards that did not answer, and may know more: {_list(document['missing_shards'])}"]
    return lines


def paused(document: Mapping[str, Any]) -> list[str]:
    """What was done."""
    if document["paused"]:
        return [f"{document['queue']} is paused: it takes messages and delivers none. Go on with: spaza mailbox resume"]
    return [f"{document['queue']} delivers again."]


def plan(document: Mapping[str, Any]) -> list[str]:
    """What a redrive or purge would do."""
    verb = "put back" if document["action"] == "redrive" else "settled as purged"
    lines = [f"{meant(document)} would be {verb}"]
    if document.get("limit") is not None and document["limit"] < document["selected"]:
        lines = [f"{document['limit']:,} of the {lines[0]}, as --limit says; all of them:"]
    if document["action"] == "purge" and document["which"] == "waiting":
        lines[0] += "; its dead letters are left as they are"
    lines += [f"  {number:>7,}  {reason}" for reason, number in document["by_reason"].items()]
    lines += [f"  {number:>7,}  of tenant {tenant or '(none)'}" for tenant, number in document["by_tenant"].items()]
    if document["held_back"]:
        lines.append(
            f"  {document['held_back']:,} more are held back: they may have reached their customer, and would "
            "once more. Look at them first; --force puts them back as well."
        )
    if document.get("left_corrupt"):
        lines.append(
            f"  {document['left_corrupt']:,} more are left: they were damaged, and nobody knows what they had said. "
            "Look at them first; --reason checksum puts them back as they are."
        )
    if document["may_reach_a_customer_twice"]:
        lines.append(f"  {document['may_reach_a_customer_twice']:,} of them may reach their customer twice.")
    if document["missing_partitions"]:
        lines.append(f"  Partitions that could not be asked: {_list(document['missing_partitions'])}")
    return lines


def meant(document: Mapping[str, Any]) -> str:
    """How many messages a redrive or purge means, and which."""
    return f"{document['selected']:,} {_kind(document)} of {document['queue']}"


def change(document: Mapping[str, Any]) -> list[str]:
    """What a redrive or purge did."""
    verb = "put back" if document["action"] == "redrive" else "settled as purged"
    lines = [f"{document['messages']:,} {_kind(document)} of {document['queue']} were {verb}."]
    for name, why in (
        ("held_back", "may have reached their customer (--force)"),
        ("left_in_flight", "are with a consumer"),
        ("left_corrupt", "are damaged (--reason checksum puts back what can be)"),
        ("left_worn_out", "were put back too often"),
    ):
        if document[name]:
            lines.append(f"{document[name]:,} were left: they {why}.")
    if document["trouble"]:
        lines.append(f"It ended early: {document['trouble']}. It may be repeated.")
    return lines


def actions(document: Mapping[str, Any]) -> list[str]:
    """What operators did."""
    head = ("Began", "Operator", "From", "Action", "Queue", "Request", "Outcome")
    rows = [
        (
            one["began_at"], one["operator"], one["peer"], one["action"], one["queue"], _pairs(one["request"]),
            "not known" if one["outcome"] is None else _outcome(one["outcome"]),
        )
        for one in document["actions"]
    ]  # fmt: skip
    return table(head, rows) if rows else ["Nobody has done anything yet."]


def _kind(document: Mapping[str, Any]) -> str:
    return "dead letters" if document["which"] == "dead" else "waiting messages"


def _queue(one: Mapping[str, Any]) -> tuple[str, ...]:
    if "waiting" not in one:
        return (one["queue"], "", "", "", "", "", "", one["state"])
    counted = one["counted"]
    return (
        one["queue"],
        f"{one['waiting']:,}" if counted else f"{one['waiting']:,}+",
        f"{one['in_flight']:,}",
        "-" if one["oldest_age_s"] is None else duration(one["oldest_age_s"]),
        f"{one['in_per_s']:,.1f}",
        f"{one['out_per_s']:,.1f}",
        f"{one['dead_letters']:,}" if counted else f"{one['dead_letters']:,}+",
        ", ".join(remarks(one)),
    )


def remarks(one: Mapping[str, Any]) -> list[str]:
    """What is to be said of a queue's figures, and what keeps it from delivering; empty where nothing does."""
    said = [] if one["state"] == "owning" else [str(one["state"])]
    said += ["paused"] if one["paused"] else []
    said += [] if one["consumer_up"] else ["its consumer is away"]
    return said + ([] if one["counted"] else ["not counted yet"])


def _trail(one: Mapping[str, Any]) -> list[str]:
    lines = [f"{one['message_id']}   {one['state']}", f"  tenant {one['tenant'] or '(none)'}, key {one['key']}"]
    for event in one["events"]:
        place = f"{event['queue']} {event['partition']}:{event['seq']}" if "queue" in event else ""
        known = {"at", "event", "queue", "partition", "seq"}
        rest = {name: value for name, value in event.items() if name not in known and value not in {None, ""}}
        lines.append(f"  {event['at']}  {event['event']:<14}{place}  {_pairs(rest)}".rstrip())
    return lines


def _state(one: Mapping[str, Any]) -> str:
    if "cause" in one:
        return f"{one['cause']}: {one['reason']}" if one["reason"] else one["cause"]
    tries = [f"{one['retries']} retries" if one["retries"] else "", _lost(one["lost_deliveries"])]
    return ", ".join(part for part in tries if part) or "waiting"


def _lost(number: int) -> str:
    return f"{number} lost deliveries" if number else ""


def _outcome(outcome: Mapping[str, Any]) -> str:
    if "messages" in outcome:
        return f"{outcome['messages']:,} messages" + (f", {outcome['trouble']}" if outcome["trouble"] else "")
    return _pairs(outcome) or "done"


def _pairs(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _at(row: Sequence[str], widths: Sequence[int]) -> Any:
    return enumerate(zip(row, widths, strict=True))
