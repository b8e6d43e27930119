"""``spaza up --replicas 2`` from outside: a primary that hangs is replaced by a command, and the shop goes on."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.journeys.platform import STOP_LIMIT_S, Platform, deliver, replies_to, text_message


def _roles(platform: Platform) -> dict[str, str]:
    servers = platform.status()["figures"].get("postgres", {}).get("servers", [])
    return {one["name"]: one["role"] for one in servers}


async def _have_roles(platform: Platform, wanted: dict[str, str], limit_s: float = 300) -> None:
    """Wait until the servers say that these are theirs."""
    deadline = time.monotonic() + limit_s
    while (found := await asyncio.to_thread(_roles, platform)) != wanted:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.5)


async def _ready(platform: Platform, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not (status := await asyncio.to_thread(platform.status))["ready"]:
        assert time.monotonic() < deadline, status["parts"]
        await asyncio.sleep(0.5)


@pytest.mark.timeout(1200)
async def test_the_shop_goes_on_when_its_primary_is_replaced(tmp_path_factory: pytest.TempPathFactory) -> None:
    data_dir: Path = tmp_path_factory.mktemp("rep") / "data"
    platform = Platform(data_dir)
    try:
        await asyncio.to_thread(platform.start, "--replicas", "2")
        await _have_roles(platform, {"PostgreSQL": "primary", "PostgreSQL 2": "standby", "PostgreSQL 3": "standby"})
        refused = platform.command("cluster", "promote", "--json")
        assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, "promotion_refused")

        async with httpx.AsyncClient(timeout=60) as client:
            await deliver(client, platform.webhook, text_message("27821110001", "Hi", "wamid.REP1"))
            postmaster = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGSTOP)
            done = await asyncio.to_thread(platform.command, "cluster", "promote", "--json")
            promoted_at = time.monotonic()
            await deliver(client, platform.webhook, text_message("27821110002", "Hi", "wamid.REP2"))
            took_s = time.monotonic() - promoted_at
            had = await replies_to(client, platform.sandbox, ["27821110001", "27821110002"], limit_s=120)
        await _ready(platform, 300)

        assert done.returncode == 0, done.stderr
        # Whoever delivers it waits between its tries as well.
        assert took_s < 120
        assert [len(messages) for messages in had.values()] == [1, 1]
        others = {"PostgreSQL", "PostgreSQL 2", "PostgreSQL 3"} - {promoted := json.loads(done.stdout)["promoted"]}
        assert "PostgreSQL" in others
        await _have_roles(platform, {**dict.fromkeys(others, "standby"), promoted: "primary"})
        assert await asyncio.to_thread(platform.stop) < STOP_LIMIT_S
    finally:
        platform.stop()
