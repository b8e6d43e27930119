"""What the composition root passes on from the settings, and to whom."""

import base64
from typing import Any

import pytest
from ray import cloudpickle

import serve_app
from config.settings import load_settings

KEY = base64.b64encode(b"k" * 32).decode()
OWNER = "postgresql://owner:secret@127.0.0.1:1/shard_{shard}"


def spaza() -> serve_app.Spaza:
    settings = load_settings(
        {
            "SPAZA_POSTGRES__DSN": OWNER,
            "SPAZA_REDIS__URL": "redis://127.0.0.1:1/0",
            "SPAZA_SECRETS__KEY": KEY,
            "SPAZA_WHATSAPP__APP_SECRET": "secret",
            "SPAZA_WHATSAPP__VERIFY_TOKEN": "token",
            "SPAZA_WHATSAPP__GRAPH_URL": "http://127.0.0.1:1",
            "SPAZA_ADMIN__TOKEN": "t" * 32,
            "SPAZA_LOG__LEVEL": "WARNING",
        }
    )
    return serve_app.Spaza(settings, instance_id="test")


def test_the_log_level_reaches_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(serve_app, "start_shards", lambda *_, **options: passed.update(options))

    spaza().start_shards()

    assert passed["log_level"] == "WARNING"


@pytest.mark.parametrize(
    ("secret", "holders"),
    [(OWNER, {"ops"}), (KEY, {"ops", "products", "notifications"}), ("t" * 32, {"ops"})],
    ids=["the owner's DSN", "the sealing key", "the admin token"],
)
def test_a_secret_goes_to_the_applications_alone_that_need_it(secret: str, holders: set[str]) -> None:
    pickled: Any = cloudpickle.dumps  # as Serve does, and without types
    passed = {one.name: pickled(one.application._bound_deployment.init_args) for one in spaza().applications()}

    assert {name for name, arguments in passed.items() if secret.encode() in arguments} == holders
