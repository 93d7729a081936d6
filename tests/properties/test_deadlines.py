# SPDX-License-Identifier: MIT
"""Random graphs of servers that call, cast and multi_call each other under deadlines, beside a model of what they see.

Times are whole seconds, and each message has its own odd fraction of one in its handler, so that nothing falls on a
deadline and the ticks of the node's wheel decide nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import nullcontext, suppress
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from stanchion.errors import CallTimeoutError
from stanchion.kernel import Pid, deadline, remaining, self_pid
from stanchion.server import GenServer, call, cast, multi_call, start
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import quick_node

SERVERS = 4
FOR_EVER = 1e6
# A wait or a block ends up to two ticks after its time.
LATE = 3 / 128


class Step(NamedTuple):
    """What a handler does in one step, after it has worked for a while.

    Attributes:
        verb: How it sends.
        to: To which servers, by number; each is greater than its own, so that nobody waits in a circle.
        work: Seconds before.
        timeout: The option of the call.
        scope: Seconds of a scope around it; None for none.
        then: What the receiver does.
    """

    verb: Literal["call", "cast", "multi_call"]
    to: tuple[int, ...]
    work: int
    timeout: int | None
    scope: int | None
    then: tuple[Step, ...]


class Request(NamedTuple):
    """A message: what its receiver is to do, and by when by the clock its sender must be done, for the test alone."""

    number: int
    steps: tuple[Step, ...]
    by: float


class Seen(NamedTuple):
    """What a handler saw as it began.

    Attributes:
        at: When.
        until: By when it had to be done.
        by: By when its sender had.
    """

    at: float
    until: float
    by: float


def steps_of(server: int, depth: int) -> some.SearchStrategy[tuple[Step, ...]]:
    """Return plans for a server: what it does, and those do whom it sends to."""
    if server == SERVERS - 1 or depth == 0:
        return some.just(())

    def step(to: tuple[int, ...]) -> some.SearchStrategy[Step]:
        return some.builds(
            Step,
            some.sampled_from(["call", "cast"] if len(to) == 1 else ["multi_call"]),
            some.just(to),
            some.integers(0, 3),
            some.none() | some.integers(1, 8),
            some.none() | some.integers(0, 8),
            steps_of(max(to), depth - 1),
        )

    targets = some.lists(some.integers(server + 1, SERVERS - 1), min_size=1, max_size=2, unique=True).map(tuple)
    return some.lists(targets.flatmap(step), max_size=3).map(tuple)


class Worker(GenServer):
    """Does what its messages say."""

    def init(self, world: World) -> None:
        self.world = world

    async def handle_call(self, request: Request, sender: Any) -> None:
        await self.world.handled(request)

    async def handle_cast(self, request: Request) -> None:
        await self.world.handled(request)


class World:
    """The servers, what they saw, and what the model says of it.

    Attributes:
        seen: What each message that was begun saw, by its number and its receiver.
        sent: By when each message that was sent had to be done, likewise.
        wrong: Where something else was in force than the model says.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.pids: list[Pid] = []
        self.numbers = itertools.count()
        self.seen: dict[tuple[int, Pid], Seen] = {}
        self.sent: dict[tuple[int, Pid], float] = {}
        self.wrong: list[object] = []

    async def handled(self, request: Request) -> None:
        left = remaining()
        until = FOR_EVER if left is None else self.clock.monotonic() + left
        self.seen[request.number, self_pid()] = Seen(self.clock.monotonic(), until, request.by)
        await self.does(request.steps, request.by)

    async def does(self, steps: tuple[Step, ...], by: float) -> None:
        """Do what a plan says; ``by`` is by when it has to be done, as the model has it."""
        for step in steps:
            await asyncio.sleep(step.work + 0.37)
            within = by if step.scope is None else min(by, self.clock.monotonic() + step.scope)
            with suppress(TimeoutError):
                async with nullcontext() if step.scope is None else deadline(step.scope):
                    self.check(within, step)
                    await self.sends(step, within)
            self.check(by, step)

    def check(self, by: float, step: Step) -> None:
        """Note it if the deadline in force is another one than the model's."""
        left = remaining()
        expected = None if by == FOR_EVER else max(0.0, by - self.clock.monotonic())
        if left != (expected if expected is None else pytest.approx(expected)):
            self.wrong.append((step, left, expected))

    async def sends(self, step: Step, by: float) -> None:
        number, began = next(self.numbers), self.clock.monotonic()
        request = Request(number, step.then, by)
        # The model: a wait is the shorter one of its own timeout and what is left.
        limit = min(FOR_EVER if step.timeout is None else step.timeout, max(0.0, by - began))
        pids = [self.pids[one] for one in step.to]
        failures: tuple[tuple[Any, Exception], ...] = ()
        self.sent.update({(number, pid): by for pid in pids})
        if step.verb == "cast":
            cast(pids[0], request)
        elif step.verb == "call":
            try:
                await call(pids[0], request, timeout=step.timeout)
            except CallTimeoutError as error:
                failures = ((pids[0], error),)
        else:
            failures = (await multi_call(pids, request, timeout=step.timeout)).failures
        assert self.clock.monotonic() - began <= limit + LATE
        for pid, error in failures:
            assert isinstance(error, CallTimeoutError)
            assert error.timeout == pytest.approx(limit)
            assert error.handled or (number, pid) not in self.seen
            if error.outcome == "not_sent":
                assert began >= by
                del self.sent[number, pid]


@settings(max_examples=100)
@given(plan=steps_of(-1, 3), scope=some.none() | some.integers(0, 12))
def test_deadlines_are_inherited_through_any_graph_of_calls(plan: tuple[Step, ...], scope: int | None) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with quick_node(clock=clock) as node:
            world = World(clock)
            for _ in range(SERVERS):
                world.pids.append(await start(Worker, world))
            by = FOR_EVER if scope is None else clock.monotonic() + scope
            with suppress(TimeoutError):
                async with nullcontext() if scope is None else deadline(scope):
                    await world.does(plan, by)
            await asyncio.sleep(1000)  # all are done with what they have
            assert world.wrong == []
            for seen in world.seen.values():
                assert seen.until == pytest.approx(seen.by)  # what the sender had, however late it was begun
                assert seen.at < seen.by
            # All others were refused before they were begun, and counted; what has no deadline never is.
            refused = [until for key, until in world.sent.items() if key not in world.seen]
            assert node.statistics().expired == len(refused)
            assert FOR_EVER not in refused
            for pid in world.pids:
                await call(pid, Request(-1, (), FOR_EVER))
                assert world.seen[-1, pid].until == FOR_EVER  # nothing is left of the deadlines before

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
