# SPDX-License-Identifier: MIT
"""Processes under the test's own supervisor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Final
from weakref import WeakKeyDictionary

from stanchion import ChildSpec, GenServer, Supervisor, child_spec, start
from stanchion._validate import cut
from stanchion.errors import InvalidOptionError, StartError
from stanchion.kernel import Name, Node, Pid, current_node
from stanchion.supervisor import Restart, start_child

_MAX_RESTARTS: Final = 1_000
_supervisors: Final[WeakKeyDictionary[Node, Pid]] = WeakKeyDictionary()


async def start_supervised(
    child: ChildSpec | type[GenServer] | Callable[..., Coroutine[object, object, object]],
    *args: object,
    name: Name | None = None,
    id: Hashable | None = None,
    restart: Restart = "permanent",
) -> Pid:
    """Start a process under the test's supervisor, which restarts it as its spec says.

    It is stopped when the node is left: the latest first, each within its shutdown time, as in production. The supervisor
    takes 1,000 restarts within a second.

    Args:
        child: What ``child_spec`` returned; or the class or function, for which these make the spec:
        args: The arguments of its ``init``, or of the function.
        name: The name to register at each start, or None.
        id: What it is called in the supervisor; by default ``name``, else the name of the class.
        restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.

    Returns:
        The pid of the running process. A restart has another one; then use the name.

    Raises:
        StartError: it did not start; nothing is left of it.
        ChildSpecError: ``child`` is none of these, or the id is taken.
        InvalidOptionError: an option is wrong, or comes beside a spec.
        NoNodeError: the code runs outside of every node.

    Cancellation: it is started all the same.

    Source: ``start_supervised!/2`` of ExUnit.
    """
    node = current_node("start_supervised()")
    supervisor = _supervisors.get(node)
    if isinstance(child, ChildSpec):
        if args or name is not None or id is not None or restart != "permanent":
            raise InvalidOptionError(
                "start_supervised(child)",
                expected="a spec alone, or a class with arguments and options",
                got=f"{child!r} with more",
                fix="give them to child_spec().",
            )
        spec = child
    else:
        spec = child_spec(child, *args, name=name, id=id, restart=restart)
    if supervisor is None or not supervisor.alive:
        supervisor = _supervisors[node] = await start(Supervisor, [], "one_for_one", _MAX_RESTARTS, 1.0)
    pid = await start_child(supervisor, spec)
    if pid is None:
        raise StartError(cut(spec), reason="ignore")
    return pid
