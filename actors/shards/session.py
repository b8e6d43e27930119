"""A connection that can prove it is clean: nothing of one tenant's unit is left for the next borrower.

The tenant is set for a transaction only, so a commit or roll-back ends it, and each unit's begin takes back whatever
settings were left. What else could outlive it is a statement that changes the session itself. Each statement's text is
looked at once: what can only read and write rows needs no check, which costs nothing; after anything else the
connection is asked before another unit gets it.
"""

import asyncio
import re
from functools import lru_cache
from typing import Any

from actors.replicated_commits import ReplicatedConnection
from actors.shards.translation import FOREIGN

_COMMENT_LINES = re.compile(r"^\s*--.*$", re.MULTILINE)
_READS_AND_WRITES_ROWS = re.compile(r"\s*(?:select|insert|update|delete|merge|with|values)\b", re.IGNORECASE)
# A setting, also by the view that takes updates for it, a second statement, or a lock that belongs to the session.
# A name that is written by its characters' numbers may be any of these.
_TOUCHES_SESSION = re.compile(r"set_config|pg_settings|;\s*\S|pg_(?:try_)?advisory_(?!xact)|\bu&", re.IGNORECASE)
# What is no statement, whatever stands in it.
_QUOTED = re.compile(
    r"""\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/""",
    re.IGNORECASE | re.DOTALL,
)
_ENDS_TRANSACTION = re.compile(
    r"(?:^|;)\s*(?:begin|start|commit|end|abort|prepare\s+transaction"
    r"|rollback(?!(?:\s+(?:work|transaction))?\s+to\b))\b",
    re.IGNORECASE,
)
_CHECK_S = 2.0
# What a session can hold beyond a transaction. The tenant reads '' once it has been set for one.
_LEFT = """
SELECT concat_ws(', ',
    CASE WHEN current_setting('app.current_tenant', true) <> '' THEN 'app.current_tenant is set' END,
    CASE WHEN current_user <> session_user THEN 'another role is set' END,
    (SELECT 'settings were changed: ' || string_agg(name, ' ') FROM pg_settings
      WHERE source = 'session' AND setting IS DISTINCT FROM reset_val AND name <> 'app.current_tenant'),
    (SELECT 'an advisory lock is held' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() LIMIT 1),
    (SELECT 'a statement was prepared' FROM pg_prepared_statements WHERE from_sql LIMIT 1),
    (SELECT 'a cursor is open' FROM pg_cursors WHERE is_holdable LIMIT 1),
    (SELECT 'it listens' FROM pg_listening_channels() LIMIT 1),
    CASE WHEN pg_my_temp_schema() <> 0 THEN 'temporary tables were made' END)
"""


class DirtySessionError(Exception):
    """A connection came back with something of its last unit in it. It is thrown away; nobody else gets it."""


class ShardConnection(ReplicatedConnection):
    """An asyncpg connection that remembers whether its session may have been changed."""

    __slots__ = ("_suspect",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._suspect = False

    @property
    def is_suspect(self) -> bool:
        """Whether something ran that may have changed the session, since it was found clean."""
        return self._suspect

    def suspect(self) -> None:
        """Something ran that may have changed the session."""
        self._suspect = True

    async def roll_back(self, patience_s: float) -> None:
        """End a failed transaction, waiting first for a statement that is being cancelled; else give up the connection.

        After it the connection is either closed or out of any transaction.
        """
        if self.is_closed():
            return
        try:
            async with asyncio.timeout(patience_s):
                # asyncpg refuses statements until the server has confirmed a cancellation.
                await self._protocol._wait_for_cancellation()  # type: ignore[attr-defined]  # noqa: SLF001
                # While that was waited for the connection may have been lost, and then asyncpg cannot say.
                if not self.is_closed() and self.is_in_transaction():
                    await self.execute("ROLLBACK")
        except (TimeoutError, *FOREIGN):
            self.terminate()
        except BaseException:
            self.terminate()
            raise

    async def assert_clean(self) -> None:
        """Make sure that the next unit finds nothing; asks the server only if a suspect statement ran.

        Raises:
            DirtySessionError: a transaction is open, or something is set, held or prepared for the session.
            TimeoutError: the server did not answer.
        """
        if self.is_in_transaction():
            raise DirtySessionError("a transaction is open")
        if not self._suspect:
            return
        async with asyncio.timeout(_CHECK_S):
            left = await self.fetchval(_LEFT)
        if left:
            raise DirtySessionError(left)
        self._suspect = False


@lru_cache(maxsize=4096)
def leaves_session_alone(statement: str) -> bool:
    """Whether a statement's text shows that it can only read and write rows.

    Weakness: it trusts the functions that a statement calls; those in our schemas come from reviewed migrations.
    """
    text = _COMMENT_LINES.sub("", statement)
    return _READS_AND_WRITES_ROWS.match(text) is not None and _TOUCHES_SESSION.search(text) is None


@lru_cache(maxsize=256)
def ends_transaction(statement: str) -> bool:
    """Whether a text begins or ends a transaction, also with another begun at once (``COMMIT AND CHAIN``)."""
    return _ENDS_TRANSACTION.search(_QUOTED.sub(" ", statement)) is not None
