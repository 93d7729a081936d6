# SPDX-License-Identifier: MIT
"""Random programs on a router, against what must hold whatever they do.

Each signal that came to a subscription is handled once or counted once as dropped; no target gets one twice; and those of
one publisher that are cast to a process come in their order.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

import stanchion as st
from stanchion.router import SignalRouter, SignalSubscription
from stanchion.telemetry import SIGNAL_DELIVERED, SIGNAL_DROPPED
from stanchion.testing import VirtualClock, VirtualTimeLoop, wait_quiet
from tests.conftest import LoopFactory
from tests.kernel.helpers import Events

PATTERNS = ("a", "a.*", "**", "*.b", "a.**.b")
TYPES = ("a", "a.b", "a.c", "c.b", "a.c.b")
OVERFLOWS = ("reject", "drop_newest", "drop_oldest", "block")

Verb = Literal["subscribe", "publish", "nowait", "unsubscribe", "exit", "restart", "slow", "quick", "sleep"]
VERBS: tuple[Verb, ...] = (
    "subscribe", "subscribe", "subscribe", "publish", "publish", "publish", "publish", "nowait", "nowait",
    "unsubscribe", "exit", "restart", "slow", "quick", "sleep",
)  # fmt: skip


class Step(NamedTuple):
    """One thing that happens; the numbers choose among what there is."""

    verb: Verb
    target: int
    choice: int
    mode: str


STEPS = hs.lists(
    hs.builds(
        Step,
        hs.sampled_from(VERBS),
        hs.integers(0, 3),
        hs.integers(0, 19),
        hs.sampled_from(["cast", "cast", "supervised"]),
    ),
    min_size=1,
    max_size=60,
)


@pytest.fixture
def loop_factory() -> LoopFactory:
    return VirtualTimeLoop


class Target:
    """One who may subscribe: a process (0 to 2) that can be replaced, or a function (3)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: st.Pid | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        # What each of its lives, and each way of delivery, has handled: publisher and number.
        self.lives = 0
        self.heard: dict[tuple[int, str], list[tuple[str, int]]] = defaultdict(list)

    async def start(self) -> None:
        target, life = self, self.lives
        self.lives += 1

        class Server(st.GenServer):
            async def handle_cast(self, message: Any) -> None:
                supervised = st.message_info() is not None
                await target.gate.wait()
                target.heard[life, "supervised" if supervised else "cast"].append(message.data)

        self.pid = await st.start(Server)

    async def __call__(self, signal: st.Signal) -> None:
        await self.gate.wait()
        self.heard[0, "callback"].append(signal.data)  # type: ignore[arg-type]


class World:
    """A router, its targets, and two publishers: one that awaits, and one that does not."""

    def __init__(self, router: SignalRouter) -> None:
        self.router = router
        self.targets = [Target(number) for number in range(4)]
        self.subscriptions: list[SignalSubscription] = []
        self.published: defaultdict[str, int] = defaultdict(int)
        self.routed = 0

    async def do(self, step: Step) -> None:
        target = self.targets[step.target]
        match step.verb:
            case "subscribe":
                self.subscribe(target, step)
            case "publish":
                self.take(await self.router.publish(self.signal("awaits", step), timeout=1))
            case "nowait":
                self.take(self.router.publish_nowait(self.signal("nowait", step)))
            case "unsubscribe" if self.subscriptions:
                self.router.unsubscribe(self.subscriptions[step.choice % len(self.subscriptions)])
            case "exit" if target.pid is not None:
                st.exit(target.pid, "kill")
            case "restart" if target.pid is not None and not target.pid.alive:
                await target.start()
            case "slow":
                target.gate.clear()
            case "quick":
                target.gate.set()
            case _:
                await asyncio.sleep(step.choice)

    def subscribe(self, target: Target, step: Step) -> None:
        who, mode = (target, "cast") if target.pid is None else (target.pid, step.mode)
        if target.pid is not None and not target.pid.alive:
            return
        options: dict[str, Any] = {"mode": mode, "overflow": OVERFLOWS[step.choice % 4], "buffer": 1 + step.choice % 3}
        if mode == "supervised":
            options["retries"] = 0
        self.subscriptions.append(self.router.subscribe(PATTERNS[step.choice % 5], who, **options))  # type: ignore[arg-type]

    def signal(self, publisher: str, step: Step) -> st.Signal:
        self.published[publisher] += 1
        return st.Signal(TYPES[step.choice % 5], (publisher, self.published[publisher]))

    def take(self, publication: Any) -> None:
        assert publication.matched == publication.accepted + len(publication.dropped)
        self.routed += publication.matched


@given(steps=STEPS)
@settings(max_examples=150)
async def test_every_signal_is_handled_once_or_counted_once_as_dropped(steps: list[Step]) -> None:
    router = SignalRouter()
    node = st.Node(clock=VirtualClock(), block_threshold=None, services=[router], shutdown_timeout=0, seed=1)
    async with node:
        events = Events(node, SIGNAL_DELIVERED, SIGNAL_DROPPED)
        world = World(router)
        for target in world.targets[:3]:
            await target.start()
        for step in steps:
            await world.do(step)
        for target in world.targets:
            target.gate.set()
        await wait_quiet()
        await asyncio.sleep(120)  # what is sent supervised to those who are gone is given up by then
        assert node.audit().leaks == ()
    check(world, events)


def check(world: World, events: Events) -> None:
    """Say that all is accounted for."""
    statistics = world.router.statistics()
    assert (
        statistics.routed
        == world.routed
        == statistics.delivered
        + sum(count for reason, count in statistics.dropped.items() if reason != "no_subscriber")
    )
    told = [event for event, _, _ in events.told]
    assert told.count(SIGNAL_DELIVERED) == statistics.delivered
    assert told.count(SIGNAL_DROPPED) == sum(statistics.dropped.values())
    handled = 0
    for target in world.targets:
        everything = [data for heard in target.heard.values() for data in heard]
        handled += len(everything)
        # In one life. A signal may come by a cast to one life, and supervised to another one.
        for life in range(max(1, target.lives)):
            lived = [data for (number, _), heard in target.heard.items() if number == life for data in heard]
            assert len(lived) == len(set(lived))
        for (_, mode), heard in target.heard.items():
            if mode != "supervised":
                for publisher in world.published:
                    numbers = [number for name, number in heard if name == publisher]
                    assert mode == "callback" or numbers == sorted(numbers)
    # A handler may have come to its end, and its process been killed before the router heard of it.
    assert handled >= statistics.delivered
