# SPDX-License-Identifier: MIT
"""What the tests of the router start from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import stanchion as st
from stanchion.router import Publication, SignalRouter, SignalSubscription
from stanchion.testing import VirtualClock


def signal(number: object = None, type: str = "order.placed") -> st.Signal:
    """Return a signal that carries a number."""
    return st.Signal(type, number)


@asynccontextmanager
async def routed(router: SignalRouter | None = None, **options: Any) -> AsyncGenerator[SignalRouter, None]:
    """Run a node in virtual time that has a router, and give the router."""
    router = SignalRouter() if router is None else router
    given = {"clock": VirtualClock(), "block_threshold": None, "seed": 7, "services": [router], **options}
    async with st.Node("test", **given):
        yield router


class Subscriber(st.GenServer):
    """Subscribes itself, and keeps the data of what it hears; it handles nothing while its gate is closed.

    ``"crash"``, ``"stop"``, ``"reject"`` and ``"unknown"`` do what they say; of a tuple ``("do", f)`` it calls ``f()``.
    """

    def init(self, router: SignalRouter, patterns: tuple[str, ...], gate: asyncio.Event, options: Any) -> None:
        self.gate = gate
        self.heard: list[Any] = []
        self.subscriptions = [router.subscribe(pattern, st.self_pid(), **options) for pattern in patterns]

    async def handle_cast(self, message: Any) -> Any:
        await self.gate.wait()
        data = message.data
        match data:
            case "crash":
                raise ZeroDivisionError("told to")
            case "stop":
                return st.Stop("normal")
            case "reject":
                return st.Reject("not now")
            case "unknown":
                return st.UNHANDLED
            case ("do", function):
                self.heard.append(function())
            case _:
                self.heard.append(data)
        return None

    def handle_call(self, request: object, sender: st.Sender) -> object:
        if request == "count":
            return len(self.heard)
        return self.heard if request == "heard" else self.subscriptions


class Started:
    """A subscriber that runs.

    Attributes:
        pid: Its pid.
        gate: What it waits for before it handles anything.
        heard: What it has heard; its own list.
        subscriptions: Its subscriptions.
    """

    def __init__(
        self, pid: st.Pid, gate: asyncio.Event, heard: list[Any], subscriptions: list[SignalSubscription]
    ) -> None:
        self.pid = pid
        self.gate = gate
        self.heard = heard
        self.subscriptions = subscriptions

    @property
    def subscription(self) -> SignalSubscription:
        """Its first subscription."""
        return self.subscriptions[0]


async def started(
    router: SignalRouter, *patterns: str, open: bool = True, name: Any = None, mailbox: Any = None, **options: Any
) -> Started:
    """Start a subscriber; a closed one holds the first signal in hand until its gate is set."""
    gate = asyncio.Event()
    if open:
        gate.set()

    pid = await st.start(Subscriber, router, patterns, gate, options, name=name, mailbox=mailbox)
    heard, subscriptions = [cast("list[Any]", await st.call(pid, what)) for what in ("heard", "subscriptions")]
    return Started(pid, gate, heard, subscriptions)


async def numbers(router: SignalRouter, count: int) -> list[Publication]:
    """Publish signals 0, 1, 2 and so on."""
    return [await router.publish(signal(number)) for number in range(count)]
