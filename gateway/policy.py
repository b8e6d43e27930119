"""How what a plugin decides is carried out: enforced, or in shadow, where it is counted and logged and lets pass."""

from gateway.answers import refuse_with
from gateway.asgi import Scope, Send
from gateway.context import context_of
from gateway.observer import GatewayObserver
from gateway.refusal import Refusal
from telemetry.log import get_logger
from telemetry.observing import failing_open

_log = get_logger("gateway")


class Policy:
    """Carries out the refusals of one plugin on one route.

    Args:
        route: its name.
        plugin: its name.
        observer: counts.
        enforced: whether a refusal is one, or in shadow.
    """

    def __init__(self, route: str, plugin: str, observer: GatewayObserver, *, enforced: bool) -> None:
        self.route, self.plugin, self.enforced = route, plugin, enforced
        self._observer = observer

    async def refuses(self, scope: Scope, send: Send, refusal: Refusal, *, always: bool = False) -> bool:
        """Answer with a refusal; in shadow, note it. Returns whether the request ends here.

        Args:
            scope: of the request.
            send: of the chain.
            refusal: what was decided.
            always: it cannot be let pass, in shadow either.
        """
        enforced = self.enforced or always
        with failing_open(_log):
            self._observer.refused(self.route, self.plugin, refusal.status, enforced=enforced)
        if not enforced:
            _log.info(
                "would_be_refused",
                route=self.route,
                plugin=self.plugin,
                status=refusal.status,
                reason=refusal.message,
                correlation_id=context_of(scope).correlation_id,
            )
            return False
        await refuse_with(scope, send, refusal)
        return True
