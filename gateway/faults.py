"""What is wrong with a request, field by field, with the remedy."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

# Where pydantic's own words do not say what to do.
_REMEDIES: Final[Mapping[str, str]] = {
    "missing": "is missing; it is required",
    "extra_forbidden": "is not known; remove it, or correct its name",
    "string_type": "must be a text, in quotes",
    "json_invalid": "is not JSON",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}


def faults_of(error: ValidationError) -> tuple[tuple[str, str], ...]:
    """Pairs of field, such as ``phone_numbers.0.phone_number_id``, and message."""
    found: list[Mapping[str, Any]] = [dict(one) for one in error.errors()]
    return tuple((".".join(map(str, one["loc"])) or "body", _message(one)) for one in found if not _follows(one, found))


def _follows(one: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short only because of what is wrong with its parts."""
    at = one["loc"]
    return one["type"] == "too_short" and any(
        len(other["loc"]) > len(at) and other["loc"][: len(at)] == at for other in found
    )


def _message(one: Mapping[str, Any]) -> str:
    kind = str(one["type"])
    if kind in {"model_type", "model_attributes_type"}:
        return "must be an object with fields"
    text = _REMEDIES.get(kind) or str(one["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if kind in {"too_short", "string_too_short"}:
        return f"must not be empty ({text[:1].lower()}{text[1:]})"
    return text[:1].lower() + text[1:]
