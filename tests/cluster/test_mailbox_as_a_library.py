"""The mailboxes in somebody else's program, as the package's docstring shows it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import asyncpg
import pytest
import ray

import actors.mailbox
from cluster.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]


def shown() -> str:
    """The program in the docstring: what is indented, from the first to the last line of it."""
    lines = (actors.mailbox.__doc__ or "").splitlines()
    indented = [number for number, line in enumerate(lines) if line.startswith("    ")]
    return dedent("\n".join(lines[indented[0] : indented[-1] + 1]))


async def run(program: str, dsn: str) -> None:
    """Run a program on the cluster of the tests, as anybody's who joins it."""
    program = patient(program)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "DSN": dsn, "RAY_ADDRESS": ray.get_runtime_context().gcs_address},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def patient(program: str) -> str:
    """The same for a busy machine, where an owner may take longer over a commit, or over its figures."""
    for hasty, waiting in (("timeout_s=5)", "timeout_s=300)"), ('["waiting"]', '.get("waiting", True)')):
        assert program.count(hasty) == 1
        program = program.replace(hasty, waiting)
    return program


async def kept(dsn: str) -> list[tuple[bytes, str, int, int]]:
    """Body, outcome, deliveries and partition of what was settled, in order."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT body, outcome, deliveries, partition FROM spaza.journal JOIN spaza.settlement USING"
        " (queue, partition, seq) WHERE outcome <> 'moved' ORDER BY published_at"
    )
    await connection.close()
    return [tuple(row) for row in rows]


@pytest.mark.timeout(2400)
async def test_another_program_runs_as_the_docstring_shows_again_and_again_and_with_a_changed_topology(
    postgres_server: PostgresServer, ray_cluster: None
) -> None:
    dsn, cooked = postgres_server.database_dsn("shard_30"), (b"two vetkoek", "acknowledged", 1)
    in_three = shown().replace('{"bindings"', '{"partitions": 3, "bindings"')
    assert in_three != shown()
    # Nobody cooks, and the order waits for the next run.
    leaving = in_three.replace('{"orders": ActorConsumer("kitchen")}', "{}").replace("while (", "while False and (")

    await run(shown(), dsn)
    assert await kept(dsn) == [(*cooked, 0)]
    await run(shown(), dsn)
    assert await kept(dsn) == [(*cooked, 0)] * 2
    await run(in_three, dsn)
    [*_, (_, _, _, partition)] = three = await kept(dsn)
    assert [row[:3] for row in three] == [cooked] * 3
    assert partition > 0, "its key is to belong elsewhere, or nothing has to move"
    await run(leaving, dsn)
    assert len(await kept(dsn)) == 3
    await run(shown(), dsn)
    assert [row[:3] for row in await kept(dsn)] == [cooked] * 5


def test_the_program_in_the_docstring_is_short() -> None:
    assert len([line for line in shown().splitlines() if line.strip()]) <= 24


def test_everything_that_the_package_offers_can_be_had_from_it() -> None:
    for name in actors.mailbox.__all__:
        assert getattr(actors.mailbox, name).__name__ == name
