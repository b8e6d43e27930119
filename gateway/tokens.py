"""A JSON Web Token: taken apart, its signature verified, its claims checked. The cryptography is PyJWT's.

Source: RFC 7519; the words are Kong's, kong/plugins/jwt/jwt_parser.lua.
"""

import base64
import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, TypeGuard

import jwt
import orjson
from jwt.algorithms import Algorithm, get_default_algorithms

from gateway.errors import GatewayError

_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: one for name, one in get_default_algorithms().items() if name != "none"
}
_PARSER: Final = jwt.PyJWS()
_UNVERIFIED: Final = {"verify_signature": False}


class BadTokenError(GatewayError):
    """A text that is no token."""

    code = "bad_token"
    http_status = 401

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Bad token; {self.reason}"


class BadKeyError(GatewayError):
    """A credential's secret or public key with which nothing can be verified."""

    code = "bad_key"
    http_status = 401


class Token(NamedTuple):
    """A token taken apart. Nothing in it is to be believed before ``Keys.verifies``.

    Attributes:
        header: the JOSE header.
        claims: the payload.
        signed: the bytes under the signature.
        signature: as it came.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """What it says it is signed with."""
        return str(self.header["alg"])


def parsed(text: str) -> Token:
    """Take a token apart.

    Raises:
        BadTokenError: it is none.
    """
    try:
        raw = _PARSER.decode_complete(text, options=_UNVERIFIED)  # type: ignore[arg-type]  # a TypedDict of PyJWT's own
        claims = orjson.loads(raw["payload"])
    except (jwt.InvalidTokenError, orjson.JSONDecodeError, UnicodeError) as error:
        raise BadTokenError("invalid JSON") from error
    header = raw["header"]
    if not isinstance(header.get("alg"), str) or header["alg"] not in _ALGORITHMS:
        raise BadTokenError("invalid alg")
    if "crit" in header:
        # Extensions that must be understood; none is.
        raise BadTokenError("invalid crit")
    if not isinstance(claims, dict):
        raise BadTokenError("invalid claims")
    return Token(header, claims, text.rpartition(".")[0].encode(), raw["signature"])


class Keys:
    """Verifies signatures. Keeps the keys made ready, for that takes longer than verifying.

    Args:
        secret_is_base64: whether secrets of HS* algorithms are decoded first.
        size: keys that are kept at most; the least recently used go first.
    """

    def __init__(self, *, secret_is_base64: bool, size: int = 10_000) -> None:
        self._decodes, self._size = secret_is_base64, size
        self._ready: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def verifies(self, token: Token, algorithm: str, secret: str) -> bool:
        """Whether the token was signed under a secret or the private key of a public one.

        Raises:
            BadKeyError: with this secret nothing can be verified.
        """
        key = self._key(algorithm, secret)
        return bool(_ALGORITHMS[algorithm].verify(token.signed, key, token.signature))

    def _key(self, algorithm: str, secret: str) -> Any:
        name = (algorithm, secret)
        ready = self._ready.get(name)
        if ready is None:
            ready = self._ready[name] = self._made(algorithm, secret)
            if len(self._ready) > self._size:
                self._ready.popitem(last=False)
        else:
            self._ready.move_to_end(name)
        return ready

    def _made(self, algorithm: str, secret: str) -> Any:
        try:
            if algorithm.startswith("HS"):
                key: str | bytes = _decoded(secret) if self._decodes else secret
            else:
                key = secret
            return _ALGORITHMS[algorithm].prepare_key(key)
        except (KeyError, ValueError, TypeError, jwt.InvalidKeyError) as error:
            raise BadKeyError("Invalid key/secret") from error


def _decoded(secret: str) -> bytes:
    """Base64, of either alphabet, with or without padding."""
    return base64.b64decode(secret.rstrip("=") + "=" * (-len(secret.rstrip("=")) % 4), altchars=b"-_", validate=True)


def faults_of_times(
    claims: Mapping[str, Any], verified: Collection[str], *, now: float, at_most_s: int
) -> dict[str, str]:
    """What is wrong with ``exp`` and ``nbf``, by claim.

    ``nbf`` is looked at wherever it is there; who sends it means it.

    Args:
        claims: of a token whose signature was verified.
        verified: claims that have to be there.
        now: seconds since 1970.
        at_most_s: for which a token may still hold; 0 for any time.
    """
    faults: dict[str, str] = {}
    expires, begins = claims.get("exp"), claims.get("nbf")
    if "exp" in verified:
        if not _is_number(expires):
            faults["exp"] = "must be a number"
        elif expires <= now:
            faults["exp"] = "token expired"
        elif at_most_s and expires - now > at_most_s:
            faults["exp"] = "exceeds maximum allowed expiration"
    if "nbf" in verified or begins is not None:
        if not _is_number(begins):
            faults["nbf"] = "must be a number"
        elif begins > now:
            faults["nbf"] = "token not valid yet"
    return faults


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
