# SPDX-License-Identifier: MIT
"""Process groups: processes join and leave, and somebody hears of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from stanchion._validate import cut, hashable, instance
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Pid, Process, Ref, current_process, own
from stanchion.registry._owned_table import running_table
from stanchion.registry._scope import GroupMonitorRef, Joined, Left, Scope
from stanchion.server import GenServer

_WHAT: Final = "scope of process groups"
_START: Final = "child_spec(ProcessGroups, name={name})"


class ProcessGroups(GenServer):
    """A scope of process groups: sets of processes under a common name, which is anything hashable.

    A scope is a process, started where its users are, before them: ``child_spec(ProcessGroups, name="pg")``. The
    functions below take its name as ``scope``, ``"pg"`` by default, and read and write its table at once, without a
    message to its process. A group is there while it has members. A member that exits has left before anyone hears of
    the exit. Members are not linked with the scope: should it crash, they live on, in no group.

    Any process may have any other join or leave; a ``Registry`` is the better choice where processes speak for
    themselves, or where each has something to tell.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def player(seconds):
        ...     await asyncio.sleep(seconds)
        >>> async def main():
        ...     async with st.Node():
        ...         await st.start(st.ProcessGroups, name="pg")
        ...         short, long = st.spawn(player, 0), st.spawn(player, 60)
        ...         st.ProcessGroups.join("room 1", [short, long])
        ...         await st.wait_exit(short, timeout=1)
        ...         return st.ProcessGroups.get_members("room 1") == [long]
        >>> asyncio.run(main())
        True

    Source: OTP's pg, on one node. There joining and leaving are requests to the scope, and a member that exits may be
    listed for a moment longer.
    """

    def init(self) -> None:
        """Open the scope."""
        process = current_process("ProcessGroups.init()")
        own(process, Scope(process))

    # --- members ---------------------------------------------------------------------------------

    @staticmethod
    def join(group: Hashable, pids: Pid | Iterable[Pid], *, scope: Ref = "pg") -> None:
        """Have processes join a group; one that joins several times must leave as often.

        Args:
            group: What the group is called: anything hashable. It is made by its first member.
            pids: A process, or some; one may come several times. Those that are gone do not join.
            scope: The scope's name or pid.

        Raises:
            InvalidOptionError: ``scope`` is no running scope, ``group`` has no hash, or ``pids`` are not pids of
                processes of the scope's node.
            NoNodeError: a name, outside of every node.

        Source: ``pg:join/3``.
        """
        table = _table("join", scope)
        table.join(_group("join", group), _pids("join", pids, table))

    @staticmethod
    def leave(group: Hashable, pids: Pid | Iterable[Pid], *, scope: Ref = "pg") -> bool:
        """Have processes leave a group, each once for each time that it is given.

        Args:
            group: The group.
            pids: A process, or some; one may come several times.
            scope: The scope's name or pid.

        Returns:
            False when none of them was a member (OTP: ``not_joined``); those that were not are left out in silence.

        Raises:
            InvalidOptionError: as ``join``.
            NoNodeError: a name, outside of every node.

        Source: ``pg:leave/3``.
        """
        table = _table("leave", scope)
        return table.leave(_group("leave", group), _pids("leave", pids, table))

    @staticmethod
    def get_members(group: Hashable, *, scope: Ref = "pg") -> list[Pid]:
        """Return the members of a group, each as often as it joined; none for a group that nobody joined.

        Args:
            group: The group.
            scope: The scope's name or pid.

        Raises:
            InvalidOptionError: ``scope`` is no running scope (OTP takes it for an empty one), or ``group`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``pg:get_members/2``.
        """
        return _table("get_members", scope).members(_group("get_members", group))

    @staticmethod
    def which_groups(*, scope: Ref = "pg") -> list[Hashable]:
        """Return every group that has a member, in the order of their first one.

        Args:
            scope: The scope's name or pid.

        Raises:
            InvalidOptionError: ``scope`` is no running scope.
            NoNodeError: a name, outside of every node.

        Source: ``pg:which_groups/1``.
        """
        return _table("which_groups", scope).groups()

    # --- monitors --------------------------------------------------------------------------------

    @staticmethod
    def monitor(group: Hashable, *, scope: Ref = "pg") -> tuple[GroupMonitorRef, list[Pid]]:
        """Have the running process hear of everyone who joins or leaves a group: ``Joined`` and ``Left``.

        Each call makes a monitor of its own. It ends with its owner and with the scope; who must know of the scope's
        end monitors that too.

        Args:
            group: The group; it need not have members.
            scope: The scope's name or pid.

        Returns:
            The monitor, and the members at this moment: no change is lost between the two, or told twice.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``scope`` is no running scope, or ``group`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``pg:monitor/2`` of OTP 25.1.
        """
        owner = current_process("ProcessGroups.monitor()")
        table = _table("monitor", scope)
        ref = table.monitor(owner, _group("monitor", group), whole_scope=False)
        return ref, table.members(group)

    @staticmethod
    def monitor_scope(*, scope: Ref = "pg") -> tuple[GroupMonitorRef, dict[Hashable, list[Pid]]]:
        """Have the running process hear of everyone who joins or leaves any group, as ``monitor`` does for one.

        Args:
            scope: The scope's name or pid.

        Returns:
            The monitor, and the members of each group at this moment.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``scope`` is no running scope.
            NoNodeError: a name, outside of every node.

        Source: ``pg:monitor_scope/1`` of OTP 25.1.
        """
        owner = current_process("ProcessGroups.monitor_scope()")
        table = _table("monitor_scope", scope)
        ref = table.monitor(owner, None, whole_scope=True)
        return ref, {group: table.members(group) for group in table.groups()}

    @staticmethod
    def demonitor(ref: GroupMonitorRef) -> None:
        """End a monitor of groups: after this call none of its messages arrives, even if it was already in the mailbox.

        Harmless when the monitor has ended. Only the owner may end its monitor.

        Args:
            ref: What ``monitor`` or ``monitor_scope`` returned.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``ref`` is no monitor of the running process.

        Source: ``pg:demonitor/2``, which takes the scope too.
        """
        owner = current_process("ProcessGroups.demonitor()")
        if instance("ProcessGroups.demonitor(ref)", ref, GroupMonitorRef).owner is not owner.pid:
            raise InvalidOptionError(
                "ProcessGroups.demonitor(ref)",
                expected=f"a monitor of the running process {owner.pid!r}",
                got=cut(ref),
                fix="let the process that made it end it.",
            )
        ref.end(owner)
        _flush(owner, ref)


def _flush(owner: Process, ref: GroupMonitorRef) -> None:
    """Take the messages of a monitor out of the mailbox that are still there."""
    mailbox = owner.mailbox
    unread = [
        envelope for envelope in mailbox.queue if isinstance(envelope[1], Joined | Left) and envelope[1].ref is ref
    ]
    for envelope in unread:
        mailbox.withdraw(envelope)


def _table(operation: str, scope: Ref) -> Scope:
    return running_table(scope, Scope, f"ProcessGroups.{operation}(scope)", _WHAT, _START)


def _group(operation: str, group: Hashable) -> Hashable:
    return hashable(f"ProcessGroups.{operation}(group)", group)


def _pids(operation: str, pids: Pid | Iterable[Pid], table: Scope) -> list[Pid]:
    subject = f"ProcessGroups.{operation}(pids)"
    if isinstance(pids, Pid):
        pids = [pids]
    if not isinstance(pids, Iterable):
        raise _no_pids(subject, pids)
    given = list(pids)
    for pid in given:
        if not isinstance(pid, Pid):
            raise _no_pids(subject, pids)
        if pid._process is not None and pid._process.node is not table.node:
            expected = f"processes of the node of {table!r}"
            raise InvalidOptionError(subject, expected=expected, got=f"{pid!r} of another node")
    return given


def _no_pids(subject: str, got: object) -> InvalidOptionError:
    return InvalidOptionError(subject, expected="a pid, or a list of pids", got=cut(got))
