"""``spaza cluster promote``, from the outside."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import FAILED, OK, main
from cluster.errors import PromotionRefusedError
from cluster.instance import Instance
from cluster.status_socket import serve_status

_DONE = {
    "promoted": "PostgreSQL 2", "former": "PostgreSQL", "timeline": 2, "following": ["PostgreSQL 3"], "seconds": 1.25,
    "standbys": [
        {"name": "PostgreSQL 2", "received_lsn": "0/3000", "reason": ""},
        {"name": "PostgreSQL 3", "received_lsn": "0/2000", "reason": ""},
    ],
}  # fmt: skip


async def _all_answered() -> None:
    """Whoever has his answer may be gone before the server's side of it has come to its end."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
    # Connections are closed in the next turn of the loop.
    await asyncio.sleep(0)


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mapping[str, str]]]:
    """Those of an instance whose primary is well: it promotes where it is told to switch over, else refuses."""
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path))
    claimed = Instance.claim(tmp_path)
    claimed.record({})
    given: list[Mapping[str, str]] = []
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def promote(parameters: Mapping[str, str]) -> dict[str, Any]:
        given.append(parameters)
        if parameters["switchover"] != "1":
            raise PromotionRefusedError("the primary is well", "Use --switchover")
        return _DONE

    async def nothing() -> dict[str, Any]:
        return {}

    async def serve() -> None:
        server = await serve_status(claimed.run_dir / "status.sock", nothing, {"/promote": promote})
        ready.set()
        await server.serve_forever()

    serving = loop.create_task(serve())

    def run() -> None:
        try:
            loop.run_until_complete(serving)
        except asyncio.CancelledError:
            loop.run_until_complete(_all_answered())
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(60)
    yield given
    loop.call_soon_threadsafe(serving.cancel)
    thread.join(60)
    claimed.release()


@pytest.mark.usefixtures("orders")
def test_what_was_done_is_said_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "promote", "--switchover"]) == OK
    assert capsys.readouterr().out.splitlines() == [
        "PostgreSQL 2 is the primary now, after 1.2 s (timeline 2).",
        "PostgreSQL was; it comes back as a standby, see `spaza status`.",
        "  PostgreSQL 2    had 0/3000",
        "  PostgreSQL 3    had 0/2000, follows",
    ]

    assert main(["cluster", "promote", "--switchover", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == _DONE


def test_the_risk_of_losing_commits_is_taken_by_a_word_of_its_own(orders: list[Mapping[str, str]]) -> None:
    for words in ([], ["--force"], ["--switchover"], ["--force", "--switchover"]):
        main(["cluster", "promote", *words])

    assert [(one["switchover"], one["force"]) for one in orders] == [("0", "0"), ("1", "1"), ("1", "0"), ("1", "1")]


@pytest.mark.usefixtures("orders")
def test_a_refusal_is_a_failure_that_says_why_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "promote", "--json"]) == FAILED

    said = capsys.readouterr()
    assert said.err == "Nothing was promoted: the primary is well. Use --switchover.\n"
    assert json.loads(said.out) == {
        "promoted": None, "code": "promotion_refused", "message": said.err.strip(),
    }  # fmt: skip


def test_where_nothing_runs_nothing_is_promoted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path))

    assert main(["cluster", "promote"]) == FAILED
    assert "nothing runs there" in capsys.readouterr().err
