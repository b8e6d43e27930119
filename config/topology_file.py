"""Reading ``queues.yaml``: every fault at once, each with file and line, the field, and what to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config import topology_rules
from config.declared_file import UnreadableFileError, errors_of, read_declared, rendered, text_of, unknown
from config.marked_yaml import Fault
from config.topology import DECLARED, Binding, Exchange, Queue, Topology, TopologyError

_SECTIONS = ("exchanges", "queues")
_Part = TypeVar("_Part", bound=BaseModel)


def load_topology(path: Path = DECLARED) -> Topology:
    """Read and check the declaration.

    Raises:
        TopologyError: with one line for each fault, in the order of their lines.
    """
    try:
        marked = read_declared(path)
    except UnreadableFileError as error:
        raise TopologyError((error.fault,)) from error
    faults = list(marked.faults)
    if isinstance(marked.data, Mapping):
        exchanges = _parts("exchanges", Exchange, marked.data, faults)
        queues = _parts("queues", Queue, marked.data, faults)
        faults += [Fault((name,), unknown(str(name), _SECTIONS)) for name in marked.data if name not in _SECTIONS]
        faults += topology_rules.faults_of(exchanges, queues)
        if exchanges:
            faults += _silent_deaths(queues, marked.data)
        if not faults:
            return Topology.model_validate({"exchanges": exchanges, "queues": queues})
    else:
        faults.append(Fault((), "must hold exchanges and queues"))
    raise TopologyError(rendered(path.name, marked, faults))


def _parts(section: str, kind: type[_Part], data: Mapping[str, Any], faults: list[Fault]) -> dict[str, _Part | None]:
    """The parts of a section by name; None for one that is declared but faulty."""
    given = data.get(section)
    if not isinstance(given, Mapping):
        faults.append(Fault((section,), "must be there, and hold one entry for each name"))
        return {}
    parts: dict[str, _Part | None] = {}
    for name, fields in given.items():
        parts[name] = None
        if not isinstance(fields, Mapping):
            faults.append(Fault((section, name), f"must hold fields, not {fields!r}"))
            continue
        if kind is Queue and "name" in fields:
            faults.append(Fault((section, name, "name"), "is the key above; remove this line"))
            continue
        try:
            parts[name] = kind.model_validate({"name": name, **fields} if kind is Queue else fields)
        except ValidationError as error:
            faults += [Fault((section, name, *one["loc"]), _text(one, kind)) for one in errors_of(error)]
    return parts


def _silent_deaths(queues: Mapping[str, Queue | None], data: Mapping[str, Any]) -> list[Fault]:
    """Queues of which nobody said what becomes of their dead letters."""
    known = [queue for queue in queues.values() if queue is not None]
    named = {fields.get("dlx") for fields in data["queues"].values() if isinstance(fields, Mapping)} if known else set()
    if any(name is not None and name not in data["exchanges"] for name in named):
        return []  # which queue was to take those dead letters cannot be told
    return [
        Fault(
            ("queues", queue.name),
            "dlx is missing; name the exchange that takes its dead letters, or write dlx: null to have them only"
            " recorded",
        )
        for queue in known
        if "dlx" not in data["queues"][queue.name] and not any(binding.exchange in named for binding in queue.bindings)
    ]


def _text(error: Mapping[str, Any], kind: type[BaseModel]) -> str:
    known = Binding.model_fields if "bindings" in error["loc"] else kind.model_fields
    return text_of(error, [name for name in known if name != "name"])
