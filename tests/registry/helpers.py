# SPDX-License-Identifier: MIT
"""What the tests of the registry start from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from stanchion.kernel import ExitReason, Name, Node, Pid, exit, link, receive, spawn, trap_exit, wait_exit
from stanchion.registry import ProcessGroups, Registry
from stanchion.server import send, start
from stanchion.testing import VirtualClock


def new_node(name: str = "test", **options: Any) -> Node:
    """Return a node in virtual time that kills what is left."""
    return Node(name, **{"clock": VirtualClock(), "shutdown_timeout": 0, "block_threshold": None, **options})


async def registry(keys: str = "unique", name: str = "registry", *rest: Any) -> Pid:
    """Start a registry."""
    return await start(Registry, keys, *rest, name=name)


async def scope(name: str = "pg") -> Pid:
    """Start a scope of process groups."""
    return await start(ProcessGroups, name=name)


class _Order(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    done: asyncio.Future[Any]


class Worker:
    """A process that does what it is told, one thing after the other, and keeps what else it receives."""

    def __init__(self, name: Name | None = None) -> None:
        self.heard: list[Any] = []
        self.pid = spawn(self._body, name=name)

    async def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Have the process call a function, and return or raise what it does."""
        order = _Order(function, args, asyncio.get_running_loop().create_future())
        send(self.pid, order)
        return await order.done

    async def all_heard(self) -> list[Any]:
        """Return what came until now, and forget it."""
        await self.do(lambda: None)
        heard, self.heard = self.heard, []
        return heard

    async def killed(self) -> None:
        """Kill the process and wait for its end."""
        exit(self.pid, "kill")
        await wait_exit(self.pid, timeout=1)

    async def crashes(self) -> ExitReason:
        """Have the process exit with an exception, and return that."""
        exit(self.pid, ZeroDivisionError("told to"))
        return await wait_exit(self.pid, timeout=1)

    async def _body(self) -> None:
        while True:
            message = await receive(timeout=None)
            if not isinstance(message, _Order):
                self.heard.append(message)
                continue
            try:
                message.done.set_result(message.function(*message.args))
            except Exception as error:
                message.done.set_exception(error)


async def trapping_worker() -> Worker:
    """Return a worker that traps exits."""
    worker = Worker()
    await worker.do(trap_exit)
    return worker


async def linked(worker: Worker, pid: Pid) -> None:
    """Link a worker with a process by itself."""
    await worker.do(link, pid)
