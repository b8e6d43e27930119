"""The signature under which Meta sends webhooks: HMAC-SHA256 of the raw body under the app secret.

It is of the bytes as they came. Meta escapes its JSON in its own way, so a body that was parsed and written again
has another signature.

Source: developers.facebook.com, WhatsApp Business Platform, "Create a webhook endpoint".
"""

import hmac

HEADER = "x-hub-signature-256"
_SCHEME = b"sha256="
_LENGTH = len(_SCHEME) + 64


def sign(app_secret: bytes, body: bytes) -> str:
    """The value of the header ``X-Hub-Signature-256`` for this body."""
    return "sha256=" + hmac.digest(app_secret, body, "sha256").hex()


def verify(app_secret: bytes, body: bytes, header: bytes | None) -> bool:
    """Whether the header is this body's signature. Takes as long for a wrong one as for a right one.

    Args:
        app_secret: of the one Meta app whose webhooks arrive here.
        body: the raw bytes, as received.
        header: the value of ``X-Hub-Signature-256`` as received; None where there was none.
    """
    if header is None or len(header) != _LENGTH or not header.startswith(_SCHEME):
        return False
    return hmac.compare_digest(sign(app_secret, body).encode(), header)
