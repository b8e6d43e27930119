"""The mailboxes in somebody else's program, as the package's docstring shows it."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import asyncpg
import pytest

import actors.mailbox
from cluster.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]


def shown() -> str:
    """The program in the docstring: what is indented, from the first to the last line of it."""
    lines = (actors.mailbox.__doc__ or "").splitlines()
    indented = [number for number, line in enumerate(lines) if line.startswith("    ")]
    return dedent("\n".join(lines[indented[0] : indented[-1] + 1]))


@pytest.fixture
def short_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield folder


async def test_another_program_declares_publishes_and_consumes_as_the_docstring_shows(
    postgres_server: PostgresServer, short_folder: str
) -> None:
    dsn = postgres_server.database_dsn("shard_30")

    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", shown()],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "DSN": dsn, "RAY_ADDRESS": "local", "RAY_TMPDIR": short_folder},
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    connection = await asyncpg.connect(dsn)
    kept = await connection.fetch(
        "SELECT body, outcome, deliveries FROM spaza.journal JOIN spaza.settlement USING (queue, partition, seq)"
    )
    await connection.close()
    assert [tuple(row) for row in kept] == [(b"two vetkoek", "acknowledged", 1)]


def test_the_program_in_the_docstring_is_short() -> None:
    assert len([line for line in shown().splitlines() if line.strip()]) <= 24


def test_everything_that_the_package_offers_can_be_had_from_it() -> None:
    for name in actors.mailbox.__all__:
        assert getattr(actors.mailbox, name).__name__ == name
