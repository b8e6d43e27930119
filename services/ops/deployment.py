"""The Serve class of the front and the admin API. Plain: ``wiring`` makes a deployment of it."""

from collections.abc import Callable

from services.ops.front import FrontApp


class Ops:
    """Serves operators, health checks and newcomers over HTTP. Holds nothing that a crash could lose."""

    def __init__(self, build: Callable[[], FrontApp]) -> None:
        """Build the application in the replica's own process, with its handles, which are of one process."""
        self._app = build()

    def __serve_build_asgi_app__(self) -> FrontApp:
        """What Serve calls for each request."""
        return self._app
