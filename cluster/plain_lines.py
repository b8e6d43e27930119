"""Printing for people what merchants, customers and servers have named: a terminal gets no orders from it."""

import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console

from kernel.plain_text import visible


def print_lines(lines: Iterable[str], console: Console) -> None:
    """Print each as one line, whatever is in it."""
    for line in lines:
        console.print(visible(line), markup=False)


def say(text: object, file: TextIO | None = None) -> None:
    """Print a remark or an error; the ends of its lines stay. To standard error, unless said otherwise."""
    print(
        "\n".join(visible(line) for line in str(text).split("\n")),
        file=sys.stderr if file is None else file,
        flush=True,
    )
