"""``python -m cluster.sandbox``: options first, then the environment, then the demo's values.

Secrets are better given by the environment: options can be read by every user of the machine.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from cluster.sandbox.app import bind, run
from cluster.sandbox.config import SandboxConfig
from cluster.sandbox.control_errors import invalid_request
from cluster.sandbox.knobs import Knobs
from cluster.sandbox.phone_numbers import NumbersFileError
from config.settings import DEMO_APP_SECRET, DEMO_VERIFY_TOKEN, SandboxSettings
from telemetry.log import configure_logging


def read_config(arguments: Sequence[str], environment: Mapping[str, str]) -> SandboxConfig:
    """The settings of this process; ends with a message where they cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m cluster.sandbox", description="A stand-in of Meta's Graph API.")

    def option(name: str, variable: str, default: str | None, text: str) -> None:
        parser.add_argument(name, default=environment.get(variable, default), help=f"{text} ({variable})")

    option("--port", "SPAZA_SANDBOX__PORT", str(SandboxSettings().port), "0 takes a free one")
    option("--host", "SANDBOX_HOST", "127.0.0.1", "the address to listen on")
    option("--callback-url", "SANDBOX_CALLBACK_URL", None, "Spaza's WhatsApp webhook; none sends no webhooks")
    option("--app-secret", "SPAZA_WHATSAPP__APP_SECRET", DEMO_APP_SECRET, "signs the webhooks")
    option("--verify-token", "SPAZA_WHATSAPP__VERIFY_TOKEN", DEMO_VERIFY_TOKEN, "of the handshake")
    option("--data-dir", "SANDBOX_DATA_DIR", None, "keeps registered numbers over a restart; none keeps nothing")
    option("--log-level", "SPAZA_LOG__LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR")
    parser.add_argument(
        "--knob", action="append", default=[], metavar="NAME=VALUE", help="turn a knob; may be repeated"
    )
    given = parser.parse_args(arguments)
    try:
        knobs = Knobs().turned(dict(_knob(one) for one in given.knob))
    except ValidationError as error:
        parser.error(str(invalid_request(error)))
    if not str(given.port).isdigit() or int(given.port) > 65_535:
        parser.error(f"--port: must be a number from 0 to 65535, not {given.port}")
    if given.callback_url is not None and not given.callback_url.startswith(("http://", "https://")):
        parser.error("--callback-url: must start with http:// or https://")
    data_dir = None if given.data_dir is None else Path(given.data_dir)
    if data_dir is not None and not data_dir.is_dir():
        parser.error(f"--data-dir: {data_dir} is not a folder")
    return SandboxConfig(
        # Of several, the one that is new.
        app_secret=given.app_secret.partition(",")[0].strip(),
        verify_token=given.verify_token,
        host=given.host,
        port=int(given.port),
        callback_url=given.callback_url,
        data_dir=data_dir,
        knobs=knobs,
        log_level=given.log_level,
    )


def _knob(text: str) -> tuple[str, Any]:
    """``name=value``; the value as JSON, or else as text."""
    name, _, value = text.partition("=")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value


def main() -> int:
    """Run until told to stop; 1 when it cannot start."""
    config = read_config(sys.argv[1:], os.environ)
    configure_logging(config.log_level)
    try:
        listening = bind(config)
    except OSError as error:
        print(f"the sandbox cannot listen on {config.host}:{config.port}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        run(config, listening)
    except NumbersFileError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
