"""Reading ``routes.yaml``: every fault at once, each with file and line, the field, and what to do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from config import route_rules
from config.declared_file import UnreadableFileError, errors_of, read_declared, rendered, text_of, unknown
from config.marked_yaml import Fault
from config.marked_yaml import Path as Place
from config.plugins import PLUGINS, Options
from config.routes import DECLARED, Route, Routes, RoutesError, Service

_SECTIONS: Final = ("services", "plugins", "global", "routes")
_FIELDS: Final = ("path", "service", "timeout_s", "plugins", "overrides")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PATH: Final = re.compile(r"/|(/(?!\.{1,2}(/|$))[a-z0-9._~-]+)+")
_Kind = TypeVar("_Kind", bound=BaseModel)


def load_routes(path: Path = DECLARED) -> Routes:
    """Read and check the declaration.

    Raises:
        RoutesError: with one line for each fault, in the order of their lines.
    """
    try:
        marked = read_declared(path)
    except UnreadableFileError as error:
        raise RoutesError((error.fault,)) from error
    reader = _Reader(marked.data, list(marked.faults))
    routes = reader.read()
    if reader.faults or routes is None:
        raise RoutesError(rendered(path.name, marked, reader.faults))
    return routes


class _Reader:
    def __init__(self, data: Any, faults: list[Fault]) -> None:
        self._data, self.faults = data, faults

    def read(self) -> Routes | None:
        if not isinstance(self._data, Mapping):
            self._fault((), f"must hold {', '.join(_SECTIONS)}")
            return None
        for name in self._data:
            if name not in _SECTIONS:
                self._fault((name,), unknown(str(name), _SECTIONS))
        declared = self._section("services", must=True)
        # None for one that is declared but faulty: no second fault is made of that.
        services = {name: self._made(Service, ("services", name), fields) for name, fields in declared.items()}
        shared = self._shared()
        everywhere = self._names(("global",), self._data.get("global", []))
        routes = {
            name: route
            for name, fields in self._section("routes", must=True).items()
            if (route := self._route(name, fields, services, shared, everywhere)) is not None
        }
        self._paths_are_apart(routes)
        for name, route in routes.items():
            for text in route_rules.faults_of(route):
                self._fault(("routes", name, "plugins"), text)
        return Routes(services={name: one for name, one in services.items() if one is not None}, routes=routes)

    def _shared(self) -> dict[str, Mapping[str, Any]]:
        """The shared settings as they are written; a route's are checked together with its own."""
        shared: dict[str, Mapping[str, Any]] = {}
        for name, fields in self._section("plugins", must=False).items():
            if name not in PLUGINS:
                self._fault(("plugins", name), unknown(str(name), PLUGINS, "plugin"))
            elif self._made(PLUGINS[name], ("plugins", name), fields) is not None:
                shared[name] = fields
        return shared

    def _route(
        self,
        name: str,
        fields: Any,
        services: Mapping[str, Service | None],
        shared: Mapping[str, Mapping[str, Any]],
        everywhere: list[str],
    ) -> Route | None:
        at: Place = ("routes", name)
        if not isinstance(fields, Mapping):
            self._fault(at, f"must hold fields, not {fields!r}")
            return None
        before = len(self.faults)
        for field in fields:
            if field not in _FIELDS:
                self._fault((*at, field), unknown(str(field), _FIELDS))
        if _NAME.fullmatch(name) is None:
            self._fault(at, "must be lower-case letters, digits and hyphens, for limits are counted under it")
        self._place(at, fields, services)
        own = self._names((*at, "plugins"), fields.get("plugins", []))
        plugins = self._plugins(at, [*everywhere, *own], shared, fields.get("overrides", {}))
        timeout_s = fields.get("timeout_s")
        if timeout_s is not None:
            self._made(Service, at, {"timeout_s": timeout_s})
        if len(self.faults) > before:
            return None
        service = services[fields["service"]]
        if service is None:
            return None
        if timeout_s is None:
            timeout_s = service.timeout_s
        return Route(name=name, path=fields["path"], service=fields["service"], timeout_s=timeout_s, plugins=plugins)

    def _place(self, at: Place, fields: Mapping[str, Any], services: Mapping[str, Service | None]) -> None:
        path, service = fields.get("path"), fields.get("service")
        if not isinstance(path, str) or _PATH.fullmatch(path) is None:
            self._fault((*at, "path"), f"must begin with a slash and not end with one, such as /api/v1/x, not {path!r}")
        if service is None:
            self._fault((*at, "service"), "is missing; name the service that serves the route")
        elif not isinstance(service, str) or service not in services:
            known = f"{unknown(str(service), services, 'service')}, or" if services else "there is no such service;"
            self._fault((*at, "service"), f"{known} declare it in services")

    def _plugins(
        self, at: Place, named: list[str], shared: Mapping[str, Mapping[str, Any]], overrides: Any
    ) -> dict[str, Options]:
        if not isinstance(overrides, Mapping):
            self._fault((*at, "overrides"), f"must hold plugins with their settings, not {overrides!r}")
            return {}
        for name in overrides:
            if name not in named:
                text = f"the route has no such plugin; add it to the route's plugins, or remove this: {name}"
                self._fault((*at, "overrides", name), text)
        plugins: dict[str, Options] = {}
        for name, kind in PLUGINS.items():
            if name not in named:
                continue
            given = overrides.get(name, {})
            if not isinstance(given, Mapping):
                self._fault((*at, "overrides", name), f"must hold fields, not {given!r}")
                continue
            place = (*at, "overrides", name) if name in overrides else (*at, "plugins")
            made = self._made(kind, place, {**shared.get(name, {}), **given})
            if made is not None:
                plugins[name] = made
        return plugins

    def _names(self, at: Place, given: Any) -> list[str]:
        if not isinstance(given, list):
            self._fault(at, f"must be a list of plugins, not {given!r}")
            return []
        for position, name in enumerate(given):
            if not isinstance(name, str) or name not in PLUGINS:
                self._fault((*at, position), f"{name}: {unknown(str(name), PLUGINS, 'plugin')}")
            elif name in given[:position]:
                self._fault((*at, position), f"{name} stands a second time; remove one of the two")
        return [name for name in given if isinstance(name, str) and name in PLUGINS]

    def _paths_are_apart(self, routes: Mapping[str, Route]) -> None:
        seen: dict[str, str] = {}
        for name, route in routes.items():
            if route.path in seen:
                self._fault(("routes", name, "path"), f"is that of {seen[route.path]} too; give each route its own")
            seen.setdefault(route.path, name)

    def _section(self, name: str, *, must: bool) -> Mapping[str, Any]:
        given = self._data.get(name)
        if given is None and not must:
            return {}
        if not isinstance(given, Mapping) or (must and not given):
            self._fault((name,), "must be there, and hold one entry for each name")
            return {}
        return given

    def _made(self, kind: type[_Kind], at: Place, fields: Any) -> _Kind | None:
        """The record of these fields; their faults are noted."""
        if not isinstance(fields, Mapping):
            self._fault(at, f"must hold fields, not {fields!r}")
            return None
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            for one in errors_of(error):
                self._fault((*at, *one["loc"]), text_of(one, _known_at(kind, one["loc"])))
            return None

    def _fault(self, at: Place, text: str) -> None:
        self.faults.append(Fault(at, text))


def _known_at(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The fields that could have been meant at a place within a record."""
    fields = kind.model_fields
    for part in location[:-1]:
        below = fields[str(part)].annotation if str(part) in fields else None
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            break
        fields = below.model_fields
    return [one.alias or name for name, one in fields.items()]
