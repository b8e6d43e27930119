"""Message ids in the layout of Meta's samples."""

import base64
import random
import re

from cluster.sandbox.wamid import make_wamid


def decoded(wamid: str) -> bytes:
    assert wamid.startswith("wamid.")
    return base64.b64decode(wamid.removeprefix("wamid."), validate=True)


def test_an_inbound_id_carries_the_customers_number_and_twenty_hex_digits() -> None:
    layout = decoded(make_wamid("27821234567", "in", random.Random(1)))

    assert re.fullmatch(rb"\x1c\x18\x0b27821234567\x15\x02\x00\x12\x18\x14[0-9A-F]{20}\x00", layout)


def test_an_outbound_id_carries_the_customers_number_and_eighteen_hex_digits() -> None:
    layout = decoded(make_wamid("27821234567", "out", random.Random(1)))

    assert re.fullmatch(rb"\x1c\x18\x0b27821234567\x15\x02\x00\x11\x18\x12[0-9A-F]{18}\x00", layout)


def test_an_id_for_a_bsuid_carries_digits_that_are_stable_and_not_the_bsuids() -> None:
    bsuid = "ZA.13491208655302741918"

    first, second = (decoded(make_wamid(bsuid, "out", random.Random(seed))) for seed in (1, 2))

    assert first[:18] == second[:18]
    assert first != second
    assert b"13491208655302741918" not in first


def test_ids_do_not_repeat() -> None:
    randomness = random.Random(7)

    assert len({make_wamid("27821234567", "out", randomness) for _ in range(2_000)}) == 2_000
