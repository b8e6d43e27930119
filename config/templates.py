"""Templates in the values of the transformers: they name a value of the request as it came."""

import re
from collections.abc import Mapping
from typing import Final

SOURCES: Final = ("headers", "query_params", "uri_captures")
_TEMPLATE: Final = re.compile(r"""\$\(\s*(\w+)\s*(?:\.\s*([\w-]+)|\[\s*(["'])(.*?)\3\s*\])\s*\)""")


def template_fault(value: str) -> str | None:
    """What is wrong with the templates in a value; None where nothing is."""
    for found in _TEMPLATE.finditer(value):
        if found[1] not in SOURCES:
            return f"names {found[1]} in a template; known are {', '.join(SOURCES)}"
    if "$(" in _TEMPLATE.sub("", value):
        return "holds a template that is none; write $(headers.name) or $(query_params['a name'])"
    return None


def rendered(value: str, sources: Mapping[str, Mapping[str, str]]) -> str:
    """A value with its templates filled in; what is not there is empty.

    Args:
        value: without faults.
        sources: by the words of ``SOURCES``. Names of headers are in lower case; a template may have ``_`` for ``-``.
    """
    if "$(" not in value:
        return value

    def fill(found: re.Match[str]) -> str:
        name = found[2] if found[2] is not None else found[4]
        source = sources.get(found[1], {})
        if found[1] == "headers":
            name = name.lower()
            return source.get(name, source.get(name.replace("_", "-"), ""))
        return source.get(name, "")

    return _TEMPLATE.sub(fill, value)
