"""Starts the parts of an instance, starts again what dies, and ends all of it. Light: knows no Ray."""

import asyncio
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cluster.descendants import Undertaker, adopt_orphans, bury_orphans, kill_descendants
from cluster.errors import PromotionRefusedError
from cluster.instance import Instance
from cluster.node_link import Servers
from cluster.node_part import NodePart
from cluster.parts import Part
from cluster.screen import Screen
from cluster.status_socket import serve_status
from cluster.tending import Tending

if TYPE_CHECKING:
    # Its driver takes time to import, and most have no standbys.
    from cluster.replicas.replicated_postgres import ReplicatedPostgres

_HOUSEKEEPING_S = 2.0
_NODE_STOP_S = 7.0
_SERVER_STOP_S = 2.0
_TWICE_S = 1.0
_SCARCE_BYTES = 100_000_000


class Supervisor:
    """Owns the parts of one instance. All runs in one event loop.

    The parts start side by side; the node is told of the servers when they are up. A part that does not start ends
    the instance; one that dies later is started again, after a pause that grows while it keeps dying.
    """

    def __init__(
        self,
        instance: Instance,
        servers: Sequence[Part],
        sandbox: Part | None,
        node: NodePart,
        screen: Screen,
        *,
        replicated: "ReplicatedPostgres | None" = None,
        servers_figures: Callable[[], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            instance: whose parts these are.
            servers: that the node waits for.
            sandbox: None without the demo.
            node: started with the servers, and told of them.
            screen: for who watches.
            replicated: of whose servers some change roles.
            servers_figures: of PostgreSQL's servers, where there are several and they are given.
        """
        self._instance, self._node, self._screen = instance, node, screen
        self._servers: Sequence[Part] = servers
        self._replicated = replicated
        self._servers_figures = servers_figures if replicated is None else replicated.figures
        if replicated is not None:
            replicated.tell(self.part_changed, screen.warn)
        self._parts: Sequence[Part] = (*servers, *(() if sandbox is None else (sandbox,)), node)
        self._states: dict[str, tuple[str, str]] = {part.name: ("starting", "") for part in self._parts}
        self._up = {part.name: asyncio.Event() for part in self._parts}
        self._told_to_end = asyncio.Event()
        self._hurried = asyncio.Event()
        self._scarce = False
        self._told_at: float | None = None
        self._ended: set[int] = set()
        self._started = time.time()
        adopt_orphans()
        self._undertaker = Undertaker(instance.instance_id)

    async def run(self, where: Callable[[], Servers], when_ready: Callable[[], None]) -> None:
        """Run until told to end by SIGINT, SIGTERM or SIGHUP; then nothing is left.

        Args:
            where: asked when the servers are up.
            when_ready: called once, when all runs.

        Raises:
            ClusterError: a part did not start; all that did is ended.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._tell_to_end)
        keeping = asyncio.create_task(self._keep(where, when_ready))
        told = asyncio.create_task(self._told_to_end.wait())
        try:
            orders = {"/promote": self._promote}
            async with await serve_status(self._instance.run_dir / "status.sock", self.status, orders):
                await asyncio.wait({keeping, told}, return_when=asyncio.FIRST_COMPLETED)
                await self._end(keeping)
        finally:
            told.cancel()
            # Whatever happened above, nothing stays.
            kill_descendants(spare=(self._undertaker.pid,))
            self._undertaker.dismiss()
        if not keeping.cancelled():
            _raise_first(keeping.exception())

    async def status(self) -> dict[str, Any]:
        """The document of ``spaza status``."""
        was_ready = self._node.is_ready
        servers, node, *parts = await asyncio.gather(
            self._server_figures(), self._node.status(), *(self._asked(part) for part in self._parts)
        )
        if was_ready and not node and self._states[self._node.name][0] == "running":
            parts[-1] = {"name": self._node.name, "state": "failed", "detail": "runs, and does not answer"}
        parts += node.get("parts", [])
        ready = self._node.is_ready and bool(node) and all(part["state"] == "running" for part in parts)
        figures = {
            "uptime_s": round(time.time() - self._started, 1),
            "disk_free_bytes": shutil.disk_usage(self._instance.data_dir).free,
            **node.get("figures", {}),
            **servers,
        }
        return {"ready": ready, "instance_id": self._instance.instance_id, "parts": parts, "figures": figures}

    async def _server_figures(self) -> dict[str, Any]:
        return {} if self._servers_figures is None else {"postgres": await self._servers_figures()}

    async def _promote(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        if self._replicated is None:
            raise PromotionRefusedError(
                "PostgreSQL has no standbys here",
                "Start with `spaza up --replicas 2`; where SPAZA_POSTGRES__DSN is set, whoever runs that PostgreSQL "
                "promotes, see docs/replication.md",
            )
        done = await self._replicated.promote(
            switchover=parameters.get("switchover") == "1", force=parameters.get("force") == "1"
        )
        self._screen.warn(f"{done['promoted']} is the primary now, {done['former']} was.")
        return done

    async def _asked(self, part: Part) -> dict[str, str]:
        state, detail = self._states[part.name]
        if state == "running" and (trouble := await part.trouble()) is not None:
            # What may have ended meanwhile has told of it.
            state, detail = ("failed", trouble) if self._states[part.name][0] == "running" else self._states[part.name]
        return {"name": part.name, "state": state, "detail": detail}

    def _tell_to_end(self) -> None:
        now = time.monotonic()
        # A group's signal may arrive twice, by make for example; only a person's second one means haste.
        if self._told_at is not None and now - self._told_at > _TWICE_S:
            self._hurried.set()
        self._told_at = self._told_at or now
        self._told_to_end.set()

    async def _keep(self, where: Callable[[], Servers], when_ready: Callable[[], None]) -> None:
        servers: asyncio.Future[Servers] = asyncio.get_running_loop().create_future()
        self._node.give(servers)
        async with asyncio.TaskGroup() as tasks:
            for part in self._parts:
                tasks.create_task(Tending(part, self).run())
            tasks.create_task(self._keep_house())
            for part in self._servers:
                await self._up[part.name].wait()
            servers.set_result(where())
            for part in self._parts:
                await self._up[part.name].wait()
            when_ready()

    def part_runs(self, part: Part, seconds: float, detail: str) -> None:
        """Of a node only a later start is shown; the first one shows its parts."""
        if part is not self._node or self._up[part.name].is_set():
            self._screen.part_up(part.name, seconds, detail)
        self._note(part, "running", detail)
        self._up[part.name].set()

    def part_changed(self, part: Part, detail: str) -> None:
        """What it is, or what is done with it before it runs again, is something else than before."""
        self._note(part, "running" if self._states[part.name][0] == "running" else "restarting", detail)

    def part_failed(self, part: Part, reason: str) -> None:
        """It is tried again."""
        self._note(part, "failed", reason)
        self._screen.warn(reason)

    async def part_ended(self, part: Part, how: str) -> None:
        """It is started again."""
        if part is self._node:
            how = await self._node.last_words() or how
        self._note(part, "restarting", how)
        self._screen.warn(f"{part.name}: {how}; it is started again. Logs: {self._instance.data_dir / 'logs'}")

    async def clear(self, part: Part) -> None:
        """End what is left of a part. A node's processes have left it: replicas, HAProxy, Ray's own."""
        if part is self._node:
            await self._clear_node()
        else:
            await part.stop(timeout_s=0.0)

    async def _clear_node(self) -> None:
        await self._node.stop(timeout_s=0.0)
        others = {one.process.pid for one in self._parts if one is not self._node and one.process is not None}
        kill_descendants(spare={self._undertaker.pid, *others})

    async def _keep_house(self) -> None:
        hindered = False
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                self._tidy()
                hindered = False
            except OSError as error:
                # No memory or no process to be had: that passes, and nothing hangs on one round.
                if not hindered:
                    self._screen.warn(f"The system refuses what Spaza needs to watch its parts: {error}")
                hindered = True

    def _tidy(self) -> None:
        ours = {self._undertaker.pid, *(one.process.pid for one in self._parts if one.process is not None)}
        self._ended = bury_orphans(ours, self._ended)
        if not self._undertaker.alive:
            self._undertaker = Undertaker(self._instance.instance_id)
        scarce = shutil.disk_usage(self._instance.data_dir).free < _SCARCE_BYTES
        if scarce and not self._scarce:
            self._screen.warn(
                f"The disk of {self._instance.data_dir} is nearly full; make room. Once it is full, messages are "
                "refused (503), and Meta sends them again."
            )
        self._scarce = scarce

    async def _end(self, keeping: "asyncio.Task[None]") -> None:
        self._screen.ending()
        started = time.monotonic()
        keeping.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await keeping
        orderly = asyncio.create_task(self._stop_parts())
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait({orderly, hurried}, return_when=asyncio.FIRST_COMPLETED)
        orderly.cancel()
        hurried.cancel()
        kill_descendants(spare=(self._undertaker.pid,))
        self._screen.ended(time.monotonic() - started)

    async def _stop_parts(self) -> None:
        await self._node.stop(timeout_s=_NODE_STOP_S)
        await self._clear_node()
        await asyncio.gather(*(part.stop(timeout_s=_SERVER_STOP_S) for part in self._parts if part is not self._node))

    def _note(self, part: Part, state: str, detail: str) -> None:
        self._states[part.name] = (state, detail)


def _raise_first(error: BaseException | None) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
