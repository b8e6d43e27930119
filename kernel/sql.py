"""SQL lives in ``.sql`` files: ``-- name: query_name``, a comment of intent, the statement.

What a file cannot say because it is known later, such as the names of a table's columns, is quoted here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\s*$", re.MULTILINE)


def load_queries(path: Path) -> Mapping[str, str]:
    """Read the named statements of one file.

    Args:
        path: a file in which each statement follows a line ``-- name: some_name``.

    Returns:
        name to statement, comments included, without the name line and surrounding space.

    Raises:
        ValueError: a name occurs twice, a statement is empty, or the file names none.
    """
    text = path.read_text(encoding="utf-8")
    headings = list(_NAME.finditer(text))
    if not headings:
        raise ValueError(f"{path}: no statement is named; start each with '-- name: some_name'")
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    queries: dict[str, str] = {}
    for heading, end in zip(headings, ends, strict=True):
        name, statement = heading["name"], text[heading.end() : end].strip()
        if name in queries:
            raise ValueError(f"{path}: the name {name} is used twice")
        if not statement:
            raise ValueError(f"{path}: the statement {name} is empty")
        queries[name] = statement
    return MappingProxyType(queries)


def quoted(identifier: str) -> str:
    """The name of a database, table or column as it stands in a statement, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'
