# SPDX-License-Identifier: MIT
"""Servers that the tests of the server put to work."""

from __future__ import annotations

import asyncio
from typing import Any

from stanchion.kernel import Pid
from stanchion.server import GenServer
from tests.kernel.helpers import process_of


async def finished(result: Any) -> Any:
    return await result if asyncio.iscoroutine(result) else result


class By(GenServer):
    """A server that is told by its messages what to do: each is a function of the server, or an async one."""

    def init(self, *args: Any, **_: Any) -> Any:
        self.state: list[Any] = []
        return args[0](self) if args else None

    async def handle_call(self, request: Any, sender: Any) -> Any:
        self.sender = sender
        return await finished(request(self))

    async def handle_cast(self, message: Any) -> Any:
        return await finished(message(self))

    async def handle_info(self, message: Any) -> Any:
        self.state.append(message)

    async def handle_continue(self, arg: Any) -> Any:
        return await finished(arg(self))

    async def terminate(self, reason: Any) -> None:
        self.state.append(("terminate", reason))


class Counter(GenServer):
    """Counts its casts; in plain methods."""

    def init(self, start: int = 0) -> None:
        self.count = start

    def handle_call(self, request: Any, sender: Any) -> int:
        return self.count

    def handle_cast(self, message: int) -> None:
        self.count += message


async def hang(_: Any = None) -> None:
    await asyncio.Event().wait()


HANG = f"{__file__}:{hang.__code__.co_firstlineno + 1}"
"""Where ``hang`` waits."""


def raises(error: BaseException) -> Any:
    """Return a message that makes ``By`` raise."""

    def message(_: Any) -> None:
        raise error

    return message


def returns(value: Any) -> Any:
    """Return a message that makes ``By`` return a value from its callback."""
    return lambda _: value


class Token:
    """What a sender holds who wants to know."""

    deadline = None

    def __init__(self) -> None:
        self.log: list[object] = []

    def processed(self) -> None:
        self.log.append("processed")

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        self.log.append((detail, known, retry))

    def abandoned(self, reason, *, handled: bool, crashed: bool = False) -> None:
        self.log.append(("abandoned", reason, handled))


def wanted(pid: Pid, message: object) -> Token:
    """Cast a message whose sender wants to know."""
    token = Token()
    process_of(pid).mailbox.put(("cast", message, token))
    return token
