"""What can go wrong with tenants.

TenantError
    PhoneNumberTakenError       the number belongs to another tenant
    IdempotencyConflictError    the idempotency key was used for something else
    DirectoryUnavailableError   some numbers could not be looked up now
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
    """The idempotency key was used before with another request. Use a new key for a new request."""

    code: ClassVar[str] = "idempotency_conflict"
    http_status: ClassVar[int] = 409

    def __init__(self, idempotency_key: str) -> None:
        super().__init__(idempotency_key)
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        return f"the idempotency key {self.idempotency_key!r} was used for another request"


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


class UnsealError(TenantError):
    """A sealed secret cannot be opened: it was changed, belongs elsewhere, or its key is not known here."""

    code: ClassVar[str] = "unseal_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"a sealed secret cannot be opened: {self.reason}"
