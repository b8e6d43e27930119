import base64

from actors.shards.access import ShardAccess
from actors.shards.roles import role_password, scram_verifier

KEY = base64.b64encode(b"k" * 32).decode()
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


def test_a_password_is_the_same_each_time_and_differs_by_role_and_key() -> None:
    passwords = {
        role_password(KEY, "spaza_app"),
        role_password(KEY, "spaza_system"),
        role_password(OTHER_KEY, "spaza_app"),
    }

    assert role_password(KEY, "spaza_app") in passwords
    assert len(passwords) == 3
    assert all(len(password) == 64 for password in passwords)


def test_the_verifier_does_not_hold_the_password() -> None:
    verifier = scram_verifier("secret", b"s" * 16)

    assert verifier.startswith("SCRAM-SHA-256$64:")
    assert "secret" not in verifier


def test_access_is_given_without_the_owners_credentials_and_masked_when_printed() -> None:
    access = ShardAccess.derive("postgresql://owner:hush@db/x", KEY)

    assert "hush" not in str(tuple(access))
    assert access.app_password not in repr(access)
