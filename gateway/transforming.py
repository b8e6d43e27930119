"""Remove, rename, replace, add, append: in this order, on names with values. Pure.

Replace changes only what is there, add only adds what is not, append always does. Where Kong takes a value that is
false or null for one that is not there, these look at the name.

Source: Kong, kong/plugins/request-transformer/access.lua and kong/plugins/response-transformer/body_transformer.lua.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from config.option_types import is_number

Pair = tuple[str, str]
Pairs = Sequence[Pair]


class Steps(NamedTuple):
    """What becomes of names, in this order.

    Attributes:
        remove: names.
        rename: old and new names.
        replace: names and values.
        add: likewise.
        append: likewise.
    """

    remove: Sequence[str] = ()
    rename: Pairs = ()
    replace: Pairs = ()
    add: Pairs = ()
    append: Pairs = ()

    @property
    def are_none(self) -> bool:
        """Whether nothing becomes of anything."""
        return not any(self)

    def rendered(self, render: Callable[[str], str]) -> "Steps":
        """The steps with the values that templates have now."""
        return Steps(self.remove, *(tuple((name, render(value)) for name, value in pairs) for pairs in self[1:]))


def parted(pairs: Sequence[str]) -> tuple[Pair, ...]:
    """Names and values of ``name:value``."""
    return tuple((name.strip(), value) for name, _, value in (one.partition(":") for one in pairs))


def transformed_pairs(given: Pairs, steps: Steps, *, fixed: frozenset[str] = frozenset()) -> list[Pair]:
    """Headers or parameters of a query: names may stand more than once.

    Args:
        given: in their order.
        steps: names are compared as they are written.
        fixed: names that may only be replaced.
    """
    pairs = list(given)
    for name in steps.remove:
        if name not in fixed:
            pairs = [one for one in pairs if one[0] != name]
    for old, new in steps.rename:
        if old != new and old not in fixed and any(name == old for name, _ in pairs):
            # The values take the place of those that the new name had.
            pairs = [(new if name == old else name, value) for name, value in pairs if name != new]
    for name, value in steps.replace:
        at = next((place for place, one in enumerate(pairs) if one[0] == name), None)
        if at is not None:
            pairs = [one for place, one in enumerate(pairs) if one[0] != name or place == at]
            pairs[at] = (name, value)
    for name, value in steps.add:
        if name not in fixed and all(one[0] != name for one in pairs):
            pairs.append((name, value))
    pairs += [one for one in steps.append if one[0] not in fixed]
    return pairs


def transformed_object(given: Mapping[str, Any], steps: Steps, types: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The top level of a JSON object.

    Args:
        given: the object.
        steps: with texts as values.
        types: for ``replace``, ``add`` and ``append``, the values themselves in the place of the texts, in their order;
            a value that could not be made of its text is None, and nothing becomes of it.
    """
    made = {name: value for name, value in given.items() if name not in steps.remove}
    for old, new in steps.rename:
        if old != new and old in made:
            made[new] = made.pop(old)
    for (name, _), value in zip(steps.replace, types["replace"], strict=True):
        if name in made and value is not None:
            made[name] = value
    for (name, _), value in zip(steps.add, types["add"], strict=True):
        if name not in made and value is not None:
            made[name] = value
    for (name, _), value in zip(steps.append, types["append"], strict=True):
        if value is not None:
            made[name] = _appended(made.get(name), value)
    return made


def _appended(present: Any, value: Any) -> list[Any]:
    if present is None:
        return [value]
    return [*present, value] if isinstance(present, list) else [present, value]


def typed(text: str, kind: str | None) -> Any:
    """A text as a value of JSON; None where it is none of that kind."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text)
    if kind != "number":
        return text
    if not is_number(text):
        return None
    return float(text) if {".", "e", "E"} & set(text) else int(text)
