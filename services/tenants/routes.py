"""The admin API of tenants over HTTP, behind the route ``tenants``."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from starlette.responses import StreamingResponse

from gateway.api import Answer, Endpoint, RefusedError
from gateway.context import RequestContext
from gateway.operations import Call
from kernel.errors import SpazaError
from services.admin.actions import Actions
from services.admin.edge import AdminApi, who
from services.tenants import operations
from services.tenants.admin_store import TenantRow
from services.tenants.api_schemas import ExportQuery, LimitsRequest, ListQuery, RotateRequest, TokenRequest
from services.tenants.errors import (
    IdempotencyConflictError,
    LimitsContradictError,
    PhoneNumberTakenError,
    UnknownTenantError,
)
from services.tenants.lifecycle import TenantLifecycle
from services.tenants.listing import TenantListing, moment
from services.tenants.move_ports import MoveReport
from services.tenants.moves_under_way import MovesUnderWay
from services.tenants.removal import TenantRemoval
from services.tenants.resealing import Resealing
from services.tenants.schemas import IssuedCredential, TenantSpec
from services.tenants.service import TenantProvisioning
from services.tenants.tokens import TenantTokens

_TENANT_ID: Final = re.compile(r"[0-9a-f]{32}")
# Well within what callers wait for an answer.
_MOVE_S: Final = 25.0


class TenantUseCases(NamedTuple):
    """What can be done with tenants."""

    provisioning: TenantProvisioning
    listing: TenantListing
    lifecycle: TenantLifecycle
    removal: TenantRemoval
    resealing: Resealing
    tokens: TenantTokens
    moves: MovesUnderWay


class TenantsApp(AdminApi):
    """The ASGI application.

    Args:
        cases: the use cases.
        actions: where is recorded who did what. Neither secrets nor a tenant's own data go there.
        limited: names of the routes that have limits.
    """

    def __init__(self, cases: TenantUseCases, actions: Actions, limited: Sequence[str]) -> None:
        self._cases, self._actions, self._limited = cases, actions, tuple(limited)
        super().__init__(
            [
                Endpoint(operations.CREATE, self._create),
                Endpoint(operations.LIST, self._list),
                Endpoint(operations.RESEAL, self._reseal),
                Endpoint(operations.SHOW, self._show),
                Endpoint(operations.ROTATE, self._rotate),
                Endpoint(operations.TOKEN, self._sign),
                Endpoint(operations.SUSPEND, self._suspend),
                Endpoint(operations.RESUME, self._resume),
                Endpoint(operations.GIVE_UP, self._give_up),
                Endpoint(operations.LIMIT, self._limit),
                Endpoint(operations.MOVE, self._move),
                Endpoint(operations.EXPORT, self._export),
                Endpoint(operations.REMOVE, self._remove),
            ]
        )

    async def _create(self, call: Call, context: RequestContext) -> Any:
        key: str = call.headers.idempotency_key
        spec: TenantSpec = call.body
        numbers = [number.phone_number_id for number in spec.phone_numbers]
        about = {"name": spec.name, "phone_numbers": numbers}
        async with self._recorded(context, "tenant_create", "tenants", about) as outcome:
            try:
                made = await self._cases.provisioning.provision(spec, idempotency_key=key)
            except PhoneNumberTakenError as error:
                raise _taken(numbers, error.phone_number_id) from error
            if made.credential is None:
                # The key's day is over, so this is a new request for numbers that are somebody's.
                raise _taken(numbers, numbers[0])
            outcome["tenant_id"] = made.tenant_id
        credential = _credential(made.credential)
        document = {"success": True, "tenant_id": made.tenant_id, "shard_id": made.shard_id, "credential": credential}
        return Answer(201, document)

    async def _list(self, call: Call, _context: RequestContext) -> Any:
        wanted: ListQuery = call.query
        return await self._cases.listing.page(
            cursor=wanted.cursor, limit=wanted.limit, removed_too=wanted.removed, staleness_s=wanted.max_staleness_s
        )

    async def _show(self, call: Call, _context: RequestContext) -> Any:
        document = await self._cases.listing.show(tenant_id := _tenant_id(call))
        if (shard := self._cases.moves.waits_for(tenant_id)) is not None and "moving" not in document:
            waits = {"from_shard_id": document["shard_id"], "to_shard_id": shard, "step": "waiting"}
            document["moving"] = waits
        return document

    async def _rotate(self, call: Call, context: RequestContext) -> Any:
        tenant_id, key = _tenant_id(call), call.headers.idempotency_key
        asked: RotateRequest = call.body
        async with self._recorded(context, "tenant_rotate", tenant_id, {"grace_s": asked.grace_s}) as outcome:
            done = await self._cases.lifecycle.rotate(
                tenant_id, grace_s=asked.grace_s, idempotency_key=key, public_key=asked.public_key
            )
            outcome["kid"] = done.credential.kid
        return Answer(
            201,
            {
                "success": True,
                "tenant_id": tenant_id,
                "shard_id": done.shard_id,
                "credential": _credential(done.credential),
                "retired": [{"kid": kid, "expires_at": moment(at)} for kid, at in done.retired],
            },
        )

    async def _sign(self, call: Call, context: RequestContext) -> Any:
        tenant_id = _tenant_id(call)
        asked: TokenRequest = call.body
        async with self._recorded(context, "tenant_token", tenant_id, {"ttl_s": asked.ttl_s}, must=True) as outcome:
            signed = await self._cases.tokens.sign(tenant_id, ttl_s=asked.ttl_s)
            outcome["kid"] = signed.kid
        expires_at = moment(signed.expires_at)
        return Answer(201, {"tenant_id": tenant_id, "kid": signed.kid, "token": signed.token, "expires_at": expires_at})

    async def _suspend(self, call: Call, context: RequestContext) -> Any:
        return await self._entered(call, context, "tenant_suspend", self._cases.lifecycle.suspend)

    async def _resume(self, call: Call, context: RequestContext) -> Any:
        return await self._entered(call, context, "tenant_resume", self._cases.lifecycle.resume)

    async def _give_up(self, call: Call, context: RequestContext) -> Any:
        return await self._entered(call, context, "tenant_give_up", self._cases.lifecycle.give_up)

    async def _limit(self, call: Call, context: RequestContext) -> Any:
        tenant_id = _tenant_id(call)
        wanted: LimitsRequest = call.body
        asked = wanted.model_dump(exclude_unset=True)
        if faults := self._unlimited(asked):
            raise RefusedError(400, "A route has no limits", faults)
        async with self._recorded(context, "tenant_limits", tenant_id, asked) as outcome:
            try:
                limits = await self._cases.lifecycle.limit(tenant_id, asked)
            except LimitsContradictError as error:
                raise _contradicting(error.routes) from error
            outcome["limits"] = limits.document()
        return {"success": True, "tenant_id": tenant_id, **outcome}

    def _unlimited(self, asked: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Routes that have no limits, so that a tenant cannot have any of its own there."""
        known = f"has no limits; those that have are {', '.join(self._limited)}"
        return tuple((f"routes.{name}", known) for name in asked.get("routes") or () if name not in self._limited)

    async def _move(self, call: Call, context: RequestContext) -> Any:
        tenant_id, shard = _tenant_id(call), call.body.shard
        async with self._recorded(context, "tenant_move", tenant_id, {"shard": shard}) as outcome:
            report = await self._cases.moves.move(tenant_id, shard, patience_s=context.remaining_s(_MOVE_S))
            outcome.update({"under_way": True} if report is None else _moved(report))
        document = {"tenant_id": tenant_id, **outcome}
        return Answer(202, {"success": False, **document}) if report is None else {"success": True, **document}

    async def _entered(
        self, call: Call, context: RequestContext, action: str, change: Callable[[str], Awaitable[TenantRow]]
    ) -> Any:
        tenant_id = _tenant_id(call)
        async with self._recorded(context, action, tenant_id, {}) as outcome:
            outcome["state"] = (await change(tenant_id)).state
        return {"success": True, "tenant_id": tenant_id, **outcome}

    async def _export(self, call: Call, context: RequestContext) -> StreamingResponse:
        tenant_id = _tenant_id(call)
        wanted: ExportQuery = call.query
        async with self._recorded(context, "tenant_export", tenant_id, {"table": wanted.table}, must=True) as outcome:
            export = await self._cases.removal.export(tenant_id, place=wanted.place, digest=wanted.digest)
            outcome["digest"] = export.digest
        headers = {"cache-control": "no-store"}
        return StreamingResponse(export.lines, 200, headers, "application/x-ndjson")

    async def _remove(self, call: Call, context: RequestContext) -> Any:
        tenant_id, digest = _tenant_id(call), call.query.digest
        async with self._recorded(context, "tenant_remove", tenant_id, {"digest": digest}, must=True) as outcome:
            await self._cases.removal.remove(tenant_id, digest=digest)
            outcome["state"] = "removed"
        return {"success": True, "tenant_id": tenant_id, "state": "removed"}

    async def _reseal(self, _call: Call, context: RequestContext) -> Any:
        async with self._recorded(context, "tenant_reseal", "tenants", {}) as outcome:
            done = await self._cases.resealing.run()
            outcome.update(done)
        return done

    @asynccontextmanager
    async def _recorded(
        self, context: RequestContext, action: str, what: str, asked: Mapping[str, Any], *, must: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Record an action before and after; what it is to say of how it ended is put into the dictionary."""
        subject = what if what == "tenants" else f"tenant {what}"
        action_id = await self._actions.begin(who(context), action, subject, asked, must=must)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except SpazaError as error:
            await self._actions.end(action_id, action, subject, {**outcome, "error": error.code})
            if isinstance(error, IdempotencyConflictError):
                fault = ("Idempotency-Key", "was used for another request; use a new one")
                raise RefusedError(error.http_status, "The idempotency key is taken", (fault,)) from error
            raise
        await self._actions.end(action_id, action, subject, outcome)


def _taken(numbers: Sequence[str], number: str) -> RefusedError:
    field = f"phone_numbers.{numbers.index(number)}.phone_number_id"
    fault = (field, "belongs to another tenant; name a number that is free, or remove that tenant first")
    return RefusedError(409, "A phone number is taken", (fault,))


def _contradicting(routes: Sequence[str]) -> RefusedError:
    fault = "minute would be above hour, and an hour would never let so many through; set both at once"
    places = tuple((f"routes.{route}" if route else "body", fault) for route in routes)
    return RefusedError(400, "Its limits would contradict each other", places)


def _credential(issued: IssuedCredential) -> dict[str, str]:
    if issued.algorithm != "HS256":
        # What signs is the tenant's own.
        return {"kid": issued.kid, "algorithm": issued.algorithm}
    return {"kid": issued.kid, "secret": issued.secret.get_secret_value()}


def _moved(report: MoveReport) -> dict[str, Any]:
    return {
        "from_shard_id": report.source,
        "shard_id": report.shard,
        "epoch": report.epoch,
        "moved": report.moved,
        "rows": report.rows,
        "rounds": report.rounds,
        "messages": report.messages,
        "freeze_ms": round(report.freeze_ms, 1),
        "seconds": round(report.seconds, 3),
    }


def _tenant_id(call: Call) -> str:
    tenant_id: str = call.path.tenant_id
    if _TENANT_ID.fullmatch(tenant_id) is None:
        raise UnknownTenantError(tenant_id[:64])
    return tenant_id
