"""The Serve class of the catalogue. Plain: ``wiring`` makes a deployment of it."""

from collections.abc import Callable

from gateway.asgi import ASGIApp


class Products:
    """Serves merchants' programs over HTTP. Any number of replicas; none holds anything that a crash could lose."""

    def __init__(self, build: Callable[[], ASGIApp]) -> None:
        """Build the application in the replica's own process, with its handles, which are of one process."""
        self._app = build()

    async def ping(self) -> None:
        """Answer, for who wants to know by its handle whether products are served."""

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Serve calls for each request."""
        return self._app
