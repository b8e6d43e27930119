"""The way to an application's replicas past HTTP. All of its ``.remote()`` is here."""

from typing import Any

from ray import serve


class ReplicaHandle:
    """Finds a replica that answers.

    Args:
        app: under which it runs.
        deployment: its name there; it has a method ``ping``.
    """

    def __init__(self, app: str, deployment: str) -> None:
        self._handle: Any = serve.get_deployment_handle(deployment, app, _check_exists=False)

    async def ping(self) -> None:
        """Return when a replica has answered. While there is none it waits, so its caller gives it a time."""
        await self._handle.ping.remote()
