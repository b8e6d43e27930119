"""The figures of the shards' pools, added up for who looks at all of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from actors.shards.placement import group_of

# What a lane tells beside the numbers of its units by how they ended.
_STATES = frozenset({"pending", "connections", "idle"})
_NO_END = frozenset({*_STATES, "mean_ms", "retried", "unclean", "opened", "parties"})


def totals(shards: Mapping[int, Mapping[str, Mapping[str, Any]]], shards_per_actor: int) -> dict[str, Any]:
    """Add up the lanes of all shards, and of each actor.

    Args:
        shards: by shard and role, as ``ShardsHandle.statistics`` gives them; those that do not answer are missing.
        shards_per_actor: how many shards one actor owns.

    Returns:
        Units ``committed`` and ``failed`` since their actor's start, ``errors`` by code, units ``pending`` now,
        ``connections`` and those of them that are ``idle``, and the same without the codes for each of the
        ``actors`` by its number.
    """
    actors: dict[int, Counter[str]] = {}
    for shard, lanes in shards.items():
        of_actor = actors.setdefault(group_of(shard, shards_per_actor), Counter())
        for lane in lanes.values():
            of_actor.update({name: number for name, number in lane.items() if name != "mean_ms"})
    whole = sum(actors.values(), Counter())
    return {
        **_summary(whole),
        "errors": {name: number for name, number in sorted(whole.items()) if _is_error(name)},
        "actors": {str(number): _summary(figures) for number, figures in sorted(actors.items())},
    }


def _summary(figures: Counter[str]) -> dict[str, int]:
    failed = sum(number for name, number in figures.items() if _is_error(name))
    return {"committed": figures["committed"], "failed": failed, **{name: figures[name] for name in sorted(_STATES)}}


def _is_error(name: str) -> bool:
    return name != "committed" and name not in _NO_END
