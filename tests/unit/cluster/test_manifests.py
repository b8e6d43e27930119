"""The manifests say what the page about replication says of them, and fit together."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from config.settings import load_settings

_FOLDER = Path(__file__).resolve().parents[3] / "cluster" / "manifests"
_KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def _documents(name: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all((_FOLDER / name).read_text(encoding="utf-8"))}


def test_commits_wait_for_one_of_two_standbys_and_only_who_has_them_is_promoted() -> None:
    postgres = _documents("postgres.yaml")
    spec = postgres["Cluster"]["spec"]

    assert spec["instances"] == 3
    assert spec["postgresql"]["synchronous"] == {
        "method": "any", "number": 1, "dataDurability": "required", "failoverQuorum": True,
    }  # fmt: skip
    assert spec["postgresql"]["parameters"]["synchronous_commit"] == "on"
    [owner] = spec["managed"]["roles"]
    assert (owner["createdb"], owner["createrole"], owner.get("superuser", False)) == (True, True, False)
    secret = postgres["Secret"]["metadata"]["name"]
    assert {owner["passwordSecret"]["name"], spec["bootstrap"]["initdb"]["secret"]["name"]} == {secret}


def test_spaza_has_settings_that_it_takes_and_finds_the_servers_of_the_other_manifest() -> None:
    cluster = _documents("postgres.yaml")["Cluster"]["metadata"]["name"]
    spaza = _documents("spaza.yaml")
    given = spaza["Secret"]["stringData"]

    settings = load_settings({**given, "SPAZA_SECRETS__KEY": _KEY})

    assert settings.postgres.dsn is not None
    assert f"@{cluster}-rw:5432,{cluster}-ro:5432/" in settings.postgres.dsn.get_secret_value()
    ray = spaza["RayService"]["spec"]["rayClusterConfig"]
    assert ray["rayVersion"] == version("ray")
    for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": spaza["Secret"]["metadata"]["name"]}}]
        load_settings({**given, "SPAZA_SECRETS__KEY": _KEY} | {
            one["name"]: one["value"] for one in container["env"] if one["name"].startswith("SPAZA_")
        })  # fmt: skip
