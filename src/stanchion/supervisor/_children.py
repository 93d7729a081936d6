# SPDX-License-Identifier: MIT
"""The children of one running supervisor, and what becomes of them when one exits."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence

from stanchion._validate import nearest
from stanchion.errors import ChildIdTakenError, ChildNotFoundError, ChildStartError, ChildStateError
from stanchion.kernel import ExitReason, Pid, Process, is_abnormal
from stanchion.supervisor._child import Child, counts_of, stop_children
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._flags import AutoShutdown, Flags, Strategy, check_significant
from stanchion.supervisor._requests import ChildCounts, ChildInfo
from stanchion.supervisor._restarts import Refused, Restarts
from stanchion.supervisor._retry import Retry
from stanchion.supervisor._start_process import start_process
from stanchion.supervisor._told_to_exit import ToldToExit

_log = logging.getLogger("stanchion.supervisor")


class Children:
    """The children of one supervisor; only its own task uses this."""

    __slots__ = ("_auto_shutdown", "_by_id", "_process", "_restarts", "_strategy")

    def __init__(self, process: Process, flags: Flags) -> None:
        self._process = process
        self._strategy: Strategy = flags.strategy
        self._auto_shutdown: AutoShutdown = flags.auto_shutdown
        self._restarts = Restarts(process, flags.max_restarts, flags.max_seconds)
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
        """Restart a child that exited, if its spec says so; return False when the supervisor is to exit.

        Raises:
            ToldToExit: the supervisor was told to exit meanwhile.
        """
        child = next((child for child in self._by_id.values() if child.pid is pid), None)
        if child is None or pid is None:
            return True  # a child that has been stopped or replaced, or a stranger
        if pid._process is not None:
            return True  # no exit, but an exit signal that the child sent by exit()
        child.pid = None
        kind = child.spec.restart
        if kind == "permanent" or (kind == "transient" and is_abnormal(reason)):
            return await self._restart(child, reason)
        self._forget_temporary(child)
        return not self._shuts_down(child)

    async def after_wait(self, retry: Retry) -> bool:
        """Start a child that waited for it, unless it waits no more; else as ``after_exit``."""
        child = retry.child
        if child.retry is not retry:
            return True
        if retry.failure is not None:
            return await self._restart(child, retry.failure)
        await self._start_again(await self._stop_group(child))
        return True

    async def _restart(self, child: Child, reason: object) -> bool:
        """Restart a child, and those whom the strategy restarts with it."""
        if isinstance(reason, SystemExit):
            return True  # it ends the whole program, and this supervisor is about to be told
        delay = self._restarts.count(child, reason)
        if delay is Refused.GIVE_UP:
            return False
        if delay is Refused.LEAVE:
            return await self._leave(child)
        group = await self._stop_group(child)
        if delay:
            child.put_off(self._process, delay=delay)
        else:
            await self._start_again(group)
        return True

    async def _leave(self, child: Child) -> bool:
        """Leave a child stopped, and start those that wait for it; return False when the supervisor is to exit."""
        waited = child.retry is not None
        child.cancel_retry()
        if self._shuts_down(child):
            return False
        if waited:
            # Its last start failed, and those of its group that come behind it have not been started yet.
            group = self._group_of(child)
            await self._start_again([one for one in group[group.index(child) + 1 :] if one.pid is None])
        return True

    async def _stop_group(self, child: Child) -> list[Child]:
        """Stop whom the strategy restarts with a child, and return those to start again."""
        group = self._group_of(child)
        await stop_children(self._process, group)
        for one in group:
            self._forget_temporary(one)
        return [one for one in group if one.spec.id in self._by_id]

    def _group_of(self, child: Child) -> list[Child]:
        """Return whom the strategy restarts with a child, and the child, in the order of their start.

        Source: ``restart/3`` of OTP's supervisor.
        """
        if self._strategy == "one_for_one":
            return [child]
        children = list(self._by_id.values())
        return children if self._strategy == "one_for_all" else children[children.index(child) :]

    async def _start_again(self, group: Sequence[Child]) -> None:
        for child in group:
            try:
                await start_process(self._process, child)
            except ChildStartError as error:
                _log.warning("%s", error)
                child.put_off(self._process, failure=error.reason)
                return

    def _shuts_down(self, child: Child) -> bool:
        """Return whether the supervisor exits because this child ended by itself and is not started again.

        Source: ``do_auto_shutdown/2`` of OTP's supervisor.
        """
        if not child.spec.significant:
            return False
        shuts_down = self._auto_shutdown == "any_significant" or not any(one.spec.significant for one in self._active())
        if shuts_down:
            _log.info("%r shuts down: its significant child %r has ended", self._process, child.spec.id)
        return shuts_down

    def _active(self) -> list[Child]:
        """Return those that run or are about to: also those that a backoff's delay keeps stopped with a sibling.

        OTP counts out whom it has stopped for a sibling's restart that fails; there, that lasts a moment only.
        """
        active = [child for child in self._by_id.values() if child.state != "stopped"]
        for child in list(active):
            if child.retry is not None and child.retry.failure is None:
                active += self._group_of(child)
        return active

    def _forget_temporary(self, child: Child) -> None:
        """Forget a child that does not run and never will again."""
        if child.pid is None and child.spec.restart == "temporary":
            del self._by_id[child.spec.id]

    # --- requests --------------------------------------------------------------------------------

    def infos(self) -> list[ChildInfo]:
        """See ``which_children``."""
        return [child.info() for child in self._by_id.values()]

    def counts(self) -> ChildCounts:
        """See ``count_children``."""
        return counts_of(self._by_id.values())

    def spec(self, id: Hashable) -> ChildSpec:
        """See ``get_childspec``."""
        return self._find(id).spec

    async def add(self, spec: ChildSpec) -> Pid | None:
        """See ``start_child``."""
        check_significant(spec, repr(self._process), self._auto_shutdown)
        known = self._by_id.get(spec.id)
        if known is not None:
            raise ChildIdTakenError(spec.id, supervisor=repr(self._process), pid=known.pid, state=known.state)
        return await self._start_new(spec)

    async def terminate(self, id: Hashable) -> None:
        """See ``terminate_child``."""
        child = self._find(id)
        await stop_children(self._process, [child])
        self._forget_temporary(child)

    async def restart(self, id: Hashable) -> Pid | None:
        """See ``restart_child``."""
        child = self._stopped(id, "restart")
        child.forget_restarts()
        await start_process(self._process, child)
        return child.pid

    def delete(self, id: Hashable) -> None:
        """See ``delete_child``."""
        del self._by_id[self._stopped(id, "deletion").spec.id]

    def pid_of(self, id: Hashable) -> Pid | None:
        """Return who runs by an id, or None."""
        child = self._by_id.get(id)
        return None if child is None else child.pid

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
