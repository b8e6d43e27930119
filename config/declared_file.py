"""Reading a declaration: every fault at once, each with file and line, the field, and what to do."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from config.marked_yaml import Fault, Marked, read_marked


class UnreadableFileError(Exception):
    """A file that is no declaration at all; the text is the one fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return self.fault


def read_declared(path: Path) -> Marked:
    """Read a file.

    Raises:
        UnreadableFileError: it cannot be read, or is no YAML.
    """
    try:
        return read_marked(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFileError(f"{path.name}: cannot be read ({error.strerror}); is the path right?") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableFileError(_not_yaml(path.name, error)) from error


def unknown(name: str, known: Iterable[str], what: str = "field") -> str:
    """What is said of a name that is none."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"there is no such {what}; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}")


def text_of(error: Mapping[str, Any], known: Iterable[str]) -> str:
    """What is said of one of pydantic's errors.

    Args:
        error: with ``type``, ``loc``, ``msg`` and ``input``.
        known: the fields that could have been meant.
    """
    if error["type"] == "extra_forbidden":
        return unknown(str(error["loc"][-1]), known)
    if error["type"] == "missing":
        return "is missing; write it"
    if error["type"] == "value_error":
        # Of our own rules; they name the remedy.
        return str(error["msg"]).removeprefix("Value error, ")
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r}"


def rendered(name: str, marked: Marked, faults: Sequence[Fault]) -> tuple[str, ...]:
    """One line for each fault, in the order of their lines."""
    lines = sorted((marked.line(fault.path), position) for position, fault in enumerate(faults))
    found = [(line, faults[position]) for line, position in lines]
    return tuple(
        f"{name}:{line}: {'.'.join(str(part) for part in fault.path) or 'the file'}: {fault.text}"
        for line, fault in found
    )


def _not_yaml(name: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = name if mark is None else f"{name}:{mark.line + 1}"
    problem = getattr(error, "problem", None) or str(error)
    return f"{where}: this is no YAML: {problem}; check indentation, colons and quotes around this line"
