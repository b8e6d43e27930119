"""Found tenants and credentials in Redis: ``tenant:phone:{phone_number_id}`` and ``tenant:credential:{kid}``."""

from typing import Any

from actors.rate_limiter.own_limits import OwnLimits
from cache.connection import RedisConnection
from cache.entries import EntryPolicy, RedisEntries
from services.tenants.tenant import Credential, Tenant

SharedCachePolicy = EntryPolicy
# Raised when the fields change: entries of another form are not read.
_TENANT_FORM, _CREDENTIAL_FORM = 2, 2


class RedisTenantCache(RedisEntries[Tenant]):
    """Tenants by phone number: an hour; that a number is nobody's: half a minute. For one event loop.

    Attributes:
        connection: on which changes are heard of, too.
        credentials: by kid, kept as long.
    """

    def __init__(self, connection: RedisConnection, *, policy: EntryPolicy | None = None) -> None:
        policy = EntryPolicy() if policy is None else policy
        super().__init__(connection, "tenant:phone:", form=_TENANT_FORM, encode=_plain, decode=_tenant, policy=policy)
        self.connection = connection
        self.credentials: RedisEntries[Credential] = RedisEntries(
            connection, "tenant:credential:", form=_CREDENTIAL_FORM, encode=_plain, decode=_credential, policy=policy
        )


def _plain(found: Tenant | Credential) -> list[Any]:
    *plain, _ = found
    return [*plain, [found.limits.minute, found.limits.hour, found.limits.kept()]]


def _tenant(fields: Any) -> Tenant:
    return Tenant(*fields)._replace(limits=_limits(fields[-1]))


def _credential(fields: Any) -> Credential:
    return Credential(*fields)._replace(limits=_limits(fields[-1]))


def _limits(fields: Any) -> OwnLimits:
    return OwnLimits.of(*fields)
