"""How another program joins the Ray cluster of an instance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.cli import FAILED, OK, main
from cluster.instance import Instance
from cluster.ray_address import write_ray_address


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path / "data"))
    claimed = Instance.claim(tmp_path / "data")
    claimed.record({})
    yield claimed
    claimed.release()


def test_the_command_prints_what_a_shell_takes(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    write_ray_address(instance.run_dir, "127.0.0.1:41001")

    assert main(["env"]) == OK
    assert "export RAY_ADDRESS=127.0.0.1:41001\n" in capsys.readouterr().out


def test_an_instance_whose_ray_has_not_started_is_said(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == FAILED
    assert "its Ray has not started" in capsys.readouterr().err


def test_without_an_instance_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPAZA_DATA_DIR", str(tmp_path))

    assert main(["env"]) == FAILED
    assert "spaza up" in capsys.readouterr().err
