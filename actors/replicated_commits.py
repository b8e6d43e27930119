"""A connection that notices a commit which stands on the primary alone.

Where a commit waits for standbys, a cancelled statement, an operator's or one that took too long, does not undo it: the
server answers as if all were well, with a warning. If the primary is lost then, so is what was answered for.
"""

from typing import Any

import asyncpg

from actors.builtin_types import BuiltinTypesConnection

_WARNING = "01000"


class UnreplicatedCommitError(ConnectionError):
    """A commit was answered and may be on the primary alone: whether it lasts is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class ReplicatedConnection(BuiltinTypesConnection):
    """A connection that remembers whether the server has warned of something.

    Who commits sets ``has_warned`` to False before, and looks at it when the answer is there. A commit has nothing else
    to warn of, whatever language the server speaks; a deferred trigger that warns is taken for the same, which is safe.
    """

    __slots__ = ("has_warned",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.has_warned = False
        # Called before whoever waits for the answer goes on, for the warning comes before it.
        self.add_log_listener(_heard)


def _heard(connection: Any, message: Any) -> None:
    if isinstance(message, asyncpg.PostgresWarning) and message.sqlstate == _WARNING:
        connection.has_warned = True
