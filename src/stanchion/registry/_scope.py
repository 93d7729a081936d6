# SPDX-License-Identifier: MIT
"""The table of one scope of process groups: who is a member of what, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from stanchion._validate import cut
from stanchion.kernel import INFO, Notification, Owned, Pid, Possession, Process, disown, own


@Notification.register
class Joined(NamedTuple):
    """The plain message of a group monitor: processes joined a group.

    Attributes:
        ref: The monitor.
        group: The group.
        pids: Who joined, one that joined twice twice.

    Source: ``{Ref, join, Group, Pids}`` of OTP's pg.
    """

    ref: GroupMonitorRef
    group: Hashable
    pids: list[Pid]


@Notification.register
class Left(NamedTuple):
    """The plain message of a group monitor: processes left a group, or exited as its members.

    Attributes:
        ref: The monitor.
        group: The group.
        pids: Who left, one that left twice twice.

    Source: ``{Ref, leave, Group, Pids}`` of OTP's pg.
    """

    ref: GroupMonitorRef
    group: Hashable
    pids: list[Pid]


class GroupMonitorRef(Owned):
    """One monitor of a group, or of all groups of a scope: made by ``ProcessGroups.monitor`` or ``monitor_scope``.

    It ends with its owner, with the scope, or by ``ProcessGroups.demonitor``.
    """

    __slots__ = ("_scope", "group", "owner", "whole_scope")

    def __init__(self, scope: Scope, owner: Process, group: Hashable, *, whole_scope: bool) -> None:
        self._scope = scope
        # What it monitors: the group, or None and whole_scope.
        self.group = group
        self.whole_scope = whole_scope
        # The pid, which does not keep a process alive that has ended.
        self.owner = owner.pid

    def tell(self, message: Joined | Left) -> None:
        """Put a message into the owner's mailbox, whatever its limit: one left out would make all later ones wrong."""
        self.owner._mailbox.put_system((INFO, message, None))

    def end(self, owner: Process) -> None:
        """End the monitor before its owner does; harmless when it has ended."""
        disown(owner, self)
        self._scope.drop(self)

    def release(self) -> None:
        """End the monitor; the exit of its owner calls this."""
        self._scope.drop(self)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        what = "all groups" if self.whole_scope else f"group {cut(self.group)}"
        return [Possession("subscription", f"to {what} of {self._scope!r}")]

    def __repr__(self) -> str:
        what = f"all groups of {self._scope!r}" if self.whole_scope else f"group {self.group!r} of {self._scope!r}"
        return f"<monitor of {what} by {self.owner!r}>"


class Membership(Owned):
    """What one process is a member of; the process owns it while that is anything."""

    __slots__ = ("_scope", "groups", "process")

    def __init__(self, scope: Scope, process: Process) -> None:
        self._scope = scope
        self.process = process
        # The members of each, itself among them, in the order in which it first joined.
        self.groups: dict[Hashable, dict[Pid, int]] = {}

    def release(self) -> None:
        """Leave everything; the exit of the process calls this."""
        self._scope.forget(self)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        return [Possession("membership", f"of group {cut(group)} of {self._scope!r}") for group in self.groups]


class Scope(Owned):
    """The groups of one scope, owned by its process.

    Each group stands here and in the membership of each member; no group and no membership is empty. Every change is
    one step, without an await in it.
    """

    __slots__ = ("_groups", "_memberships", "_monitors", "_scope_monitors", "_text", "node")

    def __init__(self, process: Process) -> None:
        # No more of the process, since whoever keeps a monitor keeps this.
        self.node = process.node
        self._text = repr(process)
        # Each member with how often it joined, in the order of the first time.
        self._groups: dict[Hashable, dict[Pid, int]] = {}
        self._memberships: dict[Pid, Membership] = {}
        # Each monitor with the process that owns it.
        self._monitors: dict[Hashable, dict[GroupMonitorRef, Process]] = {}
        self._scope_monitors: dict[GroupMonitorRef, Process] = {}

    def __repr__(self) -> str:
        return self._text

    def members(self, group: Hashable) -> list[Pid]:
        """Return the members of a group, each as often as it joined."""
        return [pid for pid, count in self._groups.get(group, {}).items() for _ in range(count)]

    def groups(self) -> list[Hashable]:
        """Return the groups that have a member."""
        return list(self._groups)

    # --- members ---------------------------------------------------------------------------------

    def join(self, group: Hashable, pids: Iterable[Pid]) -> None:
        """Have processes join a group; those that are gone do not."""
        joined: list[Pid] = []
        for pid in pids:
            process = pid._process
            if process is not None:
                # The group first: it is the user's code that compares it, and may raise.
                members = self._groups.setdefault(group, {})
                membership = self._memberships.get(pid) or self._begin(process)
                membership.groups[group] = members
                members[pid] = members.get(pid, 0) + 1
                joined.append(pid)
        if joined:
            self._tell(Joined, group, joined)

    def leave(self, group: Hashable, pids: Iterable[Pid]) -> bool:
        """Have processes leave a group; return whether any was a member."""
        left = [pid for pid in pids if self._leave(group, pid)]
        if left:
            self._tell(Left, group, left)
        return bool(left)

    def forget(self, membership: Membership) -> None:
        """Have a process that exits leave everything, the latest group first."""
        pid = membership.process.pid
        del self._memberships[pid]
        for group, members in reversed(membership.groups.items()):
            count = members[pid]
            self._take(group, members, pid)
            for _ in range(count):
                self._tell(Left, group, [pid])

    def _leave(self, group: Hashable, pid: Pid) -> bool:
        members = self._groups.get(group, {})
        if pid not in members:
            return False
        if members[pid] > 1:
            members[pid] -= 1
            return True
        self._take(group, members, pid)
        membership = self._memberships[pid]
        del membership.groups[group]
        if not membership.groups:
            del self._memberships[pid]
            disown(membership.process, membership)
        return True

    def _take(self, group: Hashable, members: dict[Pid, int], pid: Pid) -> None:
        del members[pid]
        # A group that the user changed meanwhile is not found, or is another's.
        if not members and self._groups.get(group) is members:
            del self._groups[group]

    def _begin(self, process: Process) -> Membership:
        membership = self._memberships[process.pid] = Membership(self, process)
        own(process, membership)
        return membership

    # --- monitors --------------------------------------------------------------------------------

    def monitor(self, owner: Process, group: Hashable, *, whole_scope: bool) -> GroupMonitorRef:
        """Have a process hear of one group, or of all."""
        ref = GroupMonitorRef(self, owner, group, whole_scope=whole_scope)
        monitors = self._scope_monitors if whole_scope else self._monitors.setdefault(group, {})
        monitors[ref] = owner
        own(owner, ref)
        return ref

    def drop(self, ref: GroupMonitorRef) -> None:
        """End a monitor; harmless when it has ended."""
        if ref.whole_scope:
            self._scope_monitors.pop(ref, None)
            return
        monitors = self._monitors.get(ref.group, {})
        monitors.pop(ref, None)
        if not monitors:
            self._monitors.pop(ref.group, None)

    def release(self) -> None:
        """Let members and monitors go; the exit of the scope calls this. Nobody is told."""
        for membership in self._memberships.values():
            disown(membership.process, membership)
        for refs in (self._scope_monitors, *self._monitors.values()):
            for ref, owner in refs.items():
                disown(owner, ref)
        for table in (self._groups, self._memberships, self._monitors, self._scope_monitors):
            table.clear()

    def users(self) -> Iterable[Pid]:
        """See ``Owned.users``: whoever is a member, or monitors a group."""
        monitors = (self._scope_monitors, *self._monitors.values())
        return [*self._memberships, *(ref.owner for refs in monitors for ref in refs)]

    def _tell(self, message: type[Joined | Left], group: Hashable, pids: list[Pid]) -> None:
        for ref in (*self._scope_monitors, *self._monitors.get(group, ())):
            ref.tell(message(ref, group, list(pids)))
