# SPDX-License-Identifier: MIT
"""Servers that the tests of the server put to work."""

from __future__ import annotations

import asyncio
from typing import Any

from stanchion.server import GenServer


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


def raises(error: BaseException) -> Any:
    """Return a message that makes ``By`` raise."""

    def message(_: Any) -> None:
        raise error

    return message


def returns(value: Any) -> Any:
    """Return a message that makes ``By`` return a value from its callback."""
    return lambda _: value
