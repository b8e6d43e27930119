"""A flood of made-up credentials costs the shards no more than there is for it, and refuses nobody who is known."""

from collections.abc import Sequence
from typing import Any

from actors.shards.unit import UnitCall, UnitOutcome
from kernel.identifiers import new_id
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.errors import CredentialUnavailableError
from services.tenants.store import FIND_CREDENTIALS, CredentialRow, PlacementRow
from services.tenants.strangers import StrangerPolicy, Strangers

POLICY = StrangerPolicy(per_s=10.0, burst=20.0, known=2)


def test_so_many_unknown_names_a_second_are_looked_up_and_after_a_while_the_burst() -> None:
    strangers = Strangers(POLICY, 0.0)

    admitted = [sum(strangers.admit(f"{at}:{n}", at) for n in range(100)) for at in (0.0, 0.5, 0.75, 60.0)]

    assert admitted == [20, 5, 2, 20]


def test_a_name_that_was_found_is_looked_up_whatever_others_ask_and_the_last_found_are_remembered() -> None:
    strangers = Strangers(POLICY._replace(burst=0.0), 0.0)
    for name in ("a", "b", "a", "c"):
        strangers.found(name)

    assert [strangers.admit(name, 0.0) for name in "abc"] == [True, False, True]


class Shards:
    """Has one credential."""

    def __init__(self, kid: str) -> None:
        self.kid, self.looked_up = kid, list[str]()

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        return [UnitOutcome(self._rows(call), (), None) for call in calls]

    def _rows(self, call: UnitCall) -> list[Any]:
        if call.name != FIND_CREDENTIALS:
            return [PlacementRow("a", "A", 5, 1, "active", None, None, "{}")]
        self.looked_up += call.arguments
        return [CredentialRow(kid, "a", "HS256", "sealed", None, 0.0) for kid in call.arguments if kid == self.kid]


async def flood(directory: TenantDirectory) -> int:
    """How many of 1,000 made-up ones were not even looked up."""
    refused = 0
    for _ in range(1_000):
        try:
            assert await directory.by_credential(new_id()) is None
        except CredentialUnavailableError:
            refused += 1
    return refused


async def test_a_flood_of_made_up_credentials_neither_reaches_the_shards_nor_drives_out_what_is_known() -> None:
    now, kid = [0.0], new_id()
    shards = Shards(kid)
    policy = DirectoryPolicy(local_s=60.0, local_size=10, strangers=POLICY)
    directory = TenantDirectory(shards, policy=policy, clock=lambda: now[0])
    assert await directory.by_credential(kid) is not None

    assert await flood(directory) == 981
    assert len(shards.looked_up) == 20
    assert await directory.by_credential(kid) is not None
    assert shards.looked_up.count(kid) == 1

    now[0] = 61.0
    assert await flood(directory) == 980
    assert await directory.by_credential(kid) is not None
    assert shards.looked_up.count(kid) == 2
