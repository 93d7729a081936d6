# SPDX-License-Identifier: MIT
"""The children of one running DynamicSupervisor: any number, known by their pids."""

from __future__ import annotations

import copy
import logging

from stanchion.errors import ChildNotFoundError, ChildStartError, MaxChildrenError
from stanchion.kernel import ExitReason, Pid, Process, is_abnormal
from stanchion.supervisor._child import Child, counts_of, stop_children
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._flags import check_significant
from stanchion.supervisor._requests import ChildCounts, ChildInfo
from stanchion.supervisor._restarts import Refused, Restarts
from stanchion.supervisor._retry import Retry
from stanchion.supervisor._start_process import start_process
from stanchion.supervisor._stop_together import stop_together

_log = logging.getLogger("stanchion.supervisor")


class DynamicChild(Child):
    """A child, and where it is kept. Only its supervisor changes it."""

    __slots__ = ("key",)

    # Its pid; while it waits for its restart, the pid that it had.
    key: Pid


class DynamicChildren:
    """The children of one DynamicSupervisor; only its own task uses this.

    The start, the exit and the stop of one child take the same time however many there are.
    """

    __slots__ = ("_by_pid", "_extra_args", "_max_children", "_process", "_restarts")

    def __init__(
        self, process: Process, restarts: Restarts, max_children: int | None, extra_args: tuple[object, ...]
    ) -> None:
        self._process = process
        self._restarts = restarts
        self._max_children = max_children
        self._extra_args = extra_args
        # By their keys, in the order of start. One that is not in here is nobody's child any more.
        self._by_pid: dict[Pid, DynamicChild] = {}

    async def stop_all(self) -> None:
        """Stop the children, all at once."""
        await stop_together(self._process, list(self._by_pid.values()))

    # --- when a child exits ----------------------------------------------------------------------

    async def after_exit(self, pid: Pid | None, reason: ExitReason) -> bool:
        """Restart a child that exited, if its spec says so; return False when the supervisor is to give up.

        Raises:
            ToldToExit: the supervisor was told to exit meanwhile.
        """
        child = None if pid is None else self._by_pid.get(pid)
        if pid is None or child is None or child.pid is not pid or pid._process is not None:
            return True  # one that has been stopped, a stranger, or an exit signal that a child sent by exit()
        child.pid = None
        kind = child.spec.restart
        if kind == "permanent" or (kind == "transient" and is_abnormal(reason)):
            return await self._restart(child, reason)
        del self._by_pid[pid]
        return True

    async def after_wait(self, retry: Retry) -> bool:
        """Start a child that waited for it, unless it waits no more; else as ``after_exit``."""
        child = retry.child
        if child.retry is not retry or not isinstance(child, DynamicChild):
            return True
        if retry.failure is not None:
            return await self._restart(child, retry.failure)
        await self._start_again(child)
        return True

    async def _restart(self, child: DynamicChild, reason: object) -> bool:
        if isinstance(reason, SystemExit):
            return True  # it ends the whole program, and this supervisor is about to be told
        delay = self._restarts.count(child, reason)
        if delay is Refused.GIVE_UP:
            return False
        if delay is Refused.LEAVE:
            child.cancel_retry()
            del self._by_pid[child.key]  # nobody could start it again
        elif delay:
            child.put_off(self._process, delay=delay)
        else:
            await self._start_again(child)
        return True

    async def _start_again(self, child: DynamicChild) -> None:
        try:
            await start_process(self._process, child)
        except ChildStartError as error:
            _log.warning("%s", error)
            child.put_off(self._process, failure=error.reason)
            return
        del self._by_pid[child.key]
        self._keep(child)

    def _keep(self, child: DynamicChild) -> None:
        """Keep a child that was started, unless its init returned IGNORE."""
        if child.pid is not None:
            child.key = child.pid
            self._by_pid[child.key] = child

    # --- requests --------------------------------------------------------------------------------

    def infos(self) -> list[ChildInfo]:
        """See ``which_children``."""
        return [child.info() for child in self._by_pid.values()]

    def counts(self) -> ChildCounts:
        """See ``count_children``."""
        return counts_of(self._by_pid.values())

    async def add(self, spec: ChildSpec) -> Pid | None:
        """See ``start_child``."""
        if self._extra_args:
            spec = copy.copy(spec)
            spec.args = (*self._extra_args, *spec.args)
        return await self.start(spec)

    async def start(self, spec: ChildSpec) -> Pid | None:
        """Start a child with the arguments in its spec and no others.

        Raises:
            MaxChildrenError: there are as many as there may be.
            ChildSpecError: the child is significant.
            ChildStartError: it did not start.
            ToldToExit: the supervisor was told to exit, before or meanwhile.
        """
        check_significant(spec, repr(self._process), "never")
        if self._max_children is not None and len(self._by_pid) >= self._max_children:
            raise MaxChildrenError(spec.id, supervisor=repr(self._process), max_children=self._max_children)
        child = DynamicChild(spec)
        await start_process(self._process, child)
        self._keep(child)
        return child.pid

    async def terminate(self, pid: object) -> None:
        """See ``terminate_child``."""
        child = self._find(pid)
        await stop_children(self._process, [child])
        del self._by_pid[child.key]

    def spec(self, pid: object) -> ChildSpec:
        """See ``get_childspec``."""
        return self._find(pid).spec

    def _find(self, pid: object) -> DynamicChild:
        child = self._by_pid.get(pid) if isinstance(pid, Pid) else None
        if child is None:
            fix = "pass the pid of a child; which_children() tells them."
            raise ChildNotFoundError(pid, supervisor=repr(self._process), fix=fix)
        return child
