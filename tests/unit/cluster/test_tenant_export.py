"""What may be named as the file of an export: nothing without an end, and nothing that keeps nothing."""

import os
from pathlib import Path

import pytest

from cluster import tenant_export
from cluster.errors import ExportError
from cluster.tenant_export import ExportFile

TENANT = "a" * 32


def test_a_device_is_refused_before_it_is_read() -> None:
    with pytest.raises(ExportError, match="no regular file"):
        ExportFile(Path(os.devnull), TENANT)


def test_a_pipe_that_takes_the_files_place_is_refused_without_waiting_for_a_reader(tmp_path: Path) -> None:
    file = ExportFile(tmp_path / "export", TENANT)
    os.mkfifo(tmp_path / "export")
    reader = os.open(tmp_path / "export", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(ExportError, match="no regular file"):
            file.prepare()
    finally:
        os.close(reader)


def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_export, "_LINE_BYTES", 100)
    path = tmp_path / "export"
    path.write_bytes(b'{"export":' + b"1" * 1000)

    with pytest.raises(ExportError, match="something else than an export"):
        ExportFile(path, TENANT)

    assert path.stat().st_size == 1010


def test_a_piece_of_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "export"
    whole = b'{"export": 1, "tenant_id": "%s", "digest": "d"}\n' % TENANT.encode()
    path.write_bytes(whole + b'{"table": "pro')

    assert ExportFile(path, TENANT).rows == 0
    assert path.read_bytes() == whole
