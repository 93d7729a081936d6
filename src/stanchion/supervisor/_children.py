# SPDX-License-Identifier: MIT
"""The children of one running supervisor, and what becomes of them when one exits."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from stanchion._validate import cut, nearest
from stanchion.errors import ChildNotFoundError, ChildSpecError, ChildStartError, ChildStateError
from stanchion.kernel import INFO, ExitReason, Pid, Process, is_abnormal
from stanchion.supervisor._child import Child, ToldToExit, start_process, stop_children
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._requests import ChildCounts, ChildInfo
from stanchion.supervisor._restart_window import RestartWindow
from stanchion.supervisor._strategies import Strategy, affected
from stanchion.telemetry import CHILD_RESTART

_log = logging.getLogger("stanchion.supervisor")


class TryAgain(NamedTuple):
    """A supervisor's message to itself, so that between two failed restarts it hears what else came."""

    child: Child
    reason: object


class Children:
    """The children of one supervisor; only its own task uses this."""

    __slots__ = ("_by_id", "_process", "_strategy", "_window")

    def __init__(self, process: Process, strategy: Strategy, window: RestartWindow) -> None:
        self._process = process
        self._strategy: Strategy = strategy
        self._window = window
        # In the order of start. One that is not in here is nobody's child any more.
        self._by_id: dict[Hashable, Child] = {}

    async def start_all(self, specs: Iterable[ChildSpec]) -> None:
        """Start the first children, in order; when that does not succeed, stop them again.

        Raises:
            ChildStartError: one did not start.
            ToldToExit: the supervisor was told to exit meanwhile.
        """
        try:
            for spec in specs:
                await self._start_new(spec)
        except (ChildStartError, ToldToExit):
            await self.stop_all()
            raise

    async def stop_all(self) -> None:
        """Stop the children, the last one first."""
        await stop_children(self._process, list(self._by_id.values()))

    # --- when a child exits ----------------------------------------------------------------------

    async def after_exit(self, pid: Pid | None, reason: ExitReason) -> bool:
        """Restart a child that exited, if its spec says so; return False when the supervisor is to give up.

        Raises:
            ToldToExit: the supervisor was told to exit meanwhile.
        """
        child = next((child for child in self._by_id.values() if child.pid is pid), None)
        if child is None or pid is None:
            return True  # a child that has been stopped or replaced, or a stranger
        child.pid = None
        self._forget_temporary(child)
        kind = child.spec.restart
        if kind == "permanent" or (kind == "transient" and is_abnormal(reason)):
            return await self._restart(child, reason)
        return True

    async def try_again(self, failed: TryAgain) -> bool:
        """Restart a child whose last restart failed, unless that has been settled; else as ``after_exit``."""
        return not failed.child.restarting or await self._restart(failed.child, failed.reason)

    async def _restart(self, child: Child, reason: object) -> bool:
        """Restart a child, and those whom the strategy restarts with it."""
        if isinstance(reason, SystemExit):
            return True  # it ends the whole program, and this supervisor is about to be told
        window = self._window
        count = window.add()
        limits = (window.max_restarts, window.max_seconds, cut(reason))
        if count > window.max_restarts:
            text = "%r gives up: child %r needs restart %d, and allowed are %d within %g s; last reason: %s"
            _log.error(text, self._process, child.spec.id, count, *limits)
            return False
        text = "%r restarts child %r: restart %d of %d within %g s; reason: %s"
        _log.warning(text, self._process, child.spec.id, count, *limits)
        self._tell_restart(child, reason, count)
        group = affected(self._strategy, list(self._by_id.values()), child)
        await stop_children(self._process, group)
        for one in group:
            self._forget_temporary(one)
        await self._start_again([one for one in group if one.spec.id in self._by_id])
        return True

    async def _start_again(self, group: list[Child]) -> None:
        for child in group:
            try:
                await start_process(self._process, child)
            except ChildStartError as error:
                _log.warning("%s", error)
                child.restarting = True
                self._process.mailbox.put_system((INFO, TryAgain(child, error.reason), None))
                return

    def _tell_restart(self, child: Child, reason: object, count: int) -> None:
        node, pid = self._process.node, self._process.pid
        if node.telemetry.attached:
            details = {"node": node.name, "pid": pid, "name": pid.name, "child_id": child.spec.id, "reason": reason}
            node.telemetry.emit(CHILD_RESTART, {"restarts": count}, details)

    def _forget_temporary(self, child: Child) -> None:
        """Forget a child that does not run and never will again."""
        if child.pid is None and child.spec.restart == "temporary":
            del self._by_id[child.spec.id]

    # --- requests --------------------------------------------------------------------------------

    def infos(self) -> list[ChildInfo]:
        """See ``which_children``."""
        return [
            ChildInfo(child.spec.id, child.pid, child.state, child.spec.type, child.spec.restart)
            for child in self._by_id.values()
        ]

    def counts(self) -> ChildCounts:
        """See ``count_children``."""
        children = self._by_id.values()
        supervisors = sum(child.spec.type == "supervisor" for child in children)
        active = sum(child.pid is not None for child in children)
        return ChildCounts(len(children), active, supervisors, len(children) - supervisors)

    async def add(self, spec: ChildSpec) -> Pid | None:
        """See ``start_child``."""
        known = self._by_id.get(spec.id)
        if known is not None:
            raise ChildSpecError(
                spec.id,
                expected=f"an id that is free in {self._process!r}",
                got=f"that of a child that is {known.state}",
                fix="pass another id=, or terminate_child() and delete_child() the one that has it.",
            )
        return await self._start_new(spec)

    async def terminate(self, id: Hashable) -> None:
        """See ``terminate_child``."""
        child = self._find(id)
        await stop_children(self._process, [child])
        self._forget_temporary(child)

    async def restart(self, id: Hashable) -> Pid | None:
        """See ``restart_child``."""
        child = self._stopped(id, "restart")
        await start_process(self._process, child)
        return child.pid

    def delete(self, id: Hashable) -> None:
        """See ``delete_child``."""
        del self._by_id[self._stopped(id, "deletion").spec.id]

    async def _start_new(self, spec: ChildSpec) -> Pid | None:
        child = Child(spec)
        await start_process(self._process, child)
        self._by_id[spec.id] = child
        self._forget_temporary(child)
        return child.pid

    def _find(self, id: Hashable) -> Child:
        child = self._by_id.get(id)
        if child is None:
            names = [known for known in self._by_id if isinstance(known, str)]
            guess = nearest(id, names) if isinstance(id, str) else None
            fix = f"did you mean {guess!r}?" if guess else "which_children() tells the ids."
            raise ChildNotFoundError(id, supervisor=repr(self._process), fix=fix)
        return child

    def _stopped(self, id: Hashable, verb: str) -> Child:
        child = self._find(id)
        if child.state != "stopped":
            raise ChildStateError(id, verb=verb, supervisor=repr(self._process), state=child.state)
        return child
