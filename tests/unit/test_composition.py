"""What the composition root passes on from the settings."""

import base64
from typing import Any

import pytest

import serve_app
from config.settings import load_settings


def test_the_log_level_reaches_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        {
            "SPAZA_POSTGRES__DSN": "postgresql://owner:secret@127.0.0.1:1/shard_{shard}",
            "SPAZA_REDIS__URL": "redis://127.0.0.1:1/0",
            "SPAZA_SECRETS__KEY": base64.b64encode(b"k" * 32).decode(),
            "SPAZA_WHATSAPP__APP_SECRET": "secret",
            "SPAZA_WHATSAPP__VERIFY_TOKEN": "token",
            "SPAZA_WHATSAPP__GRAPH_URL": "http://127.0.0.1:1",
            "SPAZA_ADMIN__TOKEN": "t" * 32,
            "SPAZA_LOG__LEVEL": "WARNING",
        }
    )
    passed: dict[str, Any] = {}
    monkeypatch.setattr(serve_app, "start_shards", lambda *_, **options: passed.update(options))

    serve_app.Spaza(settings, instance_id="test").start_shards()

    assert passed["log_level"] == "WARNING"
