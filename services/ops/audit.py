"""Who did what: a line in the log and a row on shard 0, before an action and after it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from actors.shards.unit import UnitCall, UnitOutcome
from kernel.errors import SpazaError
from kernel.identifiers import new_id
from services.admin.actions import Who
from services.admin.edge import followed_id
from services.ops import store
from services.ops.errors import NotRecordedError
from telemetry.log import get_logger

_SHARD = 0
_LIMIT_S = 3.0
_log = get_logger("operator")


class Shards(Protocol):
    """Runs units of work."""

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        """An outcome for each call, in order."""


class Audit:
    """Records actions. The log has each of them whatever happens to shard 0."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    async def begin(self, who: Who, action: str, queue: str, request: Mapping[str, Any], *, must: bool) -> str:
        """Record that an action begins, and return its id.

        Args:
            who: begins it.
            action: what it is.
            queue: on what: a queue, or ``tenant <id>``.
            request: its details; nothing private.
            must: whether it is not to begin without a record.

        Raises:
            NotRecordedError: there is no record of an action that must have one.
        """
        action_id = new_id()
        row = store.ActionBegun(action_id, time.time(), *who, action, queue, orjson.dumps(request).decode())
        error = await self._write(store.BEGIN_ACTION, row)
        _log.info(
            "operator_action_begun", action_id=action_id, operator=who.operator, peer=who.peer, action=action,
            queue=queue, request=dict(request), recorded=error is None, correlation_id=followed_id(),
        )  # fmt: skip
        if must and error is not None:
            raise NotRecordedError(str(error))
        return action_id

    async def end(self, action_id: str, action: str, queue: str, outcome: Mapping[str, Any]) -> None:
        """Record how it ended."""
        row = store.ActionEnded(action_id, time.time(), orjson.dumps(outcome).decode())
        error = await self._write(store.END_ACTION, row)
        _log.info(
            "operator_action_ended", action_id=action_id, action=action, queue=queue, outcome=dict(outcome),
            recorded=error is None, correlation_id=followed_id(),
        )  # fmt: skip

    async def read(self, *, limit: int, before: float | None, queue: str | None) -> list[store.ActionRow]:
        """Actions, the latest first.

        Raises:
            SpazaError: shard 0 does not answer.
        """
        wanted = store.ActionsWanted(limit, before, queue)
        [outcome] = await self._shards.run([UnitCall(store.READ_ACTIONS, _SHARD, "", wanted)], timeout_s=_LIMIT_S)
        rows: list[store.ActionRow] = outcome.unwrap()
        return rows

    async def _write(self, unit: str, row: Any) -> SpazaError | None:
        [outcome] = await self._shards.run([UnitCall(unit, _SHARD, "", row)], timeout_s=_LIMIT_S)
        return outcome.error
