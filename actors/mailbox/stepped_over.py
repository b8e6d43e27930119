"""What a partition has stepped over on its way through the journal, so that others behind it can go. Pure.

Of a key, or of a whole tenant: from some message on none of theirs is in memory, until they come back in their order.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from actors.mailbox.message import Message


class Returning(NamedTuple):
    """Some that may come back, the first of theirs.

    Attributes:
        name: of the key, or of the tenant.
        seqs: in order.
    """

    name: str
    of_tenant: bool
    seqs: list[int]


class SteppedOver:
    """The seqs, 8 bytes each. Those of a key come before those that its tenant has of the same key."""

    def __init__(self) -> None:
        self._keys: dict[str, array[int]] = {}
        self._tenants: dict[str, array[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._keys or self._tenants)

    def __len__(self) -> int:
        return sum(len(seqs) for seqs in self._all())

    def __contains__(self, seq: int) -> bool:
        return any(_has(seqs, seq) for seqs in self._all())

    @property
    def lowest(self) -> int | None:
        """Of all of them; None if there are none."""
        return min((seqs[0] for seqs in self._all()), default=None)

    def has_key(self, key: str) -> bool:
        """Whether a key is stepped over by itself."""
        return key in self._keys

    def takes(self, seq: int, message: Message) -> bool:
        """Note a message whose tenant or key is stepped over; False if neither is."""
        seqs = self._tenants.get(message.tenant)
        if seqs is None:
            seqs = self._keys.get(message.key)
        if seqs is None:
            return False
        _note(seqs, seq)
        return True

    def note_key(self, key: str, seq: int) -> None:
        """Step over a key from this message on."""
        _note(self._keys.setdefault(key, array("q")), seq)

    def note_tenant(self, tenant: str, seq: int) -> None:
        """Step over a tenant from this message on."""
        _note(self._tenants.setdefault(tenant, array("q")), seq)

    def choose(
        self, most: int, most_of_key: int, key_may: Callable[[str], bool], tenant_may: Callable[[str], bool]
    ) -> list[Returning]:
        """Which may come back, so many in all and of a key; those who came back longest ago go first."""
        chosen: list[Returning] = []
        for of_tenant, groups in (False, self._keys), (True, self._tenants):
            for name, seqs in groups.items():
                if most <= 0:
                    return chosen
                if tenant_may(name) if of_tenant else key_may(name):
                    some = seqs[: most if of_tenant else min(most, most_of_key)]
                    chosen.append(Returning(name, of_tenant, list(some)))
                    most -= len(some)
        return chosen

    def came_back(self, returning: Iterable[Returning], read_to: int) -> None:
        """Those up to a seq are no longer stepped over."""
        for name, of_tenant, chosen in returning:
            groups = self._tenants if of_tenant else self._keys
            seqs, done = groups.pop(name), bisect_right(chosen, read_to)
            if seqs[:done].tolist() == chosen[:done]:
                del seqs[:done]
            else:  # earlier ones have come meanwhile
                for seq in chosen[:done]:
                    del seqs[bisect_left(seqs, seq)]
            if seqs:
                groups[name] = seqs  # the last now

    def _all(self) -> Iterator["array[int]"]:
        yield from self._keys.values()
        yield from self._tenants.values()


def _has(seqs: "array[int]", seq: int) -> bool:
    place = bisect_left(seqs, seq)
    return place < len(seqs) and seqs[place] == seq


def _note(seqs: "array[int]", seq: int) -> None:
    if not seqs or seq > seqs[-1]:
        seqs.append(seq)
    elif not _has(seqs, seq):
        seqs.insert(bisect_left(seqs, seq), seq)
