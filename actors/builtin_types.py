"""A connection that asks only once a process what PostgreSQL's built-in types are.

asyncpg asks the server about each array type on each connection, 5 to 25 ms of its time; with three connections to each
of 32 databases that is seconds of a core after a start. Built-in types have the same ids on every server.
"""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[Any]
else:
    # Generic for the type checker alone.
    _Connection = asyncpg.Connection

# Ids from here on are given by each database to its own types.
_FIRST_OWN_ID = 16_384
_known: dict[frozenset[int], Any] = {}
# asyncpg looks at the name alone, to see whether its own question took the place of an unnamed statement.
_NO_QUESTION_ASKED = SimpleNamespace(name="none")


class BuiltinTypesConnection(_Connection):
    """An asyncpg connection that remembers built-in types across connections."""

    __slots__ = ()

    async def _introspect_types(self, typeoids: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's name
        wanted = frozenset(typeoids)
        known = _known.get(wanted)
        if known is not None:
            return known, _NO_QUESTION_ASKED
        types, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        if max(wanted) < _FIRST_OWN_ID:
            _known[wanted] = types
        return types, statement
