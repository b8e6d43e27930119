"""What is refused at start cannot leave a route open later."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.plugins import PLUGINS, RateLimitingOptions, RequestSizeLimitingOptions
from config.route_rules import open_in_shadow
from config.routes import DECLARED, RoutesError
from config.routes_file import load_routes

WHOLE = """\
services:
  shop: {timeout_s: 5}
plugins:
  rate-limiting: {minute: 10, hour: 100}
global: [correlation-id]
routes:
  things:
    path: /things
    service: shop
    plugins: [rate-limiting, jwt-auth]
    overrides:
      rate-limiting: {minute: 20}
"""


def text_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(RoutesError) as refused:
        load_routes(text_file(tmp_path, text))
    return refused.value.faults


def test_the_routes_of_the_platform_are_declared_with_their_plugins() -> None:
    routes = load_routes().routes

    assert {name: (one.path, one.service, one.timeout_s) for name, one in routes.items()} == {
        "whatsapp": ("/api/v1/webhooks/whatsapp", "whatsapp-service", 3.0),
        "products": ("/api/v1/products", "catalog-service", 30.0),
        "orders": ("/api/v1/orders", "order-service", 30.0),
        "payments": ("/api/v1/payments", "payment-service", 30.0),
        "paystack": ("/api/v1/webhooks/paystack", "payment-service", 30.0),
        "ozow": ("/api/v1/webhooks/ozow", "payment-service", 30.0),
        "usage": ("/api/v1/usage", "usage-service", 5.0),
        "tenants": ("/api/v1/tenants", "tenant-service", 900.0),
        "mailboxes": ("/api/v1/mailboxes", "ops-service", 900.0),
        "front": ("/", "ops-service", 10.0),
    }
    for name, wanted in {
        "whatsapp": {"hmac-auth", "rate-limiting", "correlation-id"},
        "products": {"jwt-auth", "rate-limiting", "request-transformer", "request-validator"},
        "orders": {"jwt-auth", "rate-limiting", "response-transformer"},
        "payments": {"jwt-auth", "rate-limiting", "request-validator"},
    }.items():
        assert wanted <= set(routes[name].plugins), name
    unlimited = {"paystack", "ozow", "tenants", "mailboxes", "front"}
    assert {name for name, one in routes.items() if "rate-limiting" not in one.plugins} == unlimited
    assert all("correlation-id" in one.plugins for one in routes.values())


def test_a_routes_settings_go_before_the_shared_ones_and_the_rest_stays(tmp_path: Path) -> None:
    routes = load_routes(text_file(tmp_path, WHOLE))
    route = routes.routes["things"]

    assert list(route.plugins) == ["correlation-id", "jwt-auth", "rate-limiting"]
    assert route.plugins["rate-limiting"] == RateLimitingOptions(minute=20, hour=100)
    assert route.timeout_s == 5.0
    assert route.options("request-size-limiting", RequestSizeLimitingOptions()).limit_bytes == 1024 * 1024
    assert pickle.loads(pickle.dumps(routes)) == routes
    assert routes.of_service("shop") == (route,)
    assert routes.named("things", "shop") is route


@pytest.mark.parametrize(("name", "service"), [("missing", "shop"), ("things", "other")])
def test_who_serves_a_route_is_told_when_it_is_not_declared(tmp_path: Path, name: str, service: str) -> None:
    with pytest.raises(RoutesError, match=f"routes.{name}"):
        load_routes(text_file(tmp_path, WHOLE)).named(name, service)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("jwt-auth]", "jwt-aut]", "routes.yaml:10: routes.things.plugins.1: jwt-aut: there is no such plugin; did you"),
        ("service: shop", "service: shopp", "9: routes.things.service: there is no such service; did you mean shop?"),
        ("    service: shop\n", "", "routes.things.service: is missing"),
        ("path: /things", "path: things", "8: routes.things.path: must begin with a slash"),
        ("path: /things", "path: /things/", "8: routes.things.path: must begin with a slash"),
        ("minute: 20", "minute: 200", "12: routes.things.overrides.rate-limiting: hour must be at least minute"),
        ("minute: 20", "minit: 20", "minit: there is no such field; did you mean minute?"),
        ("minute: 20", "mode: off", "12: routes.things.overrides.rate-limiting.mode: must be 'enforce'"),
        ("{minute: 10, hour: 100}", "{minute: 0}", "4: plugins.rate-limiting.minute: must be greater than"),
        ("  rate-limiting: {minute: 10, hour: 100}", "  rate: {}", "4: plugins.rate: there is no such plugin"),
        ("      rate-limiting: {minute: 20}", "      cors: {}", "the route has no such plugin; add it"),
        ("global: [correlation-id]", "global: correlation-id", "5: global: must be a list of plugins"),
        (
            "  rate-limiting: {minute: 10, hour: 100}",
            "  correlation-id: {header_name: Content-Length}",
            "4: plugins.correlation-id.header_name: has Content-Length, which is the server's own",
        ),
        ("rate-limiting, jwt-auth", "jwt-auth, jwt-auth", "jwt-auth stands a second time"),
        ("timeout_s: 5", "timeout_s: 0", "2: services.shop.timeout_s: must be greater than 0"),
        ("    service: shop\n", "    service: shop\n    timeout_s: -1\n", "10: routes.things.timeout_s: must be"),
        ("routes:\n", "route:\n", "6: route: there is no such field; did you mean routes?"),
        ("  things:\n", "  Things:\n", "7: routes.Things: must be lower-case letters"),
        (
            "rate-limiting, jwt-auth",
            "{a: b}, rate-limiting",
            "10: routes.things.plugins.0: {'a': 'b'}: there is no",
        ),
        ("rate-limiting, jwt-auth", '"x\\r\\ny"', "10: routes.things.plugins.0: x\\r\\ny: there is no such plugin"),
        ("service: shop", "service: [shop]", "9: routes.things.service: there is no such service"),
        ("path: /things", "path: /a/../b", "8: routes.things.path: must begin with a slash"),
        ("path: /things", "path: /.", "8: routes.things.path: must begin with a slash"),
        ("minute: 20", 'minute: "20"', "12: routes.things.overrides.rate-limiting.minute: must be a whole number, not"),
        ("minute: 20", "minute: true", "12: routes.things.overrides.rate-limiting.minute: must be a whole number, not"),
        ("minute: 20", "minute: 20.0", "12: routes.things.overrides.rate-limiting.minute: must be a whole number, not"),
        ("minute: 20", 'hide_client_headers: "no"', "hide_client_headers: must be true or false, not"),
        ("timeout_s: 5", 'timeout_s: "5"', "2: services.shop.timeout_s: must be a number, not"),
        ("timeout_s: 5", "timeout_s: true", "2: services.shop.timeout_s: must be a number, not"),
        ("timeout_s: 5", "timeout_s: .inf", "2: services.shop.timeout_s: must be a finite number"),
        ("rate-limiting, jwt-auth", "rate-limiting", "10: routes.things.plugins: rate-limiting needs jwt-auth, for"),
        ("minute: 20", "on_limit: defer", "10: routes.things.plugins: rate-limiting needs on_limit: reject, for"),
    ],
)
def test_a_fault_is_refused_with_its_line_its_field_and_what_to_do(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    assert old in WHOLE

    found = faults(tmp_path, WHOLE.replace(old, new))

    assert any(fault in one for one in found), found
    assert all(one.startswith("routes.yaml:") for one in found)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = WHOLE.replace("/things", "things").replace("minute: 20", "minute: x").replace("jwt-auth", "jwt")

    assert len(faults(tmp_path, text)) == 3


def test_two_routes_do_not_share_a_path(tmp_path: Path) -> None:
    text = WHOLE + "  others:\n    path: /things\n    service: shop\n"

    assert "routes.yaml:14: routes.others.path: is that of things too; give each route its own" in faults(
        tmp_path, text
    )


@pytest.mark.parametrize("text", ["", "[]", "a: [", "services: {}\nroutes: {}\n"])
def test_what_is_no_declaration_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(RoutesError, match="is the path right"):
        load_routes(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("plugin", "fields", "fault"),
    [
        ("jwt-auth", {"claims_to_verify": ["exp"]}, "must have tenant_id"),
        ("jwt-auth", {"claims_to_verify": ["tenant_id"], "maximum_expiration": 60}, "wants exp among"),
        ("jwt-auth", {"header_names": []}, "names no place for the token"),
        ("ip-restriction", {}, "must have allow or deny"),
        ("ip-restriction", {"allow": ["10.0.0.0/33"]}, "ip-restriction.allow.0: must be an address or a network, in"),
        ("ip-restriction", {"allow": ["10.0.0.1/8"]}, "10.0.0.1/8 has bits set beyond its prefix; write 10.0.0.0/8"),
        ("ip-restriction", {"allow": [1]}, "ip-restriction.allow.0: must be an address or a network, in quotes"),
        ("request-transformer", {"add": {"headers": ["x:a\r\ny:b"]}}, "no header can hold; leave '\\r' out"),
        ("request-transformer", {"add": {"headers": ["x y:a"]}}, "has 'x y', which is no name of a header"),
        ("request-transformer", {"add": {"headers": ["x :a"]}}, "has blanks around the name 'x'"),
        ("request-transformer", {"add": {"headers": ["x: a"]}}, "has blanks around the value 'a'"),
        (
            "request-transformer",
            {"replace": {"headers": ["Content-Length:0"]}},
            "Content-Length, which is the serv",
        ),
        ("request-transformer", {"remove": {"headers": ["transfer-encoding"]}}, "which is the server's own"),
        ("request-transformer", {"rename": {"headers": ["x:connection"]}}, "which is the server's own"),
        ("request-transformer", {"rename": {"body": ["x:"]}}, "must be an old name and a new one"),
        ("response-transformer", {"append": {"headers": ["Connection:close"]}}, "which is the server's own"),
        ("response-transformer", {"add": {"json": ["a:many"], "json_types": ["number"]}}, "'many' is none; write a nu"),
        ("response-transformer", {"add": {"json": ["a:1_0"], "json_types": ["number"]}}, "'1_0' is none; write a num"),
        ("response-transformer", {"add": {"json": ["a:1" + "0" * 20], "json_types": ["number"]}}, "is none; write a n"),
        ("response-transformer", {"add": {"json": ["a:1e999"], "json_types": ["number"]}}, "'1e999' is none; write a "),
        ("response-transformer", {"add": {"json": ["a:True"], "json_types": ["boolean"]}}, "write true or false"),
        ("request-transformer", {"add": {"headers": ["x"]}}, "must be a name and a value"),
        ("response-transformer", {"add": {"jsn": ["a:1"]}}, "did you mean json?"),
        ("response-transformer", {"add": {"json": ["a:1"], "json_types": ["number", "number"]}}, "more entries than"),
    ],
)
def test_options_that_would_not_protect_are_refused(
    tmp_path: Path, plugin: str, fields: dict[str, Any], fault: str
) -> None:
    declared = yaml.safe_load(WHOLE)
    declared["routes"]["things"]["plugins"] = [plugin]
    declared["routes"]["things"]["overrides"] = {plugin: fields}

    found = faults(tmp_path, yaml.safe_dump(declared))

    assert any(fault in one for one in found), found


def test_the_file_tells_every_plugin_in_the_order_in_which_they_run() -> None:
    told = DECLARED.read_text().replace("\n#", " ")
    at = told.index("They run in Kong's order")

    places = [told.index(name, at) for name in PLUGINS]

    assert places == sorted(places)


def test_a_faulty_service_is_one_fault_not_one_for_each_of_its_routes(tmp_path: Path) -> None:
    assert len(faults(tmp_path, WHOLE.replace("timeout_s: 5", "timeout_s: 0"))) == 1


def test_where_no_service_is_declared_none_is_offered(tmp_path: Path) -> None:
    found = faults(tmp_path, WHOLE.replace("  shop: {timeout_s: 5}", "  {}"))

    assert "routes.yaml:9: routes.things.service: there is no such service; declare it in services" in found


@pytest.mark.parametrize(
    ("route", "guard"),
    [
        ("whatsapp", "hmac-auth"),
        ("products", "jwt-auth"),
        ("orders", "jwt-auth"),
        ("payments", "jwt-auth"),
        ("usage", "jwt-auth"),
        ("tenants", "admin-auth"),
        ("mailboxes", "admin-auth"),
    ],
)
def test_a_route_does_not_lose_its_guard(tmp_path: Path, route: str, guard: str) -> None:
    declared = yaml.safe_load(DECLARED.read_text())
    declared["routes"][route]["plugins"].remove(guard)

    found = faults(tmp_path, yaml.safe_dump(declared))

    assert [one.partition(": ")[2] for one in found if f"routes.{route}.plugins: {guard} is missing" in one]
    assert found[0].endswith(f"; add {guard}")


@pytest.mark.parametrize("methods", [[], ["PUT"]])
def test_posts_that_nobody_signed_are_not_let_in_by_their_method(tmp_path: Path, methods: list[str]) -> None:
    declared = yaml.safe_load(DECLARED.read_text())
    declared["routes"]["whatsapp"]["overrides"]["hmac-auth"] = {"methods": methods}

    assert "add POST to its methods" in faults(tmp_path, yaml.safe_dump(declared))[0]


@pytest.mark.parametrize(("route", "guard"), [("whatsapp", "hmac-auth"), ("products", "jwt-auth")])
def test_a_guard_in_shadow_is_a_wish_that_is_told_at_start(tmp_path: Path, route: str, guard: str) -> None:
    declared = yaml.safe_load(DECLARED.read_text())
    declared["routes"][route].setdefault("overrides", {})[guard] = {"mode": "shadow"}

    (told,) = open_in_shadow(load_routes(text_file(tmp_path, yaml.safe_dump(declared))))

    assert told.startswith(f"Route {route} is open: its {guard} is in shadow, and ")
    assert open_in_shadow(load_routes()) == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("services: " + "[" * 5_000, "routes.yaml: is nested too deep"),
        ("services: {}\na: \0\n", "routes.yaml:2: this is no YAML: the character '\\x00' has no place in one"),
    ],
)
def test_what_no_parser_takes_is_told_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    (told,) = faults(tmp_path, text)

    assert told.startswith(fault)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_bytes(b"services: {}\n# \xff\n")

    with pytest.raises(RoutesError, match=r"routes\.yaml:2: this is no YAML"):
        load_routes(path)
