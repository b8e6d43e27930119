"""What can go wrong with tenants.

TenantError
    PhoneNumberTakenError       the number belongs to another tenant
    IdempotencyConflictError    the idempotency key was used for something else
    UnknownTenantError          there is no such tenant
    TenantStateError            the tenant's state does not allow it
    LimitsContradictError       of the limits as they would be a minute is above its hour
    RowsChangedError            a tenant's rows are others than were exported
    TenantRemovedError          the tenant that was made for the key was removed
    TenantRefusedError          the databases take no tenant of what was given
    DirectoryUnavailableError   some numbers could not be looked up now
    CredentialUnavailableError  a credential could not be looked up now
    UnsealError                 a sealed secret was changed, moved, or sealed under another key
"""

from collections.abc import Mapping
from typing import ClassVar

from kernel.errors import SpazaError
from services.tenants.tenant import Tenant


class TenantError(SpazaError):
    """Anything that goes wrong with tenants."""

    code: ClassVar[str] = "tenant_error"


class PhoneNumberTakenError(TenantError):
    """The phone number belongs to another tenant, or another tenant that has it is just being made."""

    code: ClassVar[str] = "phone_number_taken"
    http_status: ClassVar[int] = 409

    def __init__(self, phone_number_id: str) -> None:
        super().__init__(phone_number_id)
        self.phone_number_id = phone_number_id

    def __str__(self) -> str:
        return f"phone_number_id {self.phone_number_id} belongs to another tenant"


class IdempotencyConflictError(TenantError):
    """The idempotency key was used before with another request. Use a new key for a new request.

    Source:
        draft-ietf-httpapi-idempotency-key-header, section 2.7: 422 for a key that comes with another payload; 409 is
        for a request that is still under way, and such a one is joined here.
    """

    code: ClassVar[str] = "idempotency_conflict"
    http_status: ClassVar[int] = 422

    def __init__(self, idempotency_key: str) -> None:
        super().__init__(idempotency_key)
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"the idempotency key {self.idempotency_key!r} was used for another request; use a new one"


class UnknownTenantError(TenantError):
    """There is no tenant of this id."""

    code: ClassVar[str] = "unknown_tenant"
    http_status: ClassVar[int] = 404

    def __init__(self, tenant_id: str) -> None:
        super().__init__(tenant_id)
        self.tenant_id = tenant_id

    def __str__(self) -> str:
        return f"there is no tenant {self.tenant_id!r}; spaza tenant list shows them"


class TenantStateError(TenantError):
    """The tenant is in a state in which this cannot be done."""

    code: ClassVar[str] = "tenant_state"
    http_status: ClassVar[int] = 409

    def __init__(self, tenant_id: str, state: str, remedy: str) -> None:
        super().__init__(tenant_id, state, remedy)
        self.tenant_id, self.state, self.remedy = tenant_id, state, remedy

    def __str__(self) -> str:
        return f"tenant {self.tenant_id} is {self.state}: {self.remedy}"


class LimitsContradictError(TenantError):
    """As the tenant's own limits would be, an hour would never let through what a minute does. Nothing was changed.

    Attributes:
        routes: where that would be so; empty text for each route.
    """

    code: ClassVar[str] = "limits_contradict"
    http_status: ClassVar[int] = 400

    def __init__(self, tenant_id: str, routes: tuple[str, ...]) -> None:
        super().__init__(tenant_id, routes)
        self.tenant_id, self.routes = tenant_id, routes

    def __str__(self) -> str:
        return f"the limits of tenant {self.tenant_id} would let more through in a minute than in an hour"


class RowsChangedError(TenantError):
    """The tenant's rows are others than when its export began. Nothing was taken away; export them anew."""

    code: ClassVar[str] = "rows_changed"
    http_status: ClassVar[int] = 409

    def __init__(self, tenant_id: str) -> None:
        super().__init__(tenant_id)
        self.tenant_id = tenant_id

    def __str__(self) -> str:
        return f"the rows of tenant {self.tenant_id} are others than were exported; export them anew from the beginning"


class TenantRemovedError(TenantError):
    """The tenant that was made for this idempotency key was removed. A new key makes a new tenant."""

    code: ClassVar[str] = "tenant_removed"
    http_status: ClassVar[int] = 410

    def __init__(self, tenant_id: str) -> None:
        super().__init__(tenant_id)
        self.tenant_id = tenant_id

    def __str__(self) -> str:
        return f"tenant {self.tenant_id}, which was made for this idempotency key, was removed; use a new key"


class TenantRefusedError(TenantError):
    """The databases would not take what was given. Nothing of the tenant is left, and its numbers are free."""

    code: ClassVar[str] = "tenant_refused"
    http_status: ClassVar[int] = 400

    def __init__(self, unit: str, sqlstate: str) -> None:
        super().__init__(unit, sqlstate)
        self.unit, self.sqlstate = unit, sqlstate

    def __str__(self) -> str:
        return (
            f"no tenant was made, for the databases do not take what was given ({self.unit}, SQLSTATE "
            f"{self.sqlstate}); send other values under a new idempotency key"
        )


class DirectoryUnavailableError(TenantError):
    """Some phone numbers could not be looked up, which says nothing on whose they are. Try those again later.

    Attributes:
        missing: the numbers that could not be looked up.
        found: what was found of the others.
    """

    code: ClassVar[str] = "directory_unavailable"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, missing: frozenset[str], found: Mapping[str, Tenant | None]) -> None:
        super().__init__(missing, found)
        self.missing, self.found = missing, found

    def __str__(self) -> str:
        return f"{len(self.missing)} phone numbers could not be looked up in the directory"


class CredentialUnavailableError(TenantError):
    """A credential could not be looked up, which says nothing on whether it holds. Try again later."""

    code: ClassVar[str] = "credential_unavailable"
    http_status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True

    def __init__(self, kid: str) -> None:
        super().__init__(kid)
        self.kid = kid

    def __str__(self) -> str:
        return "the credential could not be looked up in the directory"


class UnsealError(TenantError):
    """A sealed secret cannot be opened: it was changed, belongs elsewhere, or its key is not known here."""

    code: ClassVar[str] = "unseal_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"a sealed secret cannot be opened: {self.reason}"
