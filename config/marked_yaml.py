"""YAML as plain data, with the line of every key and item, so that a fault can name the line to change.

A key that stands twice in a mapping is a fault: YAML's own loader takes the last one and says nothing.
"""

from collections.abc import Hashable
from typing import Any, NamedTuple

import yaml

Path = tuple[Hashable, ...]
_DEEPEST = 50


class Fault(NamedTuple):
    """Something to change: where, and what with the remedy."""

    path: Path
    text: str


class Marked(NamedTuple):
    """A document.

    Attributes:
        data: of dicts, lists and scalars.
        lines: of each key and item by its path, from 1.
        faults: keys that stand twice, keys that are no text.
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
    return loader.construct_object(node)
