"""Snapshots of a queue's actors, put together. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def merged(answers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The figures of a queue, from those of its actors."""
    whole: dict[str, Any] = dict(answers[0])
    for answer in answers[1:]:
        for name in ("waiting", "in_flight", "dead_letters", "in_per_s", "out_per_s", "max_length", "refused"):
            whole[name] += answer[name]
        for name in ("paused", "draining"):
            whole[name] = whole[name] or answer[name]
        whole["counters"] = {
            event: whole["counters"].get(event, 0) + answer["counters"].get(event, 0)
            for event in {*whole["counters"], *answer["counters"]}
        }
        ages = [age for age in (whole["oldest_age_s"], answer["oldest_age_s"]) if age is not None]
        whole["oldest_age_s"] = max(ages, default=None)
        whole["state"] = next((one["state"] for one in answers if one["state"] != "owning"), "owning")
        whole["counted"] = whole["counted"] and answer["counted"]
        whole["epoch"] = max(whole["epoch"], answer["epoch"])
        whole["partitions"] = {**whole["partitions"], **answer["partitions"]}
    return whole
