"""Which of Ray's processes a node cannot live without."""

from typing import NamedTuple

from cluster.ray_watch import fatal, ray_dies


class Process(NamedTuple):
    returncode: int | None


def test_a_node_dies_with_its_raylet_or_its_gcs_and_says_how() -> None:
    assert fatal([("raylet", Process(-9))]) == "Ray's raylet was killed by SIGKILL"
    assert fatal([("dashboard", Process(1)), ("gcs_server", Process(1))]) == "Ray's GCS server ended with status 1"


def test_a_node_lives_on_without_what_only_shows_it() -> None:
    assert fatal([("dashboard", Process(-9)), ("monitor", Process(0))]) is None
    assert fatal([]) is None


async def test_the_watch_lasts_until_a_vital_process_has_ended() -> None:
    dead: list[tuple[str, Process]] = [("raylet", Process(-9))]

    assert "raylet" in await ray_dies(lambda: dead)
