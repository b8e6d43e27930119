"""The two roles under which everything but set-up runs, and their derived passwords.

Neither owns a table, is a superuser or bypasses row level security. ``spaza_app`` runs units in a tenant's context;
``spaza_system`` has policies on the shared tables of the schema ``spaza`` alone.
"""

import base64
import hashlib
import hmac
from typing import Final

APP_ROLE: Final = "spaza_app"
SYSTEM_ROLE: Final = "spaza_system"
ROLES: Final = (APP_ROLE, SYSTEM_ROLE)

# Stretching protects passwords that can be guessed. These have 256 bits, and a client pays for it on each connection.
_ITERATIONS = 64


def role_password(sealing_key_b64: str, role: str) -> str:
    """The password of a role: HMAC-SHA256 of its name under the sealing key, as 64 hexadecimal digits."""
    key = base64.b64decode(sealing_key_b64, validate=True)
    return hmac.new(key, f"spaza role {role}".encode(), hashlib.sha256).hexdigest()


def scram_verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores of a password, so that the password itself is in no statement and no server log.

    Source:
        RFC 5802 section 3; the form is that of ``pg_authid.rolpassword``.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
