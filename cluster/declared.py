"""The declared files, read before anything is started: a slip in them is told at once."""

from collections.abc import Sequence

from actors.rate_limiter.decision import Limits
from cluster.errors import DeclaredError
from config import routes, topology
from config.route_rules import open_in_shadow
from config.routes_file import load_routes
from config.settings import Settings
from config.topology_file import load_topology
from gateway.limited_routes import limited_routes


def check_declared(settings: Settings) -> Sequence[str]:
    """Read ``routes.yaml`` and ``queues.yaml`` as the node will.

    Returns:
        what can be used, and is nobody's wish but for a while.

    Raises:
        DeclaredError: something in them cannot be used.
    """
    faults: list[str] = []
    warnings: Sequence[str] = ()
    try:
        declared = load_routes(routes.DECLARED)
        limited_routes(declared, Limits(settings.limits.minute, settings.limits.hour))
        warnings = open_in_shadow(declared)
    except routes.RoutesError as error:
        faults += error.faults
    try:
        load_topology(topology.DECLARED)
    except topology.TopologyError as error:
        faults += error.faults
    if faults:
        raise DeclaredError(tuple(faults))
    return warnings
