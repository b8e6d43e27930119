"""How a command that asks the admin API ends, and how what was answered is shown: to people, or to programs."""

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console

from cluster.plain_lines import print_lines

DONE, NOT_DONE, UNCONFIRMED = 0, 1, 2


def show(
    document: dict[str, Any],
    given: argparse.Namespace,
    console: Console,
    lines: Callable[[dict[str, Any]], Iterable[str]],
) -> int:
    """Print a document.

    Args:
        document: that was answered.
        given: the command's arguments; with ``json`` the document is printed as it is.
        console: for people.
        lines: words it for them.

    Returns:
        The exit status of a command that is done with it.
    """
    if given.json:
        print(json.dumps(document, indent=1))
    else:
        print_lines(lines(document), console)
    return DONE
