"""What the route stands on: PostgreSQL, Redis, Ray with shards and rate limiters, one merchant with a product."""

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
import orjson
import ray

from benchmarks.merchants import APP_SECRET, VERIFY_TOKEN
from cluster.ports import free_ports
from cluster.postgres import PostgresServer, start_postgres
from cluster.process import spawn
from cluster.redis_server import RedisServer
from config.settings import load_settings
from kernel.identifiers import new_id
from serve_app import Spaza
from services.catalog.ports import Shelf
from services.catalog.schemas import ProductBody
from services.tenants.schemas import TenantSpec

SKU: Final = "bread-white"
_PLENTY: Final = "1000000000"
_TOKEN_S: Final = 3600
_SPEC: Final = {
    "name": "Bench",
    "phone_numbers": [{"phone_number_id": "900000000000001", "display_phone_number": "+27110000001"}],
    "location": {"lat": -26.2485, "lon": 27.8540},
    "whatsapp": {"access_token": "EAAG"},
}
_PRODUCT: Final = {"name": "White bread", "price": {"amount": 1999, "currency": "ZAR"}, "stock": 5}


class Ground:
    """Servers of the benchmark's own, started and stopped with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self._server: subprocess.Popen[bytes] | None = None
        [self.port] = free_ports(1)
        self.token = ""
        self.tenant_id, self.shard = "", 0

    def start(self) -> None:
        self._postgres = start_postgres(self._directory / "data", self._directory / "run")
        self._redis = RedisServer(self._directory / "redis", self._directory / "run").start()
        environment = self._environment(self._postgres.dsn, self._redis.url)
        spaza = Spaza(load_settings(environment), instance_id="bench")
        asyncio.run(spaza.prepare(alone=True))
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, namespace="spaza",
            object_store_memory=100_000_000, _temp_dir=str(self._directory / "ray"),
        )  # fmt: skip
        spaza.start_shards()
        spaza.start_rate_limiters()
        asyncio.run(self._fill(spaza))
        self._server = spawn(
            [sys.executable, "-m", "benchmarks.gateway.server", str(self.port)],
            log_path=self._directory / "server.log",
            environment={
                # Not the settings of whoever measures.
                **{name: value for name, value in os.environ.items() if not name.startswith("SPAZA_")},
                **environment,
                "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
                "BENCH_TENANT": f"{self.tenant_id}:{self.shard}",
            },
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(timeout=20)
        ray.shutdown()
        if self._redis is not None:
            self._redis.stop()
        if self._postgres is not None:
            self._postgres.stop()

    def demand_server(self) -> None:
        """Raise if the server has ended; its log says why."""
        if self._server is not None and self._server.poll() is not None:
            raise RuntimeError((self._directory / "server.log").read_text()[-2_000:])

    def request(self, part: str, method: str) -> bytes:
        """A call of one of the two: the product, or the same product in its place."""
        head = (
            f"{method} /{part}/{SKU} HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n"
            f"user-agent: bench\r\nauthorization: Bearer {self.token}\r\n"
        ).encode()
        if method == "GET":
            return head + b"\r\n"
        body = orjson.dumps(_PRODUCT)
        return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    async def _fill(self, spaza: Spaza) -> None:
        made = await spaza.provisioning().provision(TenantSpec.model_validate(_SPEC), idempotency_key=new_id())
        assert made.credential is not None
        self.tenant_id, self.shard = made.tenant_id, made.shard_id
        shelf = Shelf(made.tenant_id, made.shard_id)
        await spaza.catalog().put(shelf, SKU, ProductBody.model_validate(_PRODUCT), timeout_s=10.0)
        claims = {"tenant_id": made.tenant_id, "exp": time.time() + _TOKEN_S}
        key = base64.b64decode(made.credential.secret.get_secret_value())
        self.token = jwt.encode(claims, key, "HS256", headers={"kid": made.credential.kid})

    def _environment(self, dsn: str, redis_url: str) -> Mapping[str, Any]:
        return {
            "SPAZA_POSTGRES__DSN": dsn,
            "SPAZA_REDIS__URL": redis_url,
            "SPAZA_SECRETS__KEY": base64.b64encode(b"b" * 32).decode(),
            "SPAZA_ADMIN__TOKEN": "bench",
            "SPAZA_WHATSAPP__APP_SECRET": APP_SECRET,
            "SPAZA_WHATSAPP__VERIFY_TOKEN": VERIFY_TOKEN,
            "SPAZA_WHATSAPP__GRAPH_URL": "http://127.0.0.1:9",
            "SPAZA_LIMITS__MINUTE": _PLENTY,
            "SPAZA_LIMITS__HOUR": _PLENTY,
            "SPAZA_LOG__LEVEL": "WARNING",
        }
