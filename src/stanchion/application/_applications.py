# SPDX-License-Identifier: MIT
"""The applications of one node: which run, in which order they start and stop, and what their ends mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion._validate import cut
from stanchion.application._running import RestartType, RunningApplication
from stanchion.errors import ApplicationStateError, NodeStateError
from stanchion.kernel import PROCESS, ExitReason, Node, Pid, Process, current_node, run_process

if TYPE_CHECKING:
    from stanchion.application._application import Application

_log = logging.getLogger("stanchion.application")


class ApplicationInfo(NamedTuple):
    """One application that runs, as ``which_applications`` tells it.

    Attributes:
        name: What it is called.
        pid: Its top supervisor.
        type: ``"permanent"``, ``"transient"`` or ``"temporary"``.
    """

    name: str
    pid: Pid
    type: RestartType


class Ended(NamedTuple):
    """The application whose end took down the others of its node.

    Attributes:
        name: What it is called.
        reason: The exit reason of its top supervisor.
    """

    name: str
    reason: ExitReason


def which_applications() -> list[ApplicationInfo]:
    """Return the applications that run on the node of the running code, in the order of their start (OTP: in reverse).

    Those that have not started to the end, or have begun to stop, are not among them.

    Raises:
        NoNodeError: the code runs outside of every node.

    Source: ``application:which_applications/0``.
    """
    return applications_of(current_node("which_applications()")).infos()


def applications_of(node: Node) -> RunningApplications:
    """Return the applications of a node."""
    table = node.applications
    if not isinstance(table, RunningApplications):
        table = node.applications = RunningApplications(node)
    return table


class RunningApplications:
    """The applications of one node.

    Attributes:
        node: The node.
        ended: The first application, if any, whose end took down the others.
    """

    def __init__(self, node: Node) -> None:
        self.node: Final = node
        self.ended: Ended | None = None
        # By name, in the order of start. One goes in with the first step of its start and out with its master's exit.
        self._by_name: dict[str, RunningApplication] = {}

    def infos(self) -> list[ApplicationInfo]:
        """See ``which_applications``."""
        return [
            ApplicationInfo(name, running.pid, running.type)
            for name, running in self._by_name.items()
            if running.pid is not None and not running.ends
        ]

    # --- start -----------------------------------------------------------------------------------

    async def start(self, app: Application, type: RestartType, configs: Mapping[str, object]) -> RunningApplication:
        """Start an application after those that it depends on; see ``Application.start``."""
        begun: list[RunningApplication] = []
        try:
            for dependency in app._with_dependencies()[:-1]:
                await self._ensure(dependency, type, configs, begun)
            known = await self._known(app)
            if known is not None:
                raise ApplicationStateError(
                    app.name,
                    verb="start",
                    expected="one that does not run on the node",
                    got=f"one that is {known.state}",
                    fix="stop() it first, or go on with the one that runs.",
                )
            return await self._begin(app, type, configs, begun)
        except Exception:
            for running in reversed(begun):
                if not self._dependents(running):
                    await running.stop()
            raise
        except BaseException:  # cancelled: nobody waits for an orderly end
            for running in reversed(begun):
                running.kill()
            raise

    async def _ensure(
        self, app: Application, type: RestartType, configs: Mapping[str, object], begun: list[RunningApplication]
    ) -> None:
        """Have an application run that another one depends on."""
        known = await self._known(app)
        if known is None:
            await self._begin(app, type, configs, begun)
        else:
            await known.started()

    async def _known(self, app: Application) -> RunningApplication | None:
        """Return the application if it runs or starts; wait for the end of one that has begun to stop.

        Raises:
            ApplicationStateError: another application has its name.
        """
        while (known := self._by_name.get(app.name)) is not None:
            if known.application is not app:
                raise ApplicationStateError(
                    app.name,
                    verb="start",
                    expected="a name that no other application of the node has",
                    got=f"that of another one, which is {known.state}: {known.application!r}",
                    fix="give one of the two another name.",
                )
            if not known.ends:
                return known
            await known.stop()
        return None

    async def _begin(
        self, app: Application, type: RestartType, configs: Mapping[str, object], begun: list[RunningApplication]
    ) -> RunningApplication:
        if not self.node.running:
            raise NodeStateError(
                self.node.name, operation=f"start of application {app.name}", expected="a running node", got="stopping"
            )
        for dependency in app.depends_on:
            known = self._by_name.get(dependency.name)
            if known is None or known.ends:
                raise ApplicationStateError(
                    app.name,
                    verb="start",
                    expected=f"application {dependency.name!r}, which it depends on, to run until then",
                    got="its end",
                    fix="read the log for why it ended.",
                )
        config = configs.get(app.name)
        flags = app._supervisor_flags(config)
        running = self._by_name[app.name] = RunningApplication(app, flags, type=type, config=config, table=self)
        begun.append(running)
        await running.started()
        return running

    # --- stop ------------------------------------------------------------------------------------

    async def stop(self, app: Application) -> None:
        """Stop an application; see ``Application.stop``."""
        running = self._by_name.get(app.name)
        if running is None or running.application is not app:
            return
        caller = PROCESS.get()
        if caller is not None and caller.task is asyncio.current_task() and running.contains(caller):
            raise ApplicationStateError(
                app.name,
                verb="stop",
                expected="an order from outside of it",
                got=f"one from its own {caller!r}, which would wait for itself",
                fix="write spawn(app.stop), which does it in a process of its own.",
            )
        dependents = self._dependents(running)
        if dependents:
            names = ", ".join(repr(one.application.name) for one in dependents)
            raise ApplicationStateError(
                app.name,
                verb="stop",
                expected="no running application to depend on it",
                got=names,
                fix="stop those first.",
            )
        await running.stop()

    async def close(self, stop: Callable[[Process], Awaitable[None]]) -> None:
        """Stop those that run, each by ``stop(master)``; the node calls this when it is left."""
        while (running := self._next_to_stop()) is not None:
            await stop(running.master)

    def forget(self, running: RunningApplication) -> None:
        """Take note of the exit of a master."""
        del self._by_name[running.application.name]

    def take_note(self, running: RunningApplication, reason: ExitReason) -> None:
        """Take note that an application ended by itself, and take down the others if its type says so."""
        name = running.application.name
        harmless = running.type == "temporary" or (running.type == "transient" and reason == "normal")
        text = "application %s of node %s ended by itself; it is %s%s; reason: %s"
        others = "" if harmless else ", so the others stop too"
        level = logging.INFO if reason == "normal" else logging.ERROR
        _log.log(level, text, name, self.node.name, running.type, others, cut(reason))
        if not harmless and self.ended is None:
            self.ended = Ended(name, reason)
        if not harmless:
            run_process(self.node, self._take_down, label=f"end of application {name}")

    async def _take_down(self, _: Process) -> None:
        while (running := self._next_to_stop()) is not None:
            await running.stop()

    def _next_to_stop(self) -> RunningApplication | None:
        """Return the latest one that no other depends on: an ended one may have been started anew behind those."""
        return next((one for one in reversed(self._by_name.values()) if not self._dependents(one)), None)

    def _dependents(self, running: RunningApplication) -> list[RunningApplication]:
        return [one for one in self._by_name.values() if running.application in one.application.depends_on]
