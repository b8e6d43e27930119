"""Identifiers: time-ordered ids for what we create, fingerprints for what must not be shown."""

import hashlib

import uuid_utils


def new_id() -> str:
    """A UUIDv7 as 32 hexadecimal digits, without dashes. Ids made later sort after earlier ones."""
    return uuid_utils.uuid7().hex


def fingerprint(value: str) -> str:
    """Twelve hexadecimal digits that stand for a value which is personal data, such as a wamid, in logs.

    A wamid carries the customer's phone number in base64, so it is not to be logged as it is.
    """
    return hashlib.sha256(value.encode()).hexdigest()[:12]
