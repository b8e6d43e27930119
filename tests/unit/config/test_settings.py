import base64
from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load_settings, without_effect

KEY = base64.b64encode(bytes(32)).decode()


def faults(environment: dict[str, str], *, demo_key: str | None = KEY) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment, demo_key=demo_key)
    return caught.value.faults


def test_the_demo_needs_no_settings_at_all() -> None:
    settings = load_settings({}, demo_key=KEY)

    assert settings.http.port == 8000
    assert settings.data_dir == Path(".spaza")
    assert settings.whatsapp.graph_url == "http://127.0.0.1:8400"


def test_the_demo_follows_the_sandbox_to_another_port() -> None:
    settings = load_settings({"SPAZA_SANDBOX__PORT": "9400"}, demo_key=KEY)

    assert settings.whatsapp.graph_url == settings.paystack.url == settings.ozow.url == "http://127.0.0.1:9400"


def test_what_is_given_wins_over_the_demo() -> None:
    settings = load_settings({"SPAZA_WHATSAPP__APP_SECRET": "mine"}, demo_key=KEY)

    assert settings.whatsapp.app_secret.get_secret_value() == "mine"
    assert settings.whatsapp.verify_token.get_secret_value() == "sandbox-verify-token"


def test_without_the_demo_each_missing_secret_is_named() -> None:
    text = "\n".join(faults({}, demo_key=None))

    for name in (
        "SPAZA_WHATSAPP__APP_SECRET",
        "SPAZA_WHATSAPP__VERIFY_TOKEN",
        "SPAZA_WHATSAPP__GRAPH_URL",
        "SPAZA_ADMIN__TOKEN",
        "SPAZA_SECRETS__KEY",
    ):
        assert name in text
    assert "GRAPH_VERSION" not in text


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    assert faults({"SPAZA_HTP__PORT": "1"}) == ("SPAZA_HTP: there is no such setting; did you mean SPAZA_HTTP__PORT?",)
    assert "SPAZA_HTTP__PORTS" in faults({"SPAZA_HTTP__PORTS": "1"})[0]


def test_a_value_of_the_wrong_kind_names_its_variable() -> None:
    assert faults({"SPAZA_HTTP__PORT": "http"})[0].startswith("SPAZA_HTTP__PORT: ")
    assert faults({"SPAZA_HTTP__PORT": "70000"})[0].startswith("SPAZA_HTTP__PORT: ")


@pytest.mark.parametrize("key", ["not base64!", base64.b64encode(bytes(16)).decode(), "", "é"])
def test_a_sealing_key_of_another_size_is_refused_with_the_remedy(key: str) -> None:
    [fault] = faults({"SPAZA_SECRETS__KEY": key})

    assert fault.startswith("SPAZA_SECRETS__KEY: ")
    assert "openssl rand -base64 32" in fault


def test_an_empty_secret_is_refused() -> None:
    assert faults({"SPAZA_WHATSAPP__APP_SECRET": ""}) == (
        "SPAZA_WHATSAPP__APP_SECRET: must not be empty; several secrets have commas between",
    )


def test_a_group_cannot_be_a_value_too() -> None:
    assert "SPAZA_HTTP" in faults({"SPAZA_HTTP": "8000", "SPAZA_HTTP__PORT": "8000"})[0]


def test_what_is_a_value_has_nothing_below_it_in_whatever_order_they_are_given() -> None:
    both = {"SPAZA_HTTP__PORT": "8000", "SPAZA_HTTP__PORT__X": "1"}

    for given in (both, dict(reversed(both.items()))):
        assert faults(given) == ("SPAZA_HTTP__PORT__X: SPAZA_HTTP__PORT is set as a value too; remove one of them",)


def test_a_group_that_is_given_a_value_names_what_can_be_set() -> None:
    assert faults({"SPAZA_DASHBOARD": "5"}) == (
        "SPAZA_DASHBOARD: is no setting but a group of them; set SPAZA_DASHBOARD__PORT",
    )


def test_a_log_level_may_be_written_small_and_a_wrong_one_is_told_the_right_ones() -> None:
    assert load_settings({"SPAZA_LOG__LEVEL": "warning"}, demo_key=KEY).log.level == "WARNING"
    [fault] = faults({"SPAZA_LOG__LEVEL": "loud"})
    assert "SPAZA_LOG__LEVEL: " in fault
    assert "'WARNING'" in fault


def test_requests_are_logged_of_those_who_are_known_unless_it_is_set_otherwise() -> None:
    assert load_settings({}, demo_key=KEY).log.requests == "known"
    assert load_settings({"SPAZA_LOG__REQUESTS": "none"}, demo_key=KEY).log.requests == "none"
    [fault] = faults({"SPAZA_LOG__REQUESTS": "some"})
    assert "SPAZA_LOG__REQUESTS: " in fault
    assert "'all'" in fault


@pytest.mark.parametrize("name", ["SPAZA_DATA_DIR", "SPAZA_HTTP__HOST"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_folder_or_host_is_refused_and_not_taken_for_wherever_we_are(name: str, empty: str) -> None:
    assert faults({name: empty}) == (f"{name}: must not be empty; unset it to have the default",)


@pytest.mark.parametrize("url", ["http://", "https:///v1", "http://host:port", "http://[::1", "http://a b"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    [fault] = faults({"SPAZA_WHATSAPP__GRAPH_URL": url})

    assert fault.startswith("SPAZA_WHATSAPP__GRAPH_URL: must name a host")


def test_what_nothing_uses_yet_is_known_for_it() -> None:
    given = {"SPAZA_OZOW__URL": "http://y", "SPAZA_HTTP__PORT": "1", "SPAZA_PAYSTACK__URL": "http://x", "PATH": ""}

    assert without_effect(given) == ["SPAZA_OZOW__URL", "SPAZA_PAYSTACK__URL"]


def test_secrets_are_masked_when_settings_are_printed() -> None:
    shown = repr(load_settings({"SPAZA_POSTGRES__DSN": "postgresql://u:hush@h/d"}, demo_key=KEY))

    assert "hush" not in shown
    assert "sandbox-app-secret" not in shown
    assert KEY not in shown


def test_settings_cannot_be_changed() -> None:
    settings = load_settings({}, demo_key=KEY)

    with pytest.raises(ValueError, match="frozen"):
        settings.http = settings.http


def test_resolved_settings_name_the_servers() -> None:
    settings: Settings = load_settings({}, demo_key=KEY).resolved(postgres_dsn="postgresql://x", redis_url="redis://y")

    assert settings.postgres.dsn is not None
    assert settings.postgres.dsn.get_secret_value() == "postgresql://x"
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://y"


def test_several_other_keys_may_open_and_a_wrong_one_is_named() -> None:
    other = base64.b64encode(b"o" * 32).decode()

    settings = load_settings({"SPAZA_SECRETS__OTHER_KEYS": f"{KEY}, {other},"}, demo_key=KEY)

    assert [key.get_secret_value() for key in settings.secrets.other_keys] == [KEY, other]
    assert load_settings({}, demo_key=KEY).secrets.other_keys == ()
    assert other not in repr(settings)
    [fault] = faults({"SPAZA_SECRETS__OTHER_KEYS": f"{KEY},short"})
    assert fault.startswith("SPAZA_SECRETS__OTHER_KEYS: must be")


def test_several_app_secrets_have_commas_between_and_each_holds() -> None:
    settings = load_settings({"SPAZA_WHATSAPP__APP_SECRET": "new, old,"}, demo_key=KEY)

    assert settings.whatsapp.app_secrets == (b"new", b"old")
    assert faults({"SPAZA_WHATSAPP__APP_SECRET": " , "})
