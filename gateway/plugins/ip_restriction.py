"""ip-restriction: from where callers may come.

Behind proxies the caller's address is the last one of ``X-Forwarded-For`` that is not a trusted proxy's; the header is
believed of trusted proxies alone. Kong has those in its ``trusted_ips`` for all routes.

Source: Kong, kong/plugins/ip-restriction/handler.lua (priority 990).
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from config.option_types import Network
from config.plugins import IpRestrictionOptions
from gateway.asgi import ASGIApp, Receive, Scope, Send
from gateway.policy import Policy
from gateway.refusal import Refusal

_Address = IPv4Address | IPv6Address


class IpRestriction:
    """Refuses callers by their addresses; the deny list goes first. Who has none is refused.

    Args:
        app: the rest of the chain.
        options: see there.
        policy: carries out the refusals.
    """

    def __init__(self, app: ASGIApp, options: IpRestrictionOptions, policy: Policy) -> None:
        self._app, self._options, self._policy = app, options, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at one caller."""
        if not self._is_allowed(caller_of(scope, self._options.trusted_ips)):
            refusal = Refusal(self._options.status, self._options.message)
            if await self._policy.refuses(scope, send, refusal):
                return
        await self._app(scope, receive, send)

    def _is_allowed(self, address: _Address | None) -> bool:
        if address is None or _within(address, self._options.deny):
            return False
        return not self._options.allow or _within(address, self._options.allow)


def caller_of(scope: Scope, trusted: Sequence[Network]) -> _Address | None:
    """The caller's address; None where it is not known, or what a trusted proxy says is no address."""
    client = scope.get("client")
    address = _parsed(client[0]) if client else None
    for said in _forwarded(scope):
        if address is None or not _within(address, trusted):
            break
        address = _parsed(said)
    return address


def _forwarded(scope: Scope) -> Iterator[str]:
    """What stands in ``X-Forwarded-For``, the last first."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return reversed(",".join(lines).split(",")) if lines else iter(())


def _parsed(text: str) -> _Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _within(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address in one for one in networks)
