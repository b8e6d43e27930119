"""Secrets at rest: sealed under a key that is not in the database, and bound to whom they belong."""

import base64
import binascii
import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.tenants.errors import UnsealError

_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12


class Sealer:
    """Seals with AES-256-GCM under the current key, and opens what was sealed under it or a retired one.

    The text is ``v1.<key id>.<nonce and ciphertext, URL-safe base64>``; the key id is public and lets a key be
    replaced while texts of the old one are still about. One key seals at most 2^32 texts, as nonces are random.
    """

    def __init__(self, key_b64: str, *retired_b64: str) -> None:
        self._key_id, current = _cipher(key_b64)
        self._ciphers = dict([*map(_cipher, retired_b64), (self._key_id, current)])

    def seal(self, plain: str, context: str) -> str:
        """Seal a text.

        Args:
            plain: the secret.
            context: whose it is and what for; it must be given again to open it, so that a sealed text which is
                copied to another row is of no use there.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._key_id].encrypt(nonce, plain.encode(), context.encode())
        return f"{_VERSION}.{self._key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, context: str) -> str:
        """Open a sealed text.

        Raises:
            UnsealError: it was changed, sealed for another context, or under a key that is not known here.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, encoded = rest.partition(".")
        if version != _VERSION or not encoded:
            raise UnsealError("it is not in the form v1.<key id>.<text>")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnsealError(f"its key {key_id} is not known here")
        try:
            raw = base64.urlsafe_b64decode(encoded)
            if base64.urlsafe_b64encode(raw).decode() != encoded:
                raise UnsealError("it is not written as it was sealed")
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise UnsealError("it was changed, or belongs to another context") from error

    @property
    def current_prefix(self) -> str:
        """With what every text under the current key begins, and no other."""
        return f"{_VERSION}.{self._key_id}."

    def is_current(self, sealed: str) -> bool:
        """Whether a text is sealed under the current key."""
        return sealed.startswith(self.current_prefix)

    def __repr__(self) -> str:
        return f"Sealer(key_id={self._key_id!r})"


def access_token_context(tenant_id: str) -> str:
    """The context under which a tenant's WhatsApp access token is sealed."""
    return f"tenant:{tenant_id}:whatsapp.access_token"


def credential_context(tenant_id: str, kid: str) -> str:
    """The context under which the secret of a credential is sealed."""
    return f"tenant:{tenant_id}:credential:{kid}"


def payments_context(tenant_id: str, gateway: str) -> str:
    """The context under which what a payment gateway wants to know of a tenant is sealed, as JSON."""
    return f"tenant:{tenant_id}:payments.{gateway}"


def _cipher(key_b64: str) -> tuple[str, AESGCM]:
    key = base64.b64decode(key_b64, validate=True)
    if len(key) != 32:
        raise ValueError(f"a sealing key has 32 bytes, not {len(key)}")
    return hashlib.sha256(b"spaza key id " + key).hexdigest()[:8], AESGCM(key)
