"""The routes of the gateway as ``routes.yaml`` declares them, typed and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from config.option_types import Seconds
from config.plugins import Options
from kernel.errors import SpazaError

DECLARED = Path(__file__).with_name("routes.yaml")
_Kind = TypeVar("_Kind", bound=Options)


class RoutesError(SpazaError):
    """A declaration that cannot be used: one line for each fault."""

    code = "routes"

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class Service(BaseModel):
    """What serves routes.

    Attributes:
        timeout_s: until an answer has to have begun, from when the request is there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_s: Seconds = Field(default=30.0, gt=0, le=3600)


class Route(BaseModel):
    """One route.

    Attributes:
        name: as declared; limits are counted under it.
        path: its prefix, without a slash at its end; ``/`` takes what no other has.
        service: who serves it.
        timeout_s: its own, or its service's.
        plugins: by name, in Kong's order, with the settings that hold for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str
    service: str
    timeout_s: float
    plugins: Mapping[str, Options]

    def options(self, plugin: str, otherwise: _Kind) -> _Kind:
        """The settings of a plugin, or those that hold where the route does not name it."""
        given = self.plugins.get(plugin, otherwise)
        assert isinstance(given, type(otherwise))
        return given


class Routes(BaseModel):
    """All routes by name. Frozen; pickles, and so goes to every replica as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: Mapping[str, Service]
    routes: Mapping[str, Route]

    def named(self, name: str, service: str) -> Route:
        """The route of this name, which a part of Spaza serves.

        Raises:
            RoutesError: it is not declared, or for another service.
        """
        route = self.routes.get(name)
        if route is None:
            raise RoutesError((f"routes.{name}: is missing; {service} serves it, declare it",))
        if route.service != service:
            raise RoutesError((f"routes.{name}.service: is served by {service}, not by {route.service}; change it",))
        return route

    def of_service(self, service: str) -> tuple[Route, ...]:
        """What a service serves, in the order of the file."""
        return tuple(route for route in self.routes.values() if route.service == service)
