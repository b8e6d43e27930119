"""Reading a declaration: every fault at once, each with file and line, the field, and what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.reader import ReaderError

from config.marked_yaml import Fault, Marked, read_marked

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


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
    except RecursionError as error:
        fault = f"{path.name}: is nested too deep to be read; take out brackets that nest, and references to themselves"
        raise UnreadableFileError(fault) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableFileError(_not_yaml(path, error)) from error


def unknown(name: str, known: Iterable[str], what: str = "field") -> str:
    """What is said of a name that is none."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"there is no such {what}; did you mean {near[0]}?"
    return f"there is no such {what}; known are {', '.join(names)}"


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
        _in_a_line(f"{name}:{line}: {'.'.join(str(part) for part in fault.path) or 'the file'}: {fault.text}")
        for line, fault in found
    )


def _in_a_line(text: str) -> str:
    """What the file holds may have ends of lines of its own."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _not_yaml(path: Path, error: Exception) -> str:
    line = _line(path, error)
    where = path.name if line is None else f"{path.name}:{line}"
    problem = getattr(error, "problem", None) or (
        f"the character {chr(error.character)!r} has no place in one" if isinstance(error, ReaderError) else str(error)
    )
    return f"{where}: this is no YAML: {problem}; check indentation, colons and quotes around this line"


def _line(path: Path, error: Exception) -> int | None:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    if isinstance(error, UnicodeDecodeError):
        return error.object[: error.start].count(b"\n") + 1
    if isinstance(error, ReaderError):
        return path.read_text(encoding="utf-8")[: error.position].count("\n") + 1
    return None
