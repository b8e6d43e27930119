"""The cast of a benchmark: 50 merchants, and one customer of its own for every message.

A customer who writes once makes a reply's addressee name the message that it answers, and keeps Meta's rate for one
pair of numbers out of the measurement.
"""

from typing import NamedTuple

MERCHANTS = 50
APP_SECRET = "benchmark-app-secret"
VERIFY_TOKEN = "benchmark-verify-token"
_FIRST_NUMBER_ID = 300_000_000_000_001
_FIRST_WABA_ID = 400_000_000_000_001


class Merchant(NamedTuple):
    """One tenant, as Meta knows it."""

    phone_number_id: str
    display_phone_number: str
    waba_id: str
    name: str
    access_token: str


def merchant(index: int) -> Merchant:
    """The merchant at an index below ``MERCHANTS``."""
    return Merchant(
        phone_number_id=str(_FIRST_NUMBER_ID + index),
        display_phone_number=f"+2711{index:07d}",
        waba_id=str(_FIRST_WABA_ID + index),
        name=f"Corner shop {index}",
        access_token=f"benchmark-access-token-{index}",
    )


def merchants() -> list[Merchant]:
    """All of them, in order."""
    return [merchant(index) for index in range(MERCHANTS)]


def customer(sequence: int) -> str:
    """The phone of the customer who writes message number ``sequence``, digits only as Meta writes it."""
    return f"276{sequence:08d}"
