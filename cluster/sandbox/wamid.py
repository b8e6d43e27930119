"""Message ids as WhatsApp makes them: base64 over the customer's number and a random id.

Source: the ids in Meta's own samples.
"""

import base64
import hashlib
import random
from typing import Literal

_BSUID_DIGITS = 15


def make_wamid(customer: str, direction: Literal["in", "out"], randomness: random.Random) -> str:
    """A new id of a message from or to one customer.

    Args:
        customer: the phone number's digits, or the BSUID of a customer without one. A BSUID gives digits that are
            stable but say nothing, so that ids of both kinds look alike.
        direction: ``in`` for what a customer wrote, ``out`` for what a business sent.
        randomness: makes the id unique.
    """
    digits = customer if customer.isdigit() else _meaningless_digits(customer)
    if direction == "in":
        mark, unique = b"\x12\x18\x14", f"3A{randomness.getrandbits(72):018X}"
    else:
        mark, unique = b"\x11\x18\x12", f"{randomness.getrandbits(72):018X}"
    layout = b"\x1c\x18%c%b\x15\x02\x00%b%b\x00" % (len(digits), digits.encode(), mark, unique.encode())
    return "wamid." + base64.b64encode(layout).decode()


def _meaningless_digits(bsuid: str) -> str:
    number = int.from_bytes(hashlib.sha256(bsuid.encode()).digest()[:8], "big")
    return f"{number % 10**_BSUID_DIGITS:0{_BSUID_DIGITS}d}"
