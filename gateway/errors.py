"""The errors of the gateway.

SpazaError
    GatewayError
        DeadlineExceededError   the route's time is over, or too short for what would have to be done
        DisconnectedError       the caller went away before the whole request was there
        CrowdedError            so many requests of one tenant are under way that do not end
        UnidentifiedError       what belongs to a tenant was asked by nobody
        BadTokenError           a text that is no JSON Web Token (tokens.py)
        BadKeyError             a credential with which nothing can be verified (tokens.py)
        RefusedError            what a handler refuses a request with (api.py)
        UnbuiltChainError       a route asks for a plugin, and what that stands on was not given
"""

from kernel.errors import SpazaError


class GatewayError(SpazaError):
    """Something about the chain in front of a route."""

    code = "gateway"


class DeadlineExceededError(GatewayError):
    """The time of a request is over. Whether anything was done is not known; repeat it under its idempotency key."""

    code = "deadline_exceeded"
    http_status = 504

    def __init__(self, route: str) -> None:
        super().__init__(route)
        self.route = route

    def __str__(self) -> str:
        return "not answered in time; the request may have been carried out"


class DisconnectedError(GatewayError):
    """Nobody is left to be answered."""

    code = "gateway_disconnected"
    http_status = 400

    def __init__(self, route: str) -> None:
        super().__init__(route)
        self.route = route

    def __str__(self) -> str:
        return f"the caller of {self.route} went away before its request was whole"


class CrowdedError(GatewayError):
    """Requests of this tenant do not end, and one more would only stand in others' way. It may have been begun."""

    code = "crowded"
    http_status = 503
    retryable = True

    def __init__(self, route: str) -> None:
        super().__init__(route)
        self.route = route

    def __str__(self) -> str:
        return "your requests under way do not end; this one may have been carried out, try again"


class UnidentifiedError(GatewayError):
    """A tenant's business, and nobody knows whose."""

    code = "unidentified"
    http_status = 401

    def __init__(self, route: str) -> None:
        super().__init__(route)
        self.route = route

    def __str__(self) -> str:
        return "Unauthorized"


class UnbuiltChainError(GatewayError):
    """A fault of the composition root: a route would be served without one of its policies."""

    code = "unbuilt_chain"

    def __init__(self, route: str, plugin: str, missing: str) -> None:
        super().__init__(route, plugin, missing)
        self.route, self.plugin, self.missing = route, plugin, missing

    def __str__(self) -> str:
        return f"route {self.route} has {self.plugin}, which needs {self.missing}; give it in the composition root"
