# SPDX-License-Identifier: MIT
"""What the tests of kernel and server start from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from stanchion.kernel import MailboxPolicy, Node, Pid, Process, receive, spawn
from stanchion.telemetry import Event


def quick_node(name: str = "test", **options: Any) -> Node:
    """Return a node that kills what is left, declares dead after 50 ms what does not end, and has no watchdog."""
    return Node(name, **{"exit_grace": 0.05, "shutdown_timeout": 0, "block_threshold": None, **options})


def process_of(pid: Pid) -> Process:
    """Return the process of a pid, which must not have ended."""
    process = pid._process
    assert process is not None
    return process


async def steps(count: int = 5) -> None:
    """Let the loop take some steps: what is on its way arrives."""
    for _ in range(count):
        await asyncio.sleep(0)


async def sleeper() -> None:
    """Be a process that waits for ever."""
    await asyncio.Event().wait()


async def run_in_process(function: Any, *args: Any) -> Any:
    """Run ``function(*args)`` inside a process of its own, and return or raise what it does."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def body() -> None:
        try:
            result = function(*args)
            done.set_result(await result if asyncio.iscoroutine(result) else result)
        except Exception as error:
            done.set_exception(error)

    spawn(body)
    return await done


class Hearer:
    """A process that keeps what it receives in ``heard``, and first does what it is given."""

    def __init__(self, *first: Any, mailbox: int | MailboxPolicy | None = None) -> None:
        self.heard: list[Any] = []
        self.results: list[Any] = []
        self.pid = spawn(self._body, first, mailbox=mailbox)

    async def _body(self, first: tuple[Any, ...]) -> None:
        for function in first:
            self.results.append(function())
        while True:
            self.heard.append(await receive(timeout=None))


class Events:
    """What a node tells of some events, in order."""

    def __init__(self, node: Node, *events: Event) -> None:
        self.told: list[tuple[Event, Mapping[str, float], Mapping[str, object]]] = []
        for event in events:
            node.telemetry.attach(event, self._handle)

    def _handle(self, event: Event, measurements: Mapping[str, float], metadata: Mapping[str, object]) -> None:
        self.told.append((event, measurements, metadata))

    def all(self, key: str) -> list[object]:
        """Return one value of each event's metadata."""
        return [metadata[key] for _, _, metadata in self.told]
