"""Sums of what was counted, for people to read. Pure."""

from collections.abc import Sequence

from actors.mailbox.selection import Tally


def divided(tallies: Sequence[Tally], reasons: Sequence[str]) -> tuple[list[Tally], list[Tally]]:
    """Those of other reasons, and those of these."""
    held = of_reasons(tallies, reasons)
    return [one for one in tallies if one not in held], held


def of_reasons(tallies: Sequence[Tally], reasons: Sequence[str]) -> list[Tally]:
    """Those of these reasons, by cause, by the consumer's reason, or by that up to its first colon."""
    return [one for one in tallies if {one.cause, one.detail, one.detail.partition(":")[0]} & set(reasons)]


def by_reason(tallies: Sequence[Tally]) -> dict[str, int]:
    """Messages by cause and, behind a slash, the consumer's reason."""
    return _sums([(f"{one.cause}/{one.detail}" if one.detail else one.cause, one.messages) for one in tallies])


def by_tenant(tallies: Sequence[Tally], most: int) -> dict[str, int]:
    """Messages of the tenants with the most of them."""
    sums = _sums([(one.tenant, one.messages) for one in tallies])
    return dict(list(sums.items())[:most])


def _sums(pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, number in pairs:
        sums[name] = sums.get(name, 0) + number
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
