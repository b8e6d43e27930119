"""Where the benchmark of one part works, and where it keeps what it measured."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

RESULTS: Final = Path(__file__).parent / "results"


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for the time of a run, under a short path, for sockets want one."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(benchmark: str, figures: Any) -> None:
    """Write raw figures as JSON, and say where they are.

    Args:
        benchmark: its name.
        figures: of what JSON knows.
    """
    directory = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{benchmark}"
    directory.mkdir(parents=True)
    path = directory / "result.json"
    path.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    print(f"Raw figures: {path}")
