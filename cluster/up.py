"""``spaza up``: claims the data folder, checks what can be checked beforehand, and runs the supervisor."""

import asyncio
import base64
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from actors.shards.dsn import shard_dsn, single_hosts
from cluster.declared import check_declared
from cluster.descendants import kill_earlier, marked_environment
from cluster.errors import NodeFailedError
from cluster.instance import WANTED_FIRST_BYTES, Instance, refuse_full
from cluster.next_thing import next_thing
from cluster.node_environment import metrics_address, pick_ports
from cluster.node_link import NodeOrder, Servers
from cluster.node_part import NodePart
from cluster.parts import SANDBOX_PORT, SANDBOX_PURPOSE, EmbeddedPostgres, EmbeddedRedis, Part, Sandbox
from cluster.ports import reached_at, refuse_same, refuse_taken
from cluster.postgres import PostgresServer
from cluster.ray_sessions import keep_ray_sessions
from cluster.redis_server import RedisServer
from cluster.replicas.roles import read_roles, wanted_roles
from cluster.screen import Place, Screen
from cluster.supervisor import Supervisor
from config.settings import Settings, SettingsError, load_settings, without_effect
from config.topology_file import load_topology

if TYPE_CHECKING:
    from cluster.replicas.replicated_postgres import ReplicatedPostgres

_WEBHOOK = "/api/v1/webhooks/whatsapp"
_ROOT = Path(__file__).resolve().parents[1]


def up(environment: Mapping[str, str], *, demo: bool) -> None:
    """Run an instance until it is told to end.

    Args:
        environment: with the settings.
        demo: with the sandbox and the demo merchant.

    Raises:
        SettingsError: settings that are missing or wrong.
        ClusterError: it cannot start, and why; before anything is touched where a declared file cannot be used.
    """
    # Read once without the data folder, which the settings name.
    settings = load_settings(environment, demo_key=_new_key() if demo else None)
    warnings = check_declared(settings)
    instance = Instance.claim(settings.data_dir)
    try:
        # Before the ports are looked at, for what a killed instance left behind may hold them.
        kill_earlier(instance.instance_id)
        key = instance.secret("secrets.key", _new_key) if demo else None
        settings = load_settings(environment, demo_key=key)
        _refuse_taken_ports(settings, demo=demo)
        try:
            asyncio.run(_Assembly(instance, settings, key, environment).run(warnings))
        except NodeFailedError as error:
            if error.address_taken:
                # Ours is gone by now, so who is found has come in between.
                _refuse_taken_ports(settings, demo=demo)
            raise
    finally:
        instance.release()


class _Assembly:
    """The parts of one instance, put together from its settings."""

    def __init__(self, instance: Instance, settings: Settings, key: str | None, environment: Mapping[str, str]) -> None:
        self._instance, self._settings, self._key = instance, settings, key
        paths = [str(_ROOT), *filter(None, (environment.get("PYTHONPATH"),))]
        self._environment = {
            **marked_environment(instance.instance_id, environment),
            # Relative to where we were started, which is not where Ray's workers are.
            "SPAZA_DATA_DIR": str(instance.data_dir),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        self._ports = pick_ports((settings.http.port, settings.dashboard.port, settings.sandbox.port))
        self._api = f"http://{reached_at(settings.http.host)}:{settings.http.port}"
        self._screen = Screen()
        self._postgres = PostgresServer(
            instance.data_dir, instance.run_dir, databases=(), environment=self._environment
        )
        self._redis = RedisServer(instance.data_dir, instance.run_dir, environment=self._environment)
        self._replicated = self._with_standbys()

    async def run(self, warnings: Sequence[str]) -> None:
        instance, settings = self._instance, self._settings
        keep_ray_sessions(instance.data_dir, instance.run_dir)
        fixed = {"http": settings.http.port, "dashboard": settings.dashboard.port}
        if self._key is not None:
            fixed["sandbox"] = settings.sandbox.port
        instance.record({**fixed, **self._ports}, api=self._api)
        self._screen.begin(str(instance.data_dir))
        for name in without_effect(self._environment):
            self._screen.warn(f"{name} is set, and nothing uses it yet.")
        for warning in warnings:
            self._screen.warn(warning)
        order = NodeOrder(instance.instance_id, str(instance.data_dir), str(instance.run_dir), self._key, self._ports)
        node = NodePart(order, self._environment, self._screen.part_up)
        supervisor = Supervisor(
            instance,
            self._servers(),
            self._sandbox(),
            node,
            self._screen,
            replicated=self._replicated,
            servers_figures=self._given_figures(),
        )
        await supervisor.run(self._where, self._ready)

    def _servers(self) -> list[Part]:
        given_dsn, given_url = self._settings.postgres.dsn, self._settings.redis.url
        if given_dsn is None and given_url is None:
            return [*self._embedded_postgres(), EmbeddedRedis(self._redis)]
        from cluster.given_servers import GivenRedis  # noqa: PLC0415 - their drivers take time to import

        return [
            *(self._embedded_postgres() if given_dsn is None else [self._given_postgres(given_dsn)]),
            EmbeddedRedis(self._redis) if given_url is None else GivenRedis(given_url.get_secret_value()),
        ]

    def _embedded_postgres(self) -> Sequence[Part]:
        return [EmbeddedPostgres(self._postgres)] if self._replicated is None else self._replicated.parts

    def _with_standbys(self) -> "ReplicatedPostgres | None":
        """The embedded PostgreSQL, where it has standbys or once had them."""
        wanted = self._settings.postgres.replicas
        if self._settings.postgres.dsn is not None:
            if wanted:
                fault = "SPAZA_POSTGRES__REPLICAS: is of the embedded PostgreSQL, and SPAZA_POSTGRES__DSN names another"
                raise SettingsError((f"{fault}; unset one of them",))
            return None
        roles = wanted_roles(read_roles(self._instance.data_dir), wanted)
        if roles is None:
            return None
        if read_roles(self._instance.data_dir) is None:
            refuse_full(self._instance.data_dir, WANTED_FIRST_BYTES * (1 + roles.replicas))
        from cluster.replicas.replicated_postgres import ReplicatedPostgres  # noqa: PLC0415 - as above

        return ReplicatedPostgres(self._instance.data_dir, self._instance.run_dir, roles, environment=self._environment)

    def _given_figures(self) -> Callable[[], Awaitable[dict[str, Any]]] | None:
        """Asks the servers of a given PostgreSQL who is the primary, where there are several."""
        dsn = self._settings.postgres.dsn
        of_shard = None if dsn is None else shard_dsn(dsn.get_secret_value(), 0)
        if of_shard is None or len(single_hosts(of_shard)) == 1:
            return None
        from cluster.replicas.figures import given_figures  # noqa: PLC0415 - as above

        return partial(given_figures, of_shard)

    def _given_postgres(self, dsn: SecretStr) -> Part:
        from cluster.given_servers import GivenPostgres  # noqa: PLC0415

        return GivenPostgres(dsn.get_secret_value(), load_topology(), self._settings.postgres.max_size)

    def _sandbox(self) -> Part | None:
        if self._key is None:
            return None
        callback = f"{self._api}{_WEBHOOK}"
        # Named one by one, for without the demo's defaults the sandbox would not know what was set here.
        secrets_given = {
            "SPAZA_WHATSAPP__APP_SECRET": self._settings.whatsapp.app_secret.get_secret_value(),
            "SPAZA_WHATSAPP__VERIFY_TOKEN": self._settings.whatsapp.verify_token.get_secret_value(),
        }
        environment = {**self._environment, **secrets_given}
        return Sandbox(self._settings.sandbox.port, callback, self._instance.data_dir, environment)

    def _where(self) -> Servers:
        dsn, url = self._settings.postgres.dsn, self._settings.redis.url
        return Servers(
            postgres_dsn=self._embedded_dsn() if dsn is None else dsn.get_secret_value(),
            redis_url=self._redis.url if url is None else url.get_secret_value(),
        )

    def _embedded_dsn(self) -> str:
        return self._postgres.dsn if self._replicated is None else self._replicated.dsn

    def _ready(self) -> None:
        settings, logs = self._settings, self._instance.data_dir / "logs"
        places = [Place("API", self._api)]
        if self._key is not None:
            places.append(Place("Sandbox", f"http://127.0.0.1:{settings.sandbox.port}"))
        places += [
            Place("Ray dashboard", f"http://127.0.0.1:{settings.dashboard.port} (its token: {_ray()} get-auth-token)"),
            Place("Metrics", metrics_address(self._ports)),
            Place("Logs", f"{logs} (Ray's in {logs / 'ray'})"),
            Place("Data", str(self._instance.data_dir)),
        ]
        self._screen.ready(places, next_thing(settings, self._api, demo=self._key is not None))


def _refuse_taken_ports(settings: Settings, *, demo: bool) -> None:
    wanted = [
        ("SPAZA_HTTP__PORT", settings.http.port, "the API", settings.http.host),
        ("SPAZA_DASHBOARD__PORT", settings.dashboard.port, "the Ray dashboard", "127.0.0.1"),
    ]
    if demo:
        wanted.append((SANDBOX_PORT, settings.sandbox.port, SANDBOX_PURPOSE, "127.0.0.1"))
    refuse_same({setting: port for setting, port, _, _ in wanted})
    for setting, port, purpose, host in wanted:
        refuse_taken(port, purpose=purpose, setting=setting, host=host)


def _ray() -> str:
    """Ray's own command, as it can be typed where we were started."""
    command = Path(sys.executable).with_name("ray")
    here = Path.cwd()
    return str(command.relative_to(here) if command.is_relative_to(here) else command)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
