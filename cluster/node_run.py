"""One run of a node: Ray, the databases, the actors, the Serve applications, the demo; then serving until told to end.

Blocking steps run side by side where neither needs the other. What a node starts ends with it: Ray's processes by
themselves, HAProxy by Serve's shutdown or else by the supervisor.
"""

import asyncio
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray import serve
from ray._private import worker as ray_worker
from ray._private.parameter import RayParams
from ray.serve.config import HTTPOptions

from actors.mailbox.handle import MailboxHandle
from cluster.demo import Demo, provision_demo
from cluster.node_link import NodeLink, NodeOrder
from cluster.node_status import NodeStatus, webhook_answers
from cluster.queues_in_words import is_settled, queues_in_words
from cluster.ray_address import write_ray_address
from cluster.ray_sessions import link_ray_logs
from cluster.ray_watch import ray_dies
from cluster.settling import hand_over, settle
from cluster.shards_in_words import shards_in_words
from cluster.status_socket import serve_status
from config.settings import Settings, load_settings
from serve_app import Spaza, deploy
from telemetry.log import configure_logging, get_logger

# Actors and replicas ask for none; this only has to be enough for what somebody adds.
_LOGICAL_CPUS = 16
_LOOPBACK = "127.0.0.1"
# Nothing large goes through Ray's object store: batches are passed by value.
_OBJECT_STORE_BYTES = 100_000_000
# Together within what the supervisor waits for a node.
_SETTLE_LIMIT_S, _SHUTDOWN_LIMIT_S, _HAND_OVER_LIMIT_S = 2.5, 3.3, 0.9
_FIRST_ANSWER_LIMIT_S = 60.0
# A start does not hang on who owns the queues; it is only said.
_OWNED_LIMIT_S = 2.0
_log = get_logger("node")


def run(link: NodeLink, order: NodeOrder) -> None:
    """Start everything, serve until SIGTERM, end this process. From the main thread, with which Ray's processes end."""
    settings = load_settings(os.environ, demo_key=order.demo_key)
    configure_logging(settings.log.level)
    prepared: Future[Spaza] = Future()
    # The databases are made ready while Ray starts, which takes longer.
    threading.Thread(target=_prepare, args=(link, order, settings, prepared), daemon=True).start()
    started = time.monotonic()
    _start_ray(order, settings)
    link.part_up("Ray", time.monotonic() - started, f"dashboard http://127.0.0.1:{settings.dashboard.port}")
    asyncio.run(_serve(link, order, settings, prepared))
    # Nothing of Ray is kept; its processes end with this one, sooner than by being asked one after the other.
    sys.stderr.flush()
    os._exit(0)


def _prepare(link: NodeLink, order: NodeOrder, settings: Settings, prepared: "Future[Spaza]") -> None:
    try:
        servers = link.receive_servers()
        started = time.monotonic()
        resolved = settings.resolved(postgres_dsn=servers.postgres_dsn, redis_url=servers.redis_url)
        spaza = Spaza(resolved, instance_id=order.instance_id)
        # The embedded server is this instance's alone, and no earlier code runs beside this.
        done = asyncio.run(spaza.prepare(alone=settings.postgres.dsn is None))
        link.part_up("Shards", time.monotonic() - started, shards_in_words(done.setup, done.migrations))
        prepared.set_result(spaza)
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is waited for
        prepared.set_exception(error)


def _start_ray(order: NodeOrder, settings: Settings) -> None:
    # What ray.init has no option for: two instances on one machine would fight for the agent's default port, and the
    # log monitor is busy with passing lines to drivers, where nobody reads them.
    ours = functools.partialmethod(RayParams.__init__, dashboard_agent_listen_port=0, include_log_monitor=False)
    RayParams.__init__ = ours  # type: ignore[method-assign, assignment]
    context: Any = ray.init(
        namespace="spaza",
        num_cpus=_LOGICAL_CPUS,
        object_store_memory=_OBJECT_STORE_BYTES,
        include_dashboard=True,
        dashboard_host=_LOOPBACK,
        dashboard_port=settings.dashboard.port,
        _metrics_export_port=order.ports["metrics"],
        log_to_driver=False,
        _temp_dir=str(Path(order.run_dir) / "ray"),
    )
    write_ray_address(Path(order.run_dir), context.address_info["gcs_address"])
    link_ray_logs(Path(order.data_dir), Path(context.address_info["session_dir"]).name)


async def _serve(link: NodeLink, order: NodeOrder, settings: Settings, prepared: "Future[Spaza]") -> None:
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    starting = asyncio.create_task(_start(link, order, settings, prepared))
    ending = asyncio.create_task(told_to_end.wait())
    ray_node: Any = ray_worker._global_node  # noqa: SLF001 - Ray tells nobody else of its processes
    dying = asyncio.create_task(ray_dies(ray_node.dead_processes))
    await asyncio.wait({starting, ending, dying}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and not dying.done():
        status = starting.result()
        async with await serve_status(Path(order.run_dir) / "node.sock", status.document):
            link.ready()
            await asyncio.wait({ending, dying}, return_when=asyncio.FIRST_COMPLETED)
    if not ending.done():
        _give_up(link, dying.result())
    if starting.done():
        await _settle(prepared.result())
        await _shut_down_serve()
        await _hand_over(prepared.result())
    else:
        await _shut_down_serve()


def _give_up(link: NodeLink, reason: str) -> NoReturn:
    """End this process now: what waits for a dead Ray in its threads may wait for ever."""
    _log.error("node_lost", reason=reason)
    link.failed(reason)
    sys.stderr.flush()
    os._exit(1)


async def _start(link: NodeLink, order: NodeOrder, settings: Settings, prepared: "Future[Spaza]") -> NodeStatus:
    async def timed(name: str, step: Callable[[], Awaitable[str]]) -> None:
        started = time.monotonic()
        detail = await step()
        link.part_up(name, time.monotonic() - started, detail)

    async def serve_up() -> str:
        options = HTTPOptions(host=settings.http.host, port=settings.http.port)
        await asyncio.to_thread(serve.start, http_options=options)
        return f"HAProxy on {settings.http.host}:{settings.http.port}"

    serving = asyncio.create_task(timed("Serve", serve_up))
    spaza = await asyncio.wrap_future(prepared)

    async def shards_up() -> str:
        await asyncio.to_thread(spaza.start_shards)
        return f"{-(-32 // settings.postgres.shards_per_actor)} actors"

    async def rate_limiters_up() -> str:
        await asyncio.to_thread(spaza.start_rate_limiters)
        return f"{settings.limits.limiters} actors" if settings.limits.limiters > 1 else "1 actor"

    async def mailboxes_up() -> str:
        await asyncio.to_thread(spaza.start_mailboxes)
        return queues_in_words(len(spaza.topology.queues), await _owners(spaza.mailbox()))

    async def applications_up() -> str:
        await serving
        await asyncio.to_thread(deploy, spaza.applications())
        await _first_answer(settings)
        return ", ".join(one.name for one in spaza.applications())

    async def demo_up() -> str:
        demo: Demo = await provision_demo(spaza.provisioning(), spaza.catalog())
        return f"{demo.name}, {demo.products} products"

    applications = asyncio.create_task(timed("Applications", applications_up))
    limiters = asyncio.create_task(timed("Rate limiters", rate_limiters_up))
    await timed("Shard pools", shards_up)
    await timed("Mailboxes", mailboxes_up)
    if order.demo_key is not None:
        await timed("Demo merchant", demo_up)
    await limiters
    await applications
    return NodeStatus(spaza)


async def _owners(mailboxes: MailboxHandle) -> Mapping[str, Mapping[str, Any]]:
    deadline = time.monotonic() + _OWNED_LIMIT_S
    while True:
        figures = await mailboxes.statistics()
        if is_settled(figures) or time.monotonic() > deadline:
            return figures
        await asyncio.sleep(0.05)


async def _first_answer(settings: Settings) -> None:
    deadline = time.monotonic() + _FIRST_ANSWER_LIMIT_S
    while not await webhook_answers(settings.http.host, settings.http.port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the webhook did not answer within {_FIRST_ANSWER_LIMIT_S:g} s")
        await asyncio.sleep(0.05)


async def _settle(spaza: Spaza) -> None:
    started = time.monotonic()
    queues = [queue.name for queue in spaza.topology.sources()]
    left = await settle(spaza.mailbox(), queues, limit_s=_SETTLE_LIMIT_S)
    _log.info("deliveries_ended", seconds=round(time.monotonic() - started, 3), in_flight=left)


async def _hand_over(spaza: Spaza) -> None:
    started = time.monotonic()
    whole = await hand_over(spaza.mailbox(), limit_s=_HAND_OVER_LIMIT_S)
    _log.info("mailboxes_handed_over", seconds=round(time.monotonic() - started, 3), whole=whole)


async def _shut_down_serve() -> None:
    started = time.monotonic()
    try:
        # It can hang; whoever waits for us would kill us then, and HAProxy with us.
        await asyncio.wait_for(asyncio.to_thread(serve.shutdown), _SHUTDOWN_LIMIT_S)
    except TimeoutError:
        _log.warning("serve_shutdown_slow", limit_s=_SHUTDOWN_LIMIT_S)
    _log.info("serve_shut_down", seconds=round(time.monotonic() - started, 3))
