"""Sealing everything anew under the current key, so that the one before it is needed no longer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from actors.shards.fan_out import FanOut
from actors.shards.placement import SHARDS
from actors.shards.unit import UnitCall, UnitOutcome, UnitRunner
from services.tenants import sealed_store
from services.tenants.admin_store import LISTING, TenantRow
from services.tenants.directory import TenantDirectory
from services.tenants.errors import UnsealError
from services.tenants.sealed_store import ResealedName, ResealedProfile, SealedName, SealedProfile, SealedWanted
from services.tenants.sealing import Sealer, access_token_context, credential_context, payments_context
from services.tenants.states import DROPPING, REMOVED
from telemetry.log import get_logger

_STEP_S: Final = 15.0
_LIMIT_S: Final = 40.0
_log = get_logger("tenants")
Resealed = dict[str, Any]


class ResealedProfileOf(NamedTuple):
    """A tenant with what is to stand in its profile."""

    tenant: TenantRow
    profile: ResealedProfile


class Resealing:
    """Seals anew what is sealed under another key than the current one.

    It goes over everything until it finds nothing more, and only then has the databases forget that other keys are
    needed; a start without those is refused until then. Every text is replaced only if it is still what was read. A
    crash leaves some of them resealed, which both keys open, and running again does the rest.
    """

    def __init__(
        self,
        shards: UnitRunner,
        sealer: Sealer,
        directory: TenantDirectory,
        forget_other_keys: Callable[[], Awaitable[int]],
        *,
        page_size: int = 500,
    ) -> None:
        """Take what it needs.

        Args:
            shards: run the units.
            sealer: under all keys.
            directory: is told of what changed, for it keeps sealed texts.
            forget_other_keys: has the databases forget the other keys, and returns how many there were.
            page_size: how many sealed texts of a shard, and how many tenants, are read at once.
        """
        self._shards, self._fan_out, self._sealer, self._directory = shards, FanOut(shards), sealer, directory
        self._forget_other_keys, self._page_size = forget_other_keys, page_size

    async def run(self) -> Resealed:
        """Do as much as fits into a call.

        Returns:
            ``complete``: whether nothing is left under another key; ``resealed``: how many texts were; ``unopened``:
            how many could not be opened, for their key is not among ours; ``missing_shards``: those that did not
            answer; ``forgotten_keys``: how many keys the databases need no longer.
        """
        done: Counter[str] = Counter()
        missing: set[int] = set()
        clean = False
        try:
            async with asyncio.timeout(_LIMIT_S):
                while True:
                    before = done["resealed"]
                    await self._names(done, missing)
                    await self._profiles(done, missing)
                    if done["unopened"] or missing:
                        break
                    if done["resealed"] == before:
                        clean = True
                        break
        except TimeoutError:
            _log.info("resealing_goes_on_with_the_next_call", resealed=done["resealed"])
        forgotten = await self._forget_other_keys() if clean else 0
        _log.info("resealed", complete=clean, **done)
        return {
            "complete": clean,
            "resealed": done["resealed"],
            "unopened": done["unopened"],
            "missing_shards": sorted(missing),
            "forgotten_keys": forgotten,
        }

    async def _names(self, done: Counter[str], missing: set[int]) -> None:
        # By shard, the last that was read: what cannot be opened stays, and is not to hide what stands behind it.
        places = dict.fromkeys(range(SHARDS), ("", ""))
        while places:
            calls = [
                UnitCall(
                    sealed_store.READ_SEALED_NAMES,
                    shard,
                    "",
                    SealedWanted(self._sealer.current_prefix, *place, limit=self._page_size),
                )
                for shard, place in places.items()
            ]
            writes: list[UnitCall] = []
            found: list[SealedName] = []
            for call, outcome in zip(calls, await self._run(calls, missing), strict=True):
                names: list[SealedName] = outcome.value or []
                resealed = [one for name in names if (one := self._name(name, done)) is not None]
                if resealed:
                    writes.append(UnitCall(sealed_store.RESEAL_NAMES, call.shard, "", resealed))
                if len(names) < self._page_size:
                    del places[call.shard]
                else:
                    places[call.shard] = (names[-1].kind, names[-1].name)
                found += names
            await self._run(writes, missing)
            done["resealed"] += sum(len(call.arguments) for call in writes)
            if found:
                await self._directory.forget((), kids=[one.kid for one in found if one.kind == "credential"])

    async def _profiles(self, done: Counter[str], missing: set[int]) -> None:
        cursor = None
        while True:
            page = await self._fan_out.page(
                LISTING, False, limit=self._page_size, cursor=cursor, timeout_s=_STEP_S, partial=True
            )
            missing.update(page.missing)
            tenants = [row for row in page.rows if row.state not in {DROPPING, REMOVED}]
            calls = [UnitCall(sealed_store.READ_SEALED_PROFILE, row.shard, row.tenant_id, None) for row in tenants]
            outcomes = await self._run(calls, missing)
            resealed = [
                ResealedProfileOf(row, ResealedProfile(outcome.value, sealed))
                for row, outcome in zip(tenants, outcomes, strict=True)
                if outcome.value is not None and (sealed := self._profile(row.tenant_id, outcome.value, done))
            ]
            await self._run([_write(one) for one in resealed], missing)
            done["resealed"] += len(resealed)
            for one in resealed:
                await self._directory.forget(one.tenant.phone_numbers, tenant_id=one.tenant.tenant_id)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _name(self, name: SealedName, done: Counter[str]) -> ResealedName | None:
        sealed = self._again(name.secret_sealed, credential_context(name.tenant_id, name.kid), done)
        return None if sealed is None else ResealedName(name.kind, name.name, name.secret_sealed, sealed)

    def _profile(self, tenant_id: str, found: SealedProfile, done: Counter[str]) -> SealedProfile | None:
        contexts = (
            access_token_context(tenant_id),
            payments_context(tenant_id, "paystack"),
            payments_context(tenant_id, "ozow"),
        )
        sealed = [
            text if text is None or self._sealer.is_current(text) else self._again(text, context, done) or text
            for text, context in zip(found, contexts, strict=True)
        ]
        token = sealed[0]
        assert token is not None
        again = SealedProfile(token, sealed[1], sealed[2])
        return None if again == found else again

    def _again(self, text: str, context: str, done: Counter[str]) -> str | None:
        try:
            return self._sealer.seal(self._sealer.unseal(text, context), context)
        except UnsealError as error:
            _log.error("not_resealed", context=context, error=str(error))
            done["unopened"] += 1
            return None

    async def _run(self, calls: Sequence[UnitCall], missing: set[int]) -> list[UnitOutcome]:
        outcomes = await self._shards.run(calls, timeout_s=_STEP_S) if calls else []
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.error is not None:
                _log.warning("reseal_unit_failed", unit=call.name, shard=call.shard, error=str(outcome.error))
                missing.add(call.shard)
        return list(outcomes)


def _write(one: ResealedProfileOf) -> UnitCall:
    return UnitCall(sealed_store.RESEAL_PROFILE, one.tenant.shard, one.tenant.tenant_id, one.profile)
