# SPDX-License-Identifier: MIT
"""Names: plain ones, a word for one process of one node, and via addresses, which look the process up elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

from stanchion._validate import cut, instance
from stanchion.errors import BadReturnError, InvalidOptionError, NameTakenError
from stanchion.kernel._context import current_node
from stanchion.kernel._owned import Owned, Possession, own
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process


class Via(ABC):
    """An address by which somebody else knows the process: a registry, say.

    It can be used wherever a ref or a name is taken. A process that is started under it is registered before its first
    step, and unregistered in the step of its exit, before anyone hears of it.

    Source: ``{via, Module, Name}`` of OTP.
    """

    __slots__ = ()

    @abstractmethod
    def whereis(self) -> Pid | None:
        """Return who is known by this address now, or None."""

    @abstractmethod
    def register(self, pid: Pid) -> None:
        """Make a process known by this address.

        Raises:
            NameTakenError: another live process is.
        """

    @abstractmethod
    def unregister(self, pid: Pid) -> None:
        """Make a process no longer known by this address; harmless when it is not."""


Name = str | Via
"""What a process can be registered under: a word, or a via address."""

Ref = Pid | str | Via
"""How a process is addressed: its pid, or what it is registered under."""


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
        _rename(pid, name)

    def release(self, pid: Pid) -> None:
        """Free the name of a process that ends; harmless when it has none. The pid remembers it."""
        if pid.name is not None and self._pids.get(pid.name) is pid:
            del self._pids[pid.name]

    def unregister(self, name: str) -> None:
        """Free a name; harmless when nobody holds it."""
        pid = self._pids.pop(name, None)
        if pid is not None:
            _rename(pid, None)

    def all(self) -> list[str]:
        """Return every name, in the order of registration."""
        return list(self._pids)


def _rename(pid: Pid, name: str | None) -> None:
    pid.name = name
    # It has not finished. The policy may have a rule for the name.
    cast("Process", pid._process).limits = None


def valid_name(subject: str, name: Name) -> Name:
    """Return ``name`` when a process can be started under it: a string that is not empty, or a via address."""
    return name if isinstance(name, Via) else _plain_name(subject, name)


def take_name(process: Process, name: Name) -> None:
    """Register a process that has not begun; its exit frees the name.

    Raises:
        NameTakenError: a live process holds the name.
    """
    if isinstance(name, str):
        process.node.names.claim(name, process.pid)
    else:
        returned: object = name.register(process.pid)
        if returned is not None:
            fix = "raise NameTakenError where another process is known by the address."
            raise _bad_return(name, "register", "None", returned, fix)
        own(process, _Registration(process.pid, name))


class _Registration(Owned):
    """What a process owns that was started under a via address."""

    __slots__ = ("_pid", "_via")

    def __init__(self, pid: Pid, via: Via) -> None:
        self._pid = pid
        self._via = via

    def release(self) -> None:
        self._via.unregister(self._pid)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        return [Possession("name", repr(self._via))]

    def __repr__(self) -> str:
        return f"<registration as {self._via!r}>"


def _plain_name(subject: str, name: object) -> str:
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
    _plain_name("register(name)", name)
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
    current_node("unregister()").names.unregister(_plain_name("unregister(name)", name))


def whereis(name: str) -> Pid | None:
    """Return the pid of the process that holds a name, or None.

    Raises:
        NoNodeError: the code runs outside of every node.

    Source: ``erlang:whereis/1``.
    """
    return current_node("whereis()").names.get(_plain_name("whereis(name)", name))


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
        BadReturnError: a via address is known by something that is no pid.
    """
    checked_ref(ref, subject)
    if isinstance(ref, Pid):
        return ref
    if isinstance(ref, str):
        return current_node(subject).names.get(ref)
    pid = ref.whereis()
    if pid is None or type(pid) is Pid:
        return pid
    raise _bad_return(ref, "whereis", "a pid or None", pid)


def checked_ref(ref: Ref, subject: str) -> Ref:
    """Return ``ref`` when it is one.

    Raises:
        InvalidOptionError: it is neither a pid nor a name; the text starts with ``subject``.
    """
    if isinstance(ref, Pid | Via) or (isinstance(ref, str) and ref):
        return ref
    raise InvalidOptionError(
        subject,
        expected="a pid or a registered name",
        got=cut(ref),
        fix="pass what start() or spawn() returned, or the name= the process was started with.",
    )


def _bad_return(via: Via, method: str, expected: str, got: object, fix: str | None = None) -> BadReturnError:
    return BadReturnError(f"{type(via).__name__}.{method}", expected=expected, got=cut(got), fix=fix)
