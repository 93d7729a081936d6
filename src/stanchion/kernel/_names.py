# SPDX-License-Identifier: MIT
"""Plain names: one word, one process, one node."""

from __future__ import annotations

from stanchion._validate import cut, instance
from stanchion.errors import InvalidOptionError, NameTakenError
from stanchion.kernel._context import current_node
from stanchion.kernel._pid import Pid

Ref = Pid | str
"""How a process is addressed: its pid, or the name it is registered under."""


class Names:
    """The registered names of one node. A name here always belongs to a process that has not finished."""

    __slots__ = ("_pids",)

    def __init__(self) -> None:
        self._pids: dict[str, Pid] = {}

    def get(self, name: str) -> Pid | None:
        """Return who holds the name, or None."""
        return self._pids.get(name)

    def claim(self, name: str, pid: Pid) -> None:
        """Give a free name to a process that has none."""
        holder = self._pids.get(name)
        if holder is not None:
            raise NameTakenError(name, repr(holder))
        if pid.name is not None:
            raise InvalidOptionError(
                "register(name)",
                expected="a process without a name",
                got=f"{pid!r}",
                fix=f"unregister({pid.name!r}) first.",
            )
        self._pids[name] = pid
        pid.name = name

    def release(self, pid: Pid) -> None:
        """Free the name of a process that ends; harmless when it has none. The pid remembers it."""
        if pid.name is not None and self._pids.get(pid.name) is pid:
            del self._pids[pid.name]

    def unregister(self, name: str) -> None:
        """Free a name; harmless when nobody holds it."""
        pid = self._pids.pop(name, None)
        if pid is not None:
            pid.name = None

    def all(self) -> list[str]:
        """Return every name, in the order of registration."""
        return list(self._pids)


def valid_name(subject: str, name: object) -> str:
    """Return ``name`` when it can be a process's name: a string that is not empty."""
    if isinstance(name, str) and name:
        return name
    raise InvalidOptionError(subject, expected="a name (a string that is not empty)", got=cut(name))


def register(name: str, pid: Pid) -> None:
    """Give a name to a process; from then on it can be addressed by it. The name is freed when the process exits.

    Raises:
        NameTakenError: a live process holds the name.
        InvalidOptionError: ``name`` is no name; or the process is gone, lives in another node, or has a name already.
        NoNodeError: the code runs outside of every node.

    Source: ``erlang:register/2``.
    """
    valid_name("register(name)", name)
    node = current_node("register()")
    process = instance("register(pid)", pid, Pid)._process
    if process is None:
        raise InvalidOptionError("register(pid)", expected="a live process", got=f"{pid!r}, which has ended")
    if process.node is not node:
        got = f"{pid!r} of another node"
        raise InvalidOptionError("register(pid)", expected=f"a process of node {node.name!r}", got=got)
    node.names.claim(name, pid)


def unregister(name: str) -> None:
    """Free a name; harmless when nobody holds it.

    Raises:
        NoNodeError: the code runs outside of every node.

    Source: ``erlang:unregister/1``.
    """
    current_node("unregister()").names.unregister(valid_name("unregister(name)", name))


def whereis(name: str) -> Pid | None:
    """Return the pid of the process that holds a name, or None.

    Raises:
        NoNodeError: the code runs outside of every node.

    Source: ``erlang:whereis/1``.
    """
    return current_node("whereis()").names.get(valid_name("whereis(name)", name))


def registered() -> list[str]:
    """Return every name held in this node.

    Raises:
        NoNodeError: the code runs outside of every node.

    Source: ``erlang:registered/0``.
    """
    return current_node("registered()").names.all()


def find(ref: Ref, subject: str) -> Pid | None:
    """Return the pid that a ref means now, or None when it is a name that nobody holds.

    Raises:
        InvalidOptionError: it is neither a pid nor a name; the text starts with ``subject``.
        NoNodeError: a name, outside of every node.
    """
    if isinstance(ref, Pid):
        return ref
    if isinstance(ref, str) and ref:
        return current_node(subject).names.get(ref)
    raise InvalidOptionError(
        subject,
        expected="a pid or a registered name",
        got=cut(ref),
        fix="pass what start() or spawn() returned, or the name= the process was started with.",
    )
