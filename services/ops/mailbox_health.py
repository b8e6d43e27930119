"""Whether the mailboxes do their work, judged from their figures. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any


def mailbox_faults(figures: Mapping[str, Mapping[str, Any]], *, consumed: Collection[str]) -> list[str]:
    """What keeps each queue from taking and delivering messages; empty when all is well.

    Args:
        figures: by queue, as ``MailboxHandle.statistics`` gives them.
        consumed: the queues that have been given a consumer; the others only take messages.
    """
    if not figures:
        return ["no mailbox answers"]
    faults: list[str] = []
    for queue, known in figures.items():
        if known.get("state") == "unreachable":
            faults.append(f"{queue}: its actor does not answer")
            continue
        states = Counter(partition["state"] for partition in known["partitions"].values())
        not_owned = {state: count for state, count in states.items() if state != "owning"}
        if not_owned or not states:
            told = ", ".join(f"{count} {state}" for state, count in sorted(not_owned.items())) or "no partition"
            why = sorted({partition["why"] for partition in known["partitions"].values() if partition.get("why")})
            faults.append(f"{queue}: {told}" + (f" ({why[0]})" if why else ""))
        elif queue in consumed and not known["consumer_up"]:
            faults.append(f"{queue}: its consumer does not answer")
    return faults
