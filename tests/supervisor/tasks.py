# SPDX-License-Identifier: MIT
"""What the tests of the TaskSupervisor run as tasks, and where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from stanchion.kernel import Exit, Node, Pid, ProcessExit, monitor, receive, spawn, trap_exit
from stanchion.server import start
from stanchion.supervisor import TaskSupervisor, count_children
from stanchion.testing import VirtualClock
from tests.supervisor.servers import quick_node


@asynccontextmanager
async def tasks(*options: Any) -> AsyncGenerator[Pid, None]:
    """Open a node in virtual time, and yield its TaskSupervisor, named "tasks"."""
    async with quick_node(clock=VirtualClock()):
        yield await start(TaskSupervisor, *options, name="tasks")


async def double(number):
    return number * 2


async def slow(seconds):
    """Return the seconds, after as many."""
    await asyncio.sleep(seconds)
    return seconds


SLOW = f"{__file__}:{slow.__code__.co_firstlineno + 2}"
"""Where ``slow`` waits."""


async def fail(error):
    """Raise, or exit with a reason."""
    raise error if isinstance(error, BaseException) else ProcessExit(error)


async def slow_fail(seconds, error):
    await asyncio.sleep(seconds)
    await fail(error)


async def trapping(result=None):
    """Trap exits, and return the result, or raise it, when it is told to exit; None waits on."""
    trap_exit()
    while True:
        message = await receive(timeout=None)
        if isinstance(message, Exit) and result is not None:
            if isinstance(result, BaseException):
                raise result
            return result


async def stubborn(seconds):
    """Swallow the cancellation, and end when the seconds are over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - loop.time())


async def no_tasks(supervisor: Pid) -> bool:
    """Say whether the supervisor has no children."""
    return (await count_children(supervisor)).specs == 0


def node_of(pid: Pid) -> Node:
    process = pid._process
    assert process is not None
    return process.node


class Owner:
    """A process that does what it is given, and whose end can be awaited."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.down: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.pid = spawn(self._body, function, args)
        spawn(self._watch)

    async def _body(self, function: Any, args: tuple[Any, ...]) -> None:
        self.result.set_result(await function(*args))

    async def _watch(self) -> None:
        monitor(self.pid)
        self.down.set_result((await receive(timeout=None)).reason)  # type: ignore[attr-defined]
