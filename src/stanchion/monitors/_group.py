# SPDX-License-Identifier: MIT
"""Monitors of many targets, which are kept and ended together."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self
from weakref import ReferenceType, ref

from stanchion._validate import cut, hashable
from stanchion.errors import InvalidOptionError
from stanchion.kernel import (
    Down,
    Keeper,
    MonitorRef,
    Pid,
    Process,
    Ref,
    Site,
    Via,
    caller,
    checked_ref,
    current_process,
    demonitor,
    flush_downs,
    monitor,
)
from stanchion.monitors._monitoring import run_as


class _Membership(Keeper):
    """What the monitors of one group are for. It does not keep the group, which nobody could lose otherwise."""

    __slots__ = ("_group",)

    def __init__(self, group: ReferenceType[MonitorGroup]) -> None:
        self._group = group

    def ended(self, ref: MonitorRef) -> None:
        group = self._group()
        if group is not None:
            group._forget(ref)

    def __repr__(self) -> str:
        return "a group"


class MonitorGroup:
    """Monitors of many targets by one process; ``monitor_group`` makes it.

    Each target is monitored once. It leaves the group in the step of its exit, and the owner gets its ``Down``; so the
    group does not grow with those that are gone. All of it ends with its owner, and at the end of the block with ``async
    with``. Only the owner may change it.

    Attributes:
        owner: The process that made it, which gets the ``Down`` messages.
        tag: The tag of its monitors.
    """

    def __init__(self, owner: Process, tag: str | None) -> None:
        self.owner = owner.pid
        self.tag = tag
        # The monitors of targets that live, by what they were added as, and the other way round.
        self._monitors: dict[Ref, MonitorRef] = {}
        self._added_as: dict[MonitorRef, Ref] = {}
        self._membership = _Membership(ref(self))

    @property
    def left(self) -> tuple[Pid, ...]:
        """Who is monitored and lives. The ``Down`` of one who is not among them may still be unread."""
        return tuple(ref.target for ref in self._added_as if ref.target is not None)

    def add(self, target: Ref) -> MonitorRef:
        """Monitor one more target; the same target again is the same monitor. Takes constant time.

        When there is no such process, its ``Down`` comes at once, with reason ``"noproc"``.

        Args:
            target: A pid or a registered name; a name means who holds it now.

        Raises:
            InvalidOptionError: ``target`` is no ref, or the group belongs to another process.
            NotInProcessError: the code runs outside of all processes.
        """
        return self._add(target, caller())

    def discard(self, target: Ref | MonitorRef) -> None:
        """End the monitor of a target, as ``demonitor`` does; harmless when there is none. Takes constant time.

        Args:
            target: What was given to ``add``, or the monitor that it returned.

        Raises:
            InvalidOptionError: the group belongs to another process.
            NotInProcessError: the code runs outside of all processes.
        """
        self._check_owner("discard")
        monitored = target if isinstance(target, MonitorRef) else self._monitors.get(target)
        if monitored is not None and monitored.until is self._membership:
            self._forget(monitored)
            demonitor(monitored)

    def clear(self) -> None:
        """End all monitors of the group; no ``Down`` of it arrives after that, also of those that have left it.

        Raises:
            InvalidOptionError: the group belongs to another process.
            NotInProcessError: the code runs outside of all processes.
        """
        owner = self._check_owner("clear")
        for monitored in tuple(self._added_as):
            self._forget(monitored)
            demonitor(monitored)
        flush_downs(owner, self.__contains__)

    def _add(self, target: Ref, site: Site) -> MonitorRef:
        self._check_owner("add")
        hashable("MonitorGroup.add(target)", checked_ref(target, "MonitorGroup.add(target)"))
        known = self._monitors.get(target)
        if known is not None:
            return known
        added = monitor(target, tag=self.tag)
        added.until = self._membership
        added.made_at(site)
        if added.fired is None:
            self._monitors[target] = added
            self._added_as[added] = target
        return added

    def _forget(self, ref: MonitorRef) -> None:
        target = self._added_as.pop(ref, None)
        if target is not None:
            del self._monitors[target]

    def _check_owner(self, verb: str) -> Process:
        process = current_process(f"MonitorGroup.{verb}()")
        if process.pid is not self.owner:
            raise InvalidOptionError(
                f"MonitorGroup.{verb}()",
                expected=f"the owner of the group, {self.owner!r}",
                got=f"{process!r}",
                fix="let each process have a group of its own: a Down comes to who monitors.",
            )
        return process

    def __contains__(self, item: object) -> bool:
        """Whether a ``Down`` is of this group, or a target is monitored by it."""
        if isinstance(item, Down):
            return item.ref.until is self._membership
        return item in self._monitors

    async def __aenter__(self) -> Self:
        """Return the group."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all monitors, whatever ended the block."""
        run_as(self.owner, self.clear)

    def __repr__(self) -> str:
        tag = f" {self.tag!r}" if self.tag else ""
        return f"<monitor group{tag} of {self.owner!r}, {len(self._added_as)} left>"


def monitor_group(targets: Iterable[Ref] = (), *, tag: str | None = None) -> MonitorGroup:
    """Monitor many processes from the running one, and keep the monitors together.

    Each exit is a ``Down`` of its own: ``down in group`` says whether it is of this group, ``group.left`` who lives. Keep
    the group: its monitors are ended by ``discard``, ``clear``, the end of ``async with group:``, or the owner's exit.

    Args:
        targets: Pids or registered names; more can be added.
        tag: A word of the caller's, given back in each ``Down``.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: a target is no ref; then none is monitored.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def worker(seconds):
        ...     await asyncio.sleep(seconds)
        >>> async def watch(done):
        ...     pids = [st.spawn(worker, 0), st.spawn(worker, 60)]
        ...     async with st.monitor_group(pids, tag="workers") as group:
        ...         down = await st.receive(timeout=5)
        ...         done.set_result((down in group, group.left == (pids[1],)))
        >>> async def main():
        ...     async with st.Node():
        ...         done = asyncio.get_running_loop().create_future()
        ...         st.spawn(watch, done)
        ...         return await done
        >>> asyncio.run(main())
        (True, True)
    """
    if isinstance(targets, str | Pid | Via) or not isinstance(targets, Iterable):
        raise InvalidOptionError(
            "monitor_group(targets)",
            expected="pids or registered names, several of them",
            got=cut(targets),
            fix=f"write monitor_group([{cut(targets)}])." if isinstance(targets, str) else "put it into a list.",
        )
    group = MonitorGroup(current_process("monitor_group()"), tag)
    site = caller()
    try:
        for target in targets:
            group._add(target, site)
    except BaseException:
        group.clear()
        raise
    return group
