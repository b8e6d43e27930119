"""Reading a declaration: every fault at once, each with file and line, the field, and what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from yaml.reader import ReaderError

from config.marked_yaml import Fault, Marked, read_marked

# Instead of what pydantic says of a type that is none of YAML's.
_MUST_BE: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text, in quotes where it looks like a number",
    "tuple_type": "a list, such as [...]",
    "list_type": "a list, such as [...]",
    "set_type": "a list, such as [...]",
    "frozen_set_type": "a list, such as [...]",
    "dict_type": "fields, such as {name: value}",
    "mapping_type": "fields, such as {name: value}",
    "model_type": "fields, such as {name: value}",
    "model_attributes_type": "fields, such as {name: value}",
}
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
    if error["type"] == "too_short":
        return f"must hold at least {error['ctx']['min_length']}; add what is missing"
    what = _MUST_BE.get(error["type"])
    text = str(error["msg"]).replace("Input should be", "must be", 1) if what is None else f"must be {what}"
    return f"{text[0].lower()}{text[1:]}, not {_shown(error['input'])}"


def errors_of(error: ValidationError) -> list[Mapping[str, Any]]:
    """Pydantic's errors, without those that it makes of others: a list is not too short for what is wrong in it."""
    errors = error.errors()
    places = [one["loc"] for one in errors]
    return [
        dict(one)
        for one in errors
        if one["type"] != "too_short" or not any(place[:-1][: len(one["loc"])] == one["loc"] for place in places)
    ]


def rendered(name: str, marked: Marked, faults: Sequence[Fault]) -> tuple[str, ...]:
    """One line for each fault, in the order of their lines; of what was misread no more than that is said."""
    misread = {fault.path for fault in marked.faults}
    faults = [fault for fault in faults if fault.path not in misread or fault in marked.faults]
    lines = sorted((marked.line(fault.path), position) for position, fault in enumerate(faults))
    found = [(line, faults[position]) for line, position in lines]
    return tuple(
        _in_a_line(f"{name}:{line}: {'.'.join(str(part) for part in fault.path) or 'the file'}: {fault.text}")
        for line, fault in found
    )


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.100}"
    except ValueError:  # Python writes out no number of more than some thousand digits
        return "a number without end"


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
