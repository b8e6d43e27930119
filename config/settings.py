"""Typed settings, read once in the composition root and passed on as values.

The environment names them ``SPAZA_<GROUP>__<NAME>``. Every value is checked, an unknown name is refused, and a
secret has no default outside the demo and is masked wherever it is printed.
"""

import base64
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from config.setting_types import (
    AppSecret,
    Folder,
    Host,
    HttpUrl,
    Level,
    LoggedRequests,
    Port,
    PostgresDsn,
    SealingKey,
    Secret,
    TenantIds,
    parted,
)

PREFIX = "SPAZA_"
# Read by the test suite, not by the platform.
_FOREIGN = frozenset({"SPAZA_FIXTURES"})
# Of parts that are still to come.
_NOT_USED_YET: Final = tuple(f"{PREFIX}{group}__" for group in ("ELASTICSEARCH", "OZOW", "PAYSTACK"))
# For who seals nothing.
_ANY_KEY: Final = base64.b64encode(bytes(32)).decode()
# As a tenant may have at most.
_MOST_REQUESTS: Final = 1_000_000_000
DEMO_APP_SECRET = "sandbox-app-secret"
DEMO_VERIFY_TOKEN = "sandbox-verify-token"
DEMO_ADMIN_TOKEN = "sandbox-admin-token"


class SettingsError(Exception):
    """Settings that cannot be used: one line for each fault, naming the variable and the remedy."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(_Group):
    """Where Meta, the gateways and API clients reach Spaza, and how many replicas take webhooks and serve products."""

    host: Host = "127.0.0.1"
    port: Port = 8000
    webhook_replicas: int = Field(default=1, ge=1, le=64)
    products_replicas: int = Field(default=1, ge=1, le=64)


class DashboardSettings(_Group):
    port: Port = 8265


class SandboxSettings(_Group):
    port: Port = 8400


class WhatsAppSettings(_Group):
    """The one Meta app whose webhooks arrive here, and the Graph API to which replies go.

    Attributes:
        app_secret: under which Meta signs; several with commas between hold at once, while one is replaced. The first
            is the one that the sandbox signs with.
    """

    app_secret: AppSecret
    verify_token: Secret
    graph_url: HttpUrl
    graph_version: str = Field(default="v23.0", pattern=r"^v\d+\.\d+$")

    @property
    def app_secrets(self) -> tuple[bytes, ...]:
        """Each of the secrets."""
        return tuple(one.encode() for one in parted(self.app_secret.get_secret_value()))


class AdminSettings(_Group):
    token: Secret


class SecretsSettings(_Group):
    """The keys under which tenants' credentials are sealed at rest.

    Attributes:
        key: seals, opens, and gives the database roles their passwords.
        other_keys: only open, in base64 with commas between. To replace the key: make the new one ``key`` and the old
            one one of these, start, run ``spaza tenant reseal``; then the old one is needed no longer.
    """

    key: SealingKey
    other_keys: Annotated[tuple[SealingKey, ...], BeforeValidator(parted)] = ()


class PostgresSettings(_Group):
    """Where the 32 shards are.

    Attributes:
        dsn: with ``{shard}`` in it, which becomes 00 to 31, one database a shard; without, the databases
            shard_00 to shard_31 of that server. Several hosts with commas between are a primary and its standbys.
            None: the embedded server.
        replicas: standbys of the embedded server; None for as many as there were.
        max_size: connections of one shard's pool at most.
        min_idle: connections of it that are kept open once it has been used.
        shards_per_actor: how many shards one ShardPool actor owns.
        listing_staleness_s: lists over all shards may be so old, and come from standbys where there are any; 0 reads
            them from the primaries.
    """

    dsn: PostgresDsn | None = None
    replicas: int | None = Field(default=None, ge=0, le=4)
    max_size: int = Field(default=5, ge=1, le=100)
    min_idle: int = Field(default=1, ge=0, le=100)
    shards_per_actor: int = Field(default=16, ge=1, le=32)
    listing_staleness_s: float = Field(default=1.0, ge=0, le=3600)


class MigrationsSettings(_Group):
    """``spaza migrate``.

    Attributes:
        canaries: ids of the tenants that are migrated before all others, separated by commas.
    """

    canaries: TenantIds = ()


class RedisSettings(_Group):
    url: SecretStr | None = None


class ElasticsearchSettings(_Group):
    url: HttpUrl | None = None


class PaystackSettings(_Group):
    url: HttpUrl = "https://api.paystack.co"


class OzowSettings(_Group):
    url: HttpUrl = "https://api.ozow.com"


class LimitsSettings(_Group):
    """How much one tenant may ask for on one route.

    Attributes:
        minute: requests in a minute of the clock, where neither the tenant nor the route has a limit of its own.
        hour: in an hour.
        limiters: how many actors share the tenants and count for them.
    """

    minute: int = Field(default=100, ge=1, le=_MOST_REQUESTS)
    hour: int = Field(default=5000, ge=1, le=_MOST_REQUESTS)
    limiters: int = Field(default=1, ge=1, le=64)


class LogSettings(_Group):
    """What is written down.

    Attributes:
        level: the least that is.
        requests: of which a line says that they were answered, at INFO: those whose caller is known, who is a tenant or
            an operator; all, Meta's and probes too; or none.
    """

    level: Level = "INFO"
    requests: LoggedRequests = "known"


class Settings(_Group):
    """Everything that can be set. Frozen; pass the group that a part needs, not the whole."""

    data_dir: Folder = Path(".spaza")
    http: HttpSettings = HttpSettings()
    dashboard: DashboardSettings = DashboardSettings()
    sandbox: SandboxSettings = SandboxSettings()
    whatsapp: WhatsAppSettings
    admin: AdminSettings
    secrets: SecretsSettings
    postgres: PostgresSettings = PostgresSettings()
    migrations: MigrationsSettings = MigrationsSettings()
    redis: RedisSettings = RedisSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    paystack: PaystackSettings = PaystackSettings()
    ozow: OzowSettings = OzowSettings()
    limits: LimitsSettings = LimitsSettings()
    log: LogSettings = LogSettings()

    def resolved(self, *, postgres_dsn: str, redis_url: str) -> Self:
        """A copy that names the running servers, embedded or not."""
        return self.model_copy(
            update={
                "postgres": self.postgres.model_copy(update={"dsn": SecretStr(postgres_dsn)}),
                "redis": self.redis.model_copy(update={"url": SecretStr(redis_url)}),
            }
        )


def without_effect(environment: Mapping[str, str]) -> list[str]:
    """The settings that are given and known, and that nothing uses yet."""
    return sorted(name for name in environment if name in _known_names() and name.startswith(_NOT_USED_YET))


def load_settings(environment: Mapping[str, str], *, demo_key: str | None = None) -> Settings:
    """Read the settings from an environment.

    Args:
        environment: usually ``os.environ``.
        demo_key: the sealing key of the demo, base64 of 32 bytes; given only with the demo on, and then the
            sandbox's names and secrets are the defaults.

    Raises:
        SettingsError: naming each variable that is missing, unknown or wrong, and what to do.
    """
    given = _nested(environment)
    if demo_key is not None:
        given = _merged(_demo_defaults(given, demo_key), given)
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(tuple(_fault(dict(one)) for one in error.errors())) from None


def refuse_wrong(environment: Mapping[str, str]) -> None:
    """For who needs few of the settings, or none: refuse what is wrong among those that are given.

    Raises:
        SettingsError: as ``load_settings``, but for nothing that is missing.
    """
    load_settings(environment, demo_key=_ANY_KEY)


def _nested(environment: Mapping[str, str]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in _FOREIGN:
            continue
        *groups, leaf = name.removeprefix(PREFIX).lower().split("__")
        level = nested
        for depth, group in enumerate(groups, 1):
            level = level.setdefault(group, {})
            if not isinstance(level, dict):
                raise _both_ways(PREFIX + "__".join(groups[:depth]).upper(), name)
        if isinstance(level.get(leaf), dict):
            raise _both_ways(name, f"{name}__{next(iter(level[leaf])).upper()}")
        level[leaf] = value
    return nested


def _both_ways(name: str, below: str) -> SettingsError:
    return SettingsError((f"{below}: {name} is set as a value too; remove one of them",))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _demo_defaults(given: dict[str, Any], demo_key: str) -> dict[str, Any]:
    group = given.get("sandbox")
    port = group.get("port", SandboxSettings().port) if isinstance(group, dict) else SandboxSettings().port
    sandbox = f"http://127.0.0.1:{port}"
    return {
        "whatsapp": {"app_secret": DEMO_APP_SECRET, "verify_token": DEMO_VERIFY_TOKEN, "graph_url": sandbox},
        "admin": {"token": DEMO_ADMIN_TOKEN},
        "secrets": {"key": demo_key},
        "paystack": {"url": sandbox},
        "ozow": {"url": sandbox},
    }


def _known_names(*, required: bool = False, model: type[BaseModel] = Settings, prefix: str = PREFIX) -> list[str]:
    names: list[str] = []
    for name, field in model.model_fields.items():
        full = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += _known_names(required=required, model=field.annotation, prefix=f"{full}__")
        elif field.is_required() or not required:
            names.append(full)
    return names


def _fault(error: dict[str, Any]) -> str:
    # Of a list only the setting is named, for its parts have no names.
    name = PREFIX + "__".join(part.upper() for part in error["loc"] if isinstance(part, str))
    if error["type"] == "missing":
        wanted = [known for known in _known_names(required=True) if known == name or known.startswith(f"{name}__")]
        return f"{' and '.join(wanted) or name}: not set; set it, or start with the demo, which brings its own"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, _known_names(), n=1)
        return f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else "; remove it")
    if error["type"] in {"model_type", "model_attributes_type"}:
        within = [known for known in _known_names() if known.startswith(f"{name}__")]
        return f"{name}: is no setting but a group of them; set {' or '.join(within)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[0].lower()}{message[1:]}"
