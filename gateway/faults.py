"""What is wrong with a request, field by field, with the remedy.

As many faults as a reader can use: to name each of a million costs seconds, in which nobody else is served.
"""

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
    "bool_type": "must be true or false",
    "float_parsing": "must be a number",
}
# That are named, and that are looked at at all: pydantic makes either none or every one of them.
NAMED_AT_MOST: Final = 100
_LOOKED_AT_MOST: Final = 1_000
# No model has so many fields.
_NAMES_AT_MOST: Final = 1_000


def faults_of(
    error: ValidationError, at_most: int = NAMED_AT_MOST, *, whole: str = "body"
) -> tuple[tuple[str, str], ...]:
    """Pairs of field, such as ``phone_numbers.0.phone_number_id``, and message.

    Args:
        error: of a model.
        at_most: so many are named; of the others one says how many they are.
        whole: what is named where no single field is wrong.
    """
    count = error.error_count()
    if count > max(at_most, _LOOKED_AT_MOST) or not at_most:
        return ((whole, f"has {count} faults, too many to name them; correct it as the documentation has it"),)
    found: list[Mapping[str, Any]] = [
        dict(one) for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    faults = [(".".join(map(str, one["loc"])) or whole, _message(one)) for one in found if not _follows(one, found)]
    left = len(faults) - at_most
    if left > 0:
        faults[at_most:] = [(whole, f"has {left} faults more; correct these, and it will name them")]
    return tuple(faults)


def crowded(document: Any) -> tuple[str, str] | None:
    """The fault of an object with more names than any model has, which would all have to be looked at; else None.

    Args:
        document: as JSON has it.
    """
    left = [document]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if len(one) > _NAMES_AT_MOST:
                return "body", f"has an object with {len(one)} fields; give it no more than it is documented to have"
            left += [value for value in one.values() if isinstance(value, dict | list)]
        elif isinstance(one, list):
            left += [value for value in one if isinstance(value, dict | list)]
    return None


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
