"""The data folder: one instance at a time, and a clean start after one that was killed."""

import json
import stat
from pathlib import Path

import pytest

from cluster.errors import DataFolderError, DiskFullError, InstanceRunningError
from cluster.instance import Instance, chosen_data_dir, is_claimed, read_record, refuse_full, write_whole


def test_a_folder_is_claimed_until_it_is_released(tmp_path: Path) -> None:
    instance = Instance.claim(tmp_path / "data")
    instance.record({"http": 8000})

    assert is_claimed(instance.data_dir)
    assert instance.run_dir.is_dir()

    instance.release()

    assert not is_claimed(instance.data_dir)
    assert not instance.run_dir.exists()
    assert read_record(instance.data_dir) is None


def test_a_second_claim_names_the_first_process_and_what_to_do(tmp_path: Path) -> None:
    instance = Instance.claim(tmp_path)
    record = instance.record({})

    with pytest.raises(InstanceRunningError, match=str(record.pid)) as raised:
        Instance.claim(tmp_path)

    assert "SPAZA_DATA_DIR" in str(raised.value)
    instance.release()


def test_a_folder_keeps_its_id_and_secrets_over_restarts(tmp_path: Path) -> None:
    first = Instance.claim(tmp_path)
    secret = first.secret("secrets.key", lambda: "made once")
    first.release()

    second = Instance.claim(tmp_path)

    assert second.instance_id == first.instance_id
    assert second.secret("secrets.key", lambda: "made again") == secret
    assert stat.S_IMODE((tmp_path / "secrets.key").stat().st_mode) == 0o600
    second.release()


def test_what_a_killed_instance_left_in_the_temporary_folder_is_removed(tmp_path: Path) -> None:
    killed = Instance.claim(tmp_path)
    killed.record({})
    written = (tmp_path / "instance.json").read_text(encoding="utf-8")
    killed.release()
    killed.run_dir.mkdir()
    (tmp_path / "instance.json").write_text(written, encoding="utf-8")

    instance = Instance.claim(tmp_path)

    assert not killed.run_dir.exists()
    instance.release()


def test_a_record_that_names_a_foreign_folder_removes_nothing(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    record = {"instance_id": "x", "pid": 1, "run_dir": str(precious), "started_at": 0.0, "ports": {}}
    (tmp_path / "instance.json").write_text(json.dumps(record), encoding="utf-8")

    Instance.claim(tmp_path).release()

    assert precious.is_dir()


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text("{", encoding="utf-8")

    assert read_record(tmp_path) is None


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(DataFolderError, match=r"Not a directory.*SPAZA_DATA_DIR"):
        Instance.claim(tmp_path / "file" / "data")


def test_too_little_room_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="Make room"):
        refuse_full(tmp_path, wanted_bytes=10**18)


def test_a_file_is_replaced_whole_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"

    write_whole(path, "first")
    write_whole(path, "second")

    assert path.read_text(encoding="utf-8") == "second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_empty_name_of_the_data_folder_is_not_taken_for_wherever_we_are() -> None:
    with pytest.raises(DataFolderError, match="empty"):
        chosen_data_dir({"SPAZA_DATA_DIR": ""})

    assert chosen_data_dir({}).name == ".spaza"
