"""Kong's cases for ip-restriction.

Follows Kong, spec/03-plugins/17-ip-restriction/01-schema_spec.lua and 02-access_spec.lua.
"""

from typing import Any

import pytest

from config.plugins import IpRestrictionOptions
from gateway.chain import Parts, chained
from tests.gateway import Watch
from tests.unit.gateway.bench import Answered, App, answered, route


async def call(options: dict[str, Any], client: str = "192.0.2.7", *forwarded: str, watch: Any = None) -> Answered:
    restricted = route({"ip-restriction": IpRestrictionOptions.model_validate(options)})
    chain = chained(App(), restricted, Parts(watch or Watch()))
    return await answered(chain, client=client, headers=[("X-Forwarded-For", one) for one in forwarded])


@pytest.mark.parametrize(
    ("options", "client", "status"),
    [
        ({"deny": ["192.0.2.7"]}, "192.0.2.7", 403),
        ({"deny": ["192.0.2.8", "192.0.2.9"]}, "192.0.2.7", 200),
        ({"deny": ["192.0.2.0/24"]}, "192.0.2.7", 403),
        ({"allow": ["192.0.2.7"]}, "192.0.2.7", 200),
        ({"allow": ["192.0.2.8"]}, "192.0.2.7", 403),
        ({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.7"]}, "192.0.2.7", 403),
        ({"allow": ["192.0.2.7"], "deny": ["192.0.2.0/24"]}, "192.0.2.7", 403),
        ({"deny": ["0.0.0.0/0"]}, "192.0.2.7", 403),
        ({"deny": ["2001:db8::/32"]}, "2001:db8::7", 403),
        ({"deny": ["::/0"]}, "2001:db8::7", 403),
        ({"allow": ["2001:db8::7"]}, "2001:db8::7", 200),
        ({"allow": ["2001:db8::8"]}, "2001:db8::7", 403),
        ({"deny": ["192.0.2.7"]}, "::ffff:192.0.2.7", 403),
        ({"deny": ["192.0.2.7"]}, "2001:db8::7", 200),
        ({"deny": ["192.0.2.7"]}, "no address", 403),
    ],
)
async def test_addresses(options: dict[str, Any], client: str, status: int) -> None:
    assert (await call(options, client)).status == status


async def test_the_refusal_is_kongs_or_the_one_of_the_options() -> None:
    usual = await call({"deny": ["192.0.2.7"]})
    own = await call({"deny": ["192.0.2.7"], "status": 401, "message": "Forbidden"})

    assert (usual.status, usual.json()["message"]) == (403, "IP address not allowed")
    assert (own.status, own.json()["message"]) == (401, "Forbidden")


@pytest.mark.parametrize(
    ("client", "forwarded", "status"),
    [
        ("127.0.0.1", (), 403),
        ("127.0.0.1", ("192.0.2.7",), 200),
        ("127.0.0.1", ("192.0.2.8",), 403),
        ("127.0.0.1", ("192.0.2.7, 192.0.2.8",), 403),
        ("127.0.0.1", ("192.0.2.8, 192.0.2.7",), 200),
        ("127.0.0.1", ("192.0.2.8", "192.0.2.7, 127.0.0.2"), 200),
        ("127.0.0.1", ("192.0.2.7, garbage",), 403),
        ("192.0.2.8", ("192.0.2.7",), 403),
        ("192.0.2.7", ("192.0.2.8",), 200),
    ],
)
async def test_behind_a_proxy_that_is_trusted_the_caller_is_the_last_that_it_does_not_know(
    client: str, forwarded: tuple[str, ...], status: int
) -> None:
    assert (await call({"allow": ["192.0.2.7"]}, client, *forwarded)).status == status


async def test_in_shadow_it_is_counted_and_passes() -> None:
    watch = Watch()

    assert (await call({"deny": ["192.0.2.7"], "mode": "shadow"}, watch=watch)).status == 200
    assert watch.refusals == [("things", "ip-restriction", 403, False)]
