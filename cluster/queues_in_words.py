"""What is said of the mailboxes when they have started. Pure."""

from collections.abc import Mapping
from typing import Any


def is_settled(figures: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether it is known of each queue who owns it, by its figures (``MailboxHandle.statistics``)."""
    return all(one["state"] not in {"starting", "unreachable"} for one in figures.values())


def queues_in_words(queues: int, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """How many there are, and which of them another instance on the same databases owns.

    Args:
        queues: all, dead-letter queues among them.
        figures: of those that have an owner.
    """
    elsewhere = [name for name, one in figures.items() if one["state"] == "passive"]
    if not elsewhere:
        return f"{queues} queues"
    return (
        f"{queues} queues; another instance on these databases owns {', '.join(elsewhere)}, until it ends this one"
        " refuses their messages (503)"
    )
