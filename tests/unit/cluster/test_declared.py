"""That a slip in a declared file is told before anything is started."""

from pathlib import Path

import pytest

from cluster.declared import check_declared
from cluster.errors import DeclaredError
from cluster.up import up
from config import routes, topology
from config.settings import Settings, load_settings

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def _settings(**more: str) -> Settings:
    return load_settings(more, demo_key=KEY)


def test_what_is_declared_can_be_used() -> None:
    assert check_declared(_settings()) == ()


def test_the_faults_of_all_files_are_told_and_no_data_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (routes, topology):
        file = tmp_path / module.DECLARED.name
        file.write_text("nothing: 1\n")
        monkeypatch.setattr(module, "DECLARED", file)
    data = tmp_path / "data"

    with pytest.raises(DeclaredError) as refused:
        up({"SPAZA_DATA_DIR": str(data)}, demo=True)

    assert {fault.partition(":")[0] for fault in refused.value.faults} == {"routes.yaml", "queues.yaml"}
    assert not data.exists()


def test_a_route_whose_limits_do_not_fit_the_settings_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(routes.DECLARED.read_text().replace("minute: 60, hour: 1200", "hour: 50"))
    monkeypatch.setattr(routes, "DECLARED", file)

    with pytest.raises(DeclaredError, match=r"routes\.usage\.rate-limiting: hour is 50"):
        check_declared(_settings())
