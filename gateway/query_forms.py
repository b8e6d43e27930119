"""How a number or a truth is written in a query: as JSON has it, and as nothing else that Python reads as one."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel


class _Form(NamedTuple):
    pattern: re.Pattern[str]
    remedy: str


_FORMS: Final[Mapping[Any, _Form]] = {
    int: _Form(re.compile(r"-?[0-9]+"), "must be a whole number, in digits alone"),
    float: _Form(
        re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"), "must be a number, such as -26.24"
    ),
    bool: _Form(re.compile(r"true|false"), "must be true or false"),
}


def misshapen(model: type[BaseModel], pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The names of values that are not written as their fields want them, each with the remedy.

    Args:
        model: of the query.
        pairs: names and values, as they came.
    """
    forms = _forms(model)
    for name, value in pairs:
        form = forms.get(name)
        if form is not None and form.pattern.fullmatch(value) is None:
            yield name, form.remedy


@lru_cache(maxsize=1024)
def _forms(model: type[BaseModel]) -> Mapping[str, _Form]:
    found = {field.alias or name: _form(field.annotation) for name, field in model.model_fields.items()}
    return {name: form for name, form in found.items() if form is not None}


def _form(annotation: Any) -> _Form | None:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _form(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _form(kinds[0]) if len(kinds) == 1 else None
    return _FORMS.get(annotation)
