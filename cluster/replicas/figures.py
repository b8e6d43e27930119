"""What ``spaza status`` says of the servers of a group: roles, positions, lag."""

import asyncio
from collections.abc import Mapping
from typing import Any

from actors.shards.dsn import host_of, single_hosts
from cluster.replicas.asking import UNREACHED, Follower, Standing, followers, standing
from cluster.replicas.choice import position_text
from cluster.replicas.group import Group
from cluster.replicas.member import Member


async def figures(group: Group) -> dict[str, Any]:
    """Ask all, side by side, in a few seconds at the latest.

    Returns:
        ``primary``, the name of its part; ``fenced``, whether another is being chosen; and for each of the ``servers``
        its ``name``, ``role`` (``primary``, ``standby``, or ``away`` where it does not answer), ``received_lsn``,
        ``replayed_lsn``, ``timeline``, ``streaming``, ``sync_state``, and the lag behind the primary in bytes and in
        seconds. What is not known is null.
    """
    members = group.parts
    primary = group.primary
    asking = asyncio.create_task(_followers(primary))
    found = await asyncio.gather(*(_standing(member) for member in members))
    standings = dict(zip((member.number for member in members), found, strict=True))
    head, follow = standings[primary.number], await asking
    return {
        "primary": primary.name,
        "fenced": group.roles.fenced,
        "servers": [describe(one.name, standings[one.number], head, follow.get(one.slot)) for one in members],
    }


async def given_figures(dsn: str) -> dict[str, Any]:
    """The same of servers that the settings name, of which no more is known than what each says to whoever asks.

    Args:
        dsn: of a database, with its hosts.
    """
    hosts = single_hosts(dsn, "any")
    found = await asyncio.gather(*(_said_by(host) for host in hosts))
    head = next((one for one in found if one is not None and not one.standby), None)
    servers = [describe(host_of(host), said, head, None) for host, said in zip(hosts, found, strict=True)]
    primary = next((one["name"] for one in servers if one["role"] == "primary"), None)
    # Who follows whom they tell to superusers alone.
    return {"primary": primary, "fenced": False, "servers": [one | {"streaming": None} for one in servers]}


def describe(name: str, said: Standing | None, primary: Standing | None, follower: Follower | None) -> dict[str, Any]:
    """One server's figures. Pure.

    Args:
        name: of its part.
        said: by itself; None where it does not answer.
        primary: what the primary says of itself.
        follower: what the primary says of it.
    """
    role = "away" if said is None else "standby" if said.standby else "primary"
    lag_bytes = None
    if said is not None and primary is not None and said.standby:
        lag_bytes = max(0, primary.replayed - said.replayed)
    streams = follower is not None and follower.streaming
    return {
        "name": name,
        "role": role,
        "received_lsn": None if said is None else position_text(said.received),
        "replayed_lsn": None if said is None else position_text(said.replayed),
        "timeline": None if said is None else said.timeline,
        "streaming": streams if role != "primary" else None,
        "sync_state": follower.sync_state if follower is not None else None,
        "lag_bytes": lag_bytes,
        # All that was written is there; the time is that of the last that was.
        "lag_s": None if follower is None else (0.0 if lag_bytes == 0 else round(follower.lag_s, 3)),
    }


async def _standing(member: Member) -> Standing | None:
    try:
        # Before the first start there is no password, and so no DSN.
        return await standing(member.dsn)
    except UNREACHED:
        return None


async def _said_by(dsn: str) -> Standing | None:
    try:
        return await standing(dsn)
    except UNREACHED:
        return None


async def _followers(primary: Member) -> Mapping[str, Follower]:
    try:
        return await followers(primary.dsn)
    except UNREACHED:
        return {}
