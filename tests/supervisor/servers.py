# SPDX-License-Identifier: MIT
"""Servers that the tests of the supervisor put beneath one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from stanchion.kernel import Node, Pid, Process, trap_exit, wait_exit, whereis
from stanchion.server import GenServer, Stop, cast
from stanchion.supervisor import ChildSpec, child_spec, which_children


class Recorder(GenServer):
    """Notes its start and its end in a list; ends as it is told to by a cast."""

    def init(self, log, label):
        trap_exit()
        self.log, self.label = log, label
        log.append(f"+{label}")

    def handle_cast(self, message):
        if isinstance(message, Exception):
            raise message
        return Stop(message)

    def terminate(self, reason):
        self.log.append(f"-{self.label}")


def recorder(log: list[str], label: str, **options) -> ChildSpec:
    """Return the spec of a Recorder, named and identified by its label."""
    return child_spec(Recorder, log, label, name=label, **options)


class InitBy(GenServer):
    """A server whose init does what it is given: a function, or an async one."""

    async def init(self, function):
        result = function()
        return await result if asyncio.iscoroutine(result) else result


async def hang() -> None:
    await asyncio.Event().wait()


class Refuser:
    """A plain process that swallows its cancellation until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        while not self.release.is_set():
            with suppress(asyncio.CancelledError):
                await self.release.wait()
        self.ended.set()


async def end_of(name: str, message: object) -> None:
    """Have the Recorder of this name end, and wait until it has."""
    pid = pid_of(name)
    cast(pid, message)
    await wait_exit(pid, timeout=5)


async def crash(name: str) -> None:
    """Crash the Recorder of this name, and wait until it has ended."""
    await end_of(name, ValueError(f"crash of {name}"))


async def states(supervisor: Pid) -> dict[object, str]:
    """Return what each child does; all that happened before this call is settled when it returns."""
    return {child.id: child.state for child in await which_children(supervisor)}


def pid_of(name: str) -> Pid:
    """Return who is registered under a name now."""
    pid = whereis(name)
    assert pid is not None
    return pid


def process_of(pid: Pid) -> Process:
    process = pid._process
    assert process is not None
    return process


def quick_node(name: str = "test", *, exit_grace: float = 0.05, **options: Any) -> Node:
    """Return a node that gives nobody much time, and has no watchdog."""
    return Node(name, exit_grace=exit_grace, shutdown_timeout=5.0, block_threshold=None, **options)
