"""What a schema is made of, as the catalogue says it, and how two differ. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# (kind, name) to its definitions: one for all kinds but grants.
Catalog = Mapping[tuple[str, str], frozenset[str]]


class Difference(NamedTuple):
    """One thing that is not as it should be.

    Attributes:
        what: ``missing``, ``extra`` or ``changed``.
        kind: such as column, index, policy, grant.
        name: within the schema, such as ``product.stock``.
        expected: its definition in a schema that was made anew; empty for what is extra.
        found: its definition here; empty for what is missing.
    """

    what: str
    kind: str
    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        thing = f"{self.what} {self.kind} {self.name}".rstrip()
        match self.what:
            case "changed":
                return f"{thing}: {self.found}, expected {self.expected}"
            case "missing":
                return f"{thing}: {self.expected}"
            case _:
                return f"{thing}: {self.found}"


def catalog_of(rows: Iterable[tuple[str, str, str]], schema: str, tenant_id: str) -> Catalog:
    """The catalogue of one schema, in words that do not name it, so that two can be held against each other.

    Args:
        rows: kind, name and definition.
        schema: its name.
        tenant_id: which may stand in definitions by itself too.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for kind, name, definition in rows:
        plain = definition.replace(schema, "{schema}").replace(tenant_id, "{tenant_id}")
        found.setdefault((kind, name), set()).add(" ".join(plain.split()))
    return {thing: frozenset(definitions) for thing, definitions in found.items()}


def open_tables(catalog: Catalog) -> tuple[str, ...]:
    """Tables without row level security that is forced, and policies that are not both USING and WITH CHECK; named."""
    found = []
    for (kind, name), definitions in sorted(catalog.items()):
        for definition in definitions:
            if kind == "table" and {"kind r", "kind p"} & {*definition.split(", ")}:
                found += [f"table {name}"] * ("no row level security" in definition or "not forced" in definition)
            if kind == "policy" and (" for * " in definition or " for w " in definition):
                found += [f"policy {name}"] * (" using " not in definition or " with check " not in definition)
    return tuple(found)


def hash_of(catalog: Catalog) -> str:
    """One hash for all of it, SHA-256 in hexadecimal digits; the same for schemas that are made of the same."""
    digest = hashlib.sha256()
    for (kind, name), definitions in sorted(catalog.items()):
        for definition in sorted(definitions):
            digest.update(f"{kind}\0{name}\0{definition}\n".encode())
    return digest.hexdigest()


def differences(expected: Catalog, found: Catalog) -> tuple[Difference, ...]:
    """What differs, by kind and name.

    What belongs to a table that is missing or extra as a whole is not named apart.
    """
    whole = {name for kind, name in expected.keys() ^ found.keys() if kind == "table"}
    named: list[Difference] = []
    for kind, name in sorted(expected.keys() | found.keys()):
        if kind != "table" and name.partition(".")[0] in whole:
            continue
        wanted, there = expected.get((kind, name), frozenset()), found.get((kind, name), frozenset())
        if kind == "grant":
            named += [Difference("missing", kind, name, one, "") for one in sorted(wanted - there)]
            named += [Difference("extra", kind, name, "", one) for one in sorted(there - wanted)]
        elif wanted != there:
            what = "missing" if not there else "extra" if not wanted else "changed"
            named.append(Difference(what, kind, name, "; ".join(sorted(wanted)), "; ".join(sorted(there))))
    return tuple(named)
