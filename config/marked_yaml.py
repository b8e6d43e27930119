"""YAML as plain data, with the line of every key and item, so that a fault can name the line to change.

A key that stands twice in a mapping is a fault: YAML's own loader takes the last one and says nothing. So is a number
that YAML 1.1 reads in base 8 or 60, as 64 where 0100 is written and as 90 where 1:30 is.
"""

import re
from collections.abc import Hashable
from typing import Any, NamedTuple

import yaml
from yaml.constructor import ConstructorError

Path = tuple[Hashable, ...]
_DEEPEST = 50
_LONG = 40
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


class Fault(NamedTuple):
    """Something to change: where, and what with the remedy."""

    path: Path
    text: str


class Marked(NamedTuple):
    """A document.

    Attributes:
        data: of dicts, lists and scalars.
        lines: of each key and item by its path, from 1.
        faults: keys that stand twice, keys that are no text, numbers that are read as others than they look.
    """

    data: Any
    lines: dict[Path, int]
    faults: list[Fault]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest thing around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_marked(text: str) -> Marked:
    """Read a document.

    Raises:
        yaml.YAMLError: it is none.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        marked = Marked(None, {(): 1}, [])
        data = None if node is None else _plain(node, (), marked, loader)
    finally:
        loader.dispose()
    return marked._replace(data=data)


def _plain(node: yaml.Node, path: Path, marked: Marked, loader: yaml.SafeLoader) -> Any:
    if len(path) > _DEEPEST:
        raise yaml.YAMLError(f"nested deeper than {_DEEPEST} levels")
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                marked.faults.append(Fault(path, f"line {line}: a key is text, not a list or a mapping"))
                continue
            below = (*path, key)
            if key in mapping:
                fault = f"stands a second time, in line {line}; remove one of the two"
                marked.faults.append(Fault(below, fault))
                continue
            marked.lines[below] = line
            mapping[key] = _plain(value_node, below, marked, loader)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            below = (*path, position)
            marked.lines[below] = item.start_mark.line + 1
            items.append(_plain(item, below, marked, loader))
        return items
    return _scalar(node, path, marked, loader)


def _scalar(node: yaml.Node, path: Path, marked: Marked, loader: yaml.SafeLoader) -> Any:
    try:
        value = loader.construct_object(node)
    except (
        ValueError,
        LookupError,
        AttributeError,
    ) as error:  # no such date, thousands of digits, not what it is tagged
        raise ConstructorError(None, None, f"{node.value:.{_LONG}} cannot be read", node.start_mark) from error
    base, remedy = 0, ""
    if isinstance(value, int | float) and ":" in node.value:
        base, remedy = 60, "write the one number that is meant"
    elif isinstance(value, int) and _OCTAL.fullmatch(node.value):
        base, remedy = 8, "write it without the 0 in front"
    if base:
        read_as = f" as {value}" if len(node.value) < _LONG else ""
        fault = f"{node.value:.{_LONG}} is read in base {base}{read_as}; {remedy}, or put it in quotes if it is text"
        marked.faults.append(Fault(path, fault))
    return value
