"""Tenants' credentials and the tokens that they sign."""

import base64
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from actors.rate_limiter.own_limits import OwnLimits
from gateway.credentials import KnownCredential

TENANT, OTHER = "a" * 32, "b" * 32
KEY = b"k" * 64
SECRET = base64.b64encode(KEY).decode()
NOW = 1_800_000_000.0
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


RSA_PUBLIC = public_pem(RSA)


def credential(kid: str, tenant_id: str = TENANT, **changes: Any) -> KnownCredential:
    known = KnownCredential(kid, tenant_id, "HS256", SECRET, True, 7, 1, OwnLimits())
    return known._replace(**changes)


class FakeCredentials:
    """The directory."""

    def __init__(self, *known: KnownCredential) -> None:
        self.known = {one.kid: one for one in known}
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def find(self, kid: str) -> KnownCredential | None:
        self.asked.append(kid)
        if self.error is not None:
            raise self.error
        return self.known.get(kid)


def token(
    claims: Any = None, *, key: Any = KEY, algorithm: str = "HS256", header: dict[str, Any] | None = None, **more: Any
) -> str:
    """A token of the tenant's under ``k1``, with the claims changed; None takes one out."""
    given = {"kid": "k1", "tenant_id": TENANT, "exp": NOW + 60, **more} if claims is None else claims
    payload = orjson.dumps({name: one for name, one in given.items() if one is not None})
    return jwt.PyJWS().encode(payload, key, algorithm, headers=header)


def bearer(text: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {text}")]


def raw_token(header: bytes, payload: bytes) -> str:
    """A token with this header and payload, signed under the tenant's key with HMAC-SHA256, whatever they say."""
    signed = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in (header, payload))
    signature = jwt.algorithms.get_default_algorithms()["HS256"].sign(signed, KEY)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
