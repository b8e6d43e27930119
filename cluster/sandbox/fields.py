"""Reading the fields of a Graph API request, refusing what is missing or wrong in Meta's words."""

from collections.abc import Mapping
from typing import Any

from cluster.sandbox.graph_errors import invalid, missing

Fields = Mapping[str, Any]


def text_in(of: Fields, name: str, path: str, *, most: int) -> str:
    """A text of at most so many characters that must be there and not be empty.

    ``path`` is how the error names it, for example ``text['body']``.
    """
    value = optional_text_in(of, name, path, most=most)
    if value is None:
        raise missing(path)
    if not value.strip():
        raise invalid(f"Param {path} must be a non-empty string.")
    return value


def optional_text_in(of: Fields, name: str, path: str, *, most: int) -> str | None:
    """A text that may be absent."""
    value = of.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"Param {path} must be a string.")
    if len(value) > most:
        raise invalid(f"Param {path} must be at most {most} characters long.")
    return value


def object_in(of: Fields, name: str, path: str) -> Fields:
    """An object that must be there."""
    value = of.get(name)
    if value is None:
        raise missing(path)
    if not isinstance(value, dict):
        raise invalid(f"Param {path} must be a JSON object.")
    return value


def list_in(of: Fields, name: str, path: str, *, least: int, most: int, what: str) -> list[Fields]:
    """A list of objects within its counts; ``what`` names them in the error, for example ``buttons``."""
    value = of.get(name)
    if value is None:
        raise missing(path)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise invalid(f"Param {path} must be a JSON array of objects.")
    if not least <= len(value) <= most:
        raise invalid(f"Invalid {what} count. Min allowed {what}: {least}, Max allowed {what}: {most}")
    return value


def number_in(of: Fields, name: str, path: str, *, limit: float) -> float:
    """A number between minus and plus the limit; a text of one will do, as with Meta."""
    value = of.get(name)
    if value is None:
        raise missing(path)
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not -limit <= number <= limit:
        raise invalid(f"Param {path} must be a number between -{limit:g} and {limit:g}.")
    return number


def all_different(values: list[str], what: str) -> None:
    """Refuse values of which two are the same."""
    if len(set(values)) != len(values):
        raise invalid(f"Duplicate {what}. Each must be unique.")
