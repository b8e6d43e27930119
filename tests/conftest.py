"""What every test may ask for: the payload fixtures, and an environment without settings of the developer's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

# The same examples in every run, and no limit on what one of them takes, for machines are busy now and then.
# ``--hypothesis-profile=default`` looks for others.
settings.load_profile("ci")

DEFAULT_FIXTURES = Path(__file__).resolve().parents[2] / "shared" / "fixtures"


def missing(reason: str) -> None:
    """Skip on a developer's machine, fail in CI, where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def payloads() -> Path:
    """The folder of real payloads and signature vectors."""
    folder = Path(os.environ.get("SPAZA_FIXTURES", DEFAULT_FIXTURES))
    if not (folder / "signature_vectors.json").is_file():
        missing(f"no payloads at {folder}; set SPAZA_FIXTURES to the folder that holds them")
    return folder


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    """Who sets logging up does so for the process, and to a stream that pytest closes."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SPAZA_") and name != "SPAZA_FIXTURES":
            monkeypatch.delenv(name)
