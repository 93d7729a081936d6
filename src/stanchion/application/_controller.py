# SPDX-License-Identifier: MIT
"""The controller of a node's applications: in which order they start and stop, and what their ends mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from stanchion._validate import cut
from stanchion.application._master import Master, RestartType
from stanchion.errors import ApplicationStateError, NodeStateError, StopTimeoutError
from stanchion.kernel import (
    DEADLINE,
    PROCESS,
    ExitReason,
    Node,
    Pid,
    Process,
    current_node,
    limit_cause,
    run_process,
    wait_limit,
)
from stanchion.timeouts import POLICY, STOP_APPLICATION

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.application._application import Application
    from stanchion.timeouts import Policy

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
    return controller_of(current_node("which_applications()")).infos()


def controller_of(node: Node) -> Controller:
    """Return the controller of a node, made when it is first asked for."""
    controller = node.applications
    if not isinstance(controller, Controller):
        controller = node.applications = Controller(node)
    return controller


class Controller:
    """The applications of one node.

    Attributes:
        node: The node.
        ended: The first application, if any, whose end took down the others.
    """

    def __init__(self, node: Node) -> None:
        self.node: Final = node
        self.ended: Ended | None = None
        # By name, in the order of start. One goes in with the first step of its start and out with its process's exit.
        self._masters: dict[str, Master] = {}

    def infos(self) -> list[ApplicationInfo]:
        """See ``which_applications``."""
        return [
            ApplicationInfo(name, master.pid, master.type)
            for name, master in self._masters.items()
            if master.pid is not None and master.runs
        ]

    # --- start -----------------------------------------------------------------------------------

    async def start(
        self,
        app: Application,
        type: RestartType,
        configs: Mapping[str, object],
        timeout: Seconds | Policy | None = POLICY,
    ) -> Master:
        """Start an application after those that it depends on; see ``Application.start``."""
        begun: list[Master] = []
        try:
            return await self._start(app, type, configs, timeout, begun)
        except Exception:
            await self._stop(begun)
            raise
        except asyncio.CancelledError:  # nobody waits for an orderly end
            self._kill(begun)
            raise

    async def _start(
        self,
        app: Application,
        type: RestartType,
        configs: Mapping[str, object],
        timeout: Seconds | Policy | None,
        begun: list[Master],
    ) -> Master:
        for dependency in app.all_dependencies:
            known = await self._known(dependency)
            if known is None:
                await self._begin(dependency, type, configs, timeout, begun)
            elif not known.runs:
                self._check_outside(known, "start")
                await known.started()
        known = await self._known(app)
        if known is not None:
            raise ApplicationStateError(
                app.name,
                verb="start",
                expected="one that does not run on the node",
                got=f"one that is {known.state}",
                fix="stop() it first, or go on with the one that runs.",
            )
        return await self._begin(app, type, configs, timeout, begun)

    async def _stop(self, begun: list[Master]) -> None:
        """Stop, in order, what a start has begun that failed: also where that was for want of time."""
        outer = DEADLINE.set(None)
        try:
            for master in reversed(begun):
                if not self._is_needed(master):
                    try:
                        await self._stopped(master)
                    except StopTimeoutError as error:  # why the start failed says more
                        _log.error("%s", error)
        except asyncio.CancelledError:
            self._kill(begun)
            raise
        finally:
            DEADLINE.reset(outer)

    def _kill(self, begun: list[Master]) -> None:
        for master in reversed(begun):
            if not self._is_needed(master):
                master.kill()

    def _is_needed(self, master: Master) -> bool:
        """Return whether another one depends on it that somebody else has started meanwhile."""
        return any(not one.ends for one in self._dependents(master))

    async def _known(self, app: Application) -> Master | None:
        """Return the application if it runs or starts; wait for the end of one that has begun to stop.

        Raises:
            ApplicationStateError: another application has its name, or one of its own processes would wait for its end.
        """
        while (known := self._masters.get(app.name)) is not None:
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
            self._check_outside(known, "start")
            await self._stopped(known)
        return None

    async def _begin(
        self,
        app: Application,
        type: RestartType,
        configs: Mapping[str, object],
        timeout: Seconds | Policy | None,
        begun: list[Master],
    ) -> Master:
        what = f"application {app.name}"
        self.node.check_running(what)
        if not self.node.running:
            raise NodeStateError(
                self.node.name, operation=f"start of {what}", expected="a running node", got="stopping"
            )
        for dependency in app.depends_on:
            known = self._masters.get(dependency.name)
            if known is None or not known.runs:
                raise ApplicationStateError(
                    app.name,
                    verb="start",
                    expected=f"application {dependency.name!r}, which it depends on, to run until then",
                    got="its end",
                    fix="read the log for why it ended.",
                )
        config = configs.get(app.name)
        flags = app._supervisor_flags(config)
        master = self._masters[app.name] = Master(
            app, flags, type=type, config=config, timeout=timeout, controller=self
        )
        begun.append(master)
        await master.started()
        return master

    def _check_outside(self, master: Master, verb: Literal["start", "stop"]) -> None:
        """Refuse to have a process of an application wait for that application."""
        caller = PROCESS.get()
        if caller is None or caller.task is not asyncio.current_task() or not caller.is_beneath(master.process):
            return
        name = master.application.name
        raise ApplicationStateError(
            name,
            verb=verb,
            expected="to be asked from outside of it",
            got=f"its own {caller!r}, which would wait for itself",
            fix=f"write spawn(app.{verb}), which does it in a process of its own.",
        )

    # --- stop ------------------------------------------------------------------------------------

    async def stop(self, app: Application, timeout: Seconds | Policy | None) -> None:
        """Stop an application; see ``Application.stop``."""
        master = self._masters.get(app.name)
        if master is None or master.application is not app:
            return
        self._check_outside(master, "stop")
        dependents = self._dependents(master)
        if dependents:
            names = ", ".join(repr(one.application.name) for one in dependents)
            raise ApplicationStateError(
                app.name,
                verb="stop",
                expected="no running application to depend on it",
                got=names,
                fix="stop those first.",
            )
        await self._stopped(master, timeout)

    async def _stopped(self, master: Master, timeout: Seconds | Policy | None = POLICY) -> None:
        """Stop an application, and wait until it has ended.

        Raises:
            StopTimeoutError: it goes on stopping.
        """
        process = master.process
        limit = wait_limit("Application.stop(timeout)", process, STOP_APPLICATION, timeout)
        try:
            await master.stop(timeout=limit)
        except TimeoutError:
            # The latest one of what is left is the one that is to end now.
            left = [process, *(one for one in self.node.processes.values() if one.is_beneath(process))]
            rule, cut_by = limit_cause(self.node, process.code, None, STOP_APPLICATION, timeout, limit or 0.0)
            raise StopTimeoutError(
                f"application {master.application.name!r}",
                timeout=limit or 0.0,
                outcome="it goes on stopping",
                rule=rule,
                cut_by=cut_by,
                doing=f"it waits for {left[-1]!r}",
                fix="pass a longer timeout=, or give what is slow there less time to stop.",
            ) from None

    async def close(self, stop: Callable[[Process], Awaitable[None]]) -> None:
        """Stop those that run, each by ``stop(process)``; the node calls this when it is left."""
        while (master := self._next_to_stop()) is not None:
            master.tell_to_stop()
            await stop(master.process)

    def forget(self, master: Master) -> None:
        """Take note that a master's process has ended."""
        del self._masters[master.application.name]

    def ended_by_itself(self, master: Master) -> None:
        """Take note that an application ended by itself, and take down the others if its type says so."""
        if not self.node.running:
            return  # all of them end
        name, reason = master.application.name, master.reason
        harmless = master.type == "temporary" or (master.type == "transient" and reason == "normal")
        _log.log(
            logging.INFO if reason == "normal" else logging.ERROR,
            "application %s of node %s ended by itself; it is %s%s; reason: %s",
            name,
            self.node.name,
            master.type,
            "" if harmless else ", so the others stop too",
            cut(reason),
        )
        if not harmless:
            self.ended = self.ended or Ended(name, reason)
            run_process(self.node, self._take_down, code=f"end of application {name}")

    async def _take_down(self, _: Process) -> None:
        while (master := self._next_to_stop()) is not None:
            await master.stop(timeout=None)  # nobody waits for this, and each child has a time of its own

    def _next_to_stop(self) -> Master | None:
        """Return the latest one that no other depends on: an ended one may have been started anew behind those."""
        return next((one for one in reversed(self._masters.values()) if not self._dependents(one)), None)

    def _dependents(self, master: Master) -> list[Master]:
        return [one for one in self._masters.values() if master.application in one.application.depends_on]
