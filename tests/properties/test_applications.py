# SPDX-License-Identifier: MIT
"""Applications that depend on each other, under random starts, stops, crashes and cancellations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from stanchion.application import Application, which_applications
from stanchion.errors import StanchionError
from stanchion.kernel import Node, current_node, exit, whereis
from stanchion.server import GenServer
from stanchion.supervisor import ChildSpec, child_spec
from stanchion.testing import VirtualClock, VirtualTimeLoop

ABOVE = {"disk": [], "db": ["disk"], "cache": ["disk"], "shop": ["db", "cache"], "admin": ["db"]}
"""What each application depends on."""


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Worker(GenServer):
    """Takes its time to start, and notes what runs when it does and when its application stops."""

    async def init(self, seconds: float, fails: bool):
        await asyncio.sleep(seconds)
        if fails:
            raise ValueError("fails")


class Model:
    """The applications, what happened, and what must not have."""

    def __init__(self, seconds: dict[str, float], failing: set[str]) -> None:
        self.log: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.apps: dict[str, Application] = {}
        for name, depends_on in ABOVE.items():
            self.apps[name] = Application(
                name,
                children=partial(self._children, name, seconds[name], name in failing),
                depends_on=[self.apps[other] for other in depends_on],
                prep_stop=partial(self._prep_stop, name),
                stop=partial(self._stop, name),
            )

    async def do(self, verb: str, name: str, type: Any) -> None:
        with suppress(StanchionError):
            if verb == "start":
                await self.apps[name].start(type=type)
            elif verb == "stop":
                await self.apps[name].stop()
            elif verb == "crash" and (top := whereis(f"{name}_sup")) is not None:
                exit(top, "kill")
            elif verb == "kill":
                for process in list(current_node("kill").processes.values()):
                    if process.label == f"application {name}":
                        exit(process.pid, "kill")

    def _children(self, name: str, seconds: float, fails: bool) -> list[ChildSpec]:
        self.log.append(("start", name))
        missing = set(ABOVE[name]) - running()
        if missing:
            self.wrong.append(f"{name} starts without {missing}")
        return [child_spec(Worker, seconds, fails, name=name)]

    def _prep_stop(self, name: str) -> None:
        self.log.append(("prep_stop", name))
        left = {other for other in running() if name in ABOVE[other]}
        if left and whereis(f"{name}_sup") is not None:  # else it has ended by itself, which nobody can forbid
            self.wrong.append(f"{name} is stopped before {left}")

    def _stop(self, name: str) -> None:
        self.log.append(("stop", name))
        if whereis(f"{name}_sup") is not None:
            self.wrong.append(f"the stop callback of {name} runs before its tree has ended")


def running() -> set[str]:
    return {info.name for info in which_applications()}


STEPS = draw.lists(
    draw.tuples(
        draw.sampled_from(["start", "start", "stop", "crash", "kill"]),
        draw.sampled_from(list(ABOVE)),
        draw.sampled_from(["temporary", "temporary", "transient", "permanent"]),
        draw.sampled_from([0, 0, 1, 2, 5]),  # seconds before it
        draw.sampled_from([None, None, None, 0, 1]),  # seconds after which it is cancelled
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(
    steps=STEPS,
    seconds=draw.fixed_dictionaries({name: draw.sampled_from([0, 1, 3]) for name in ABOVE}),
    failing=draw.sets(draw.sampled_from(list(ABOVE)), max_size=1),
)
async def test_applications_keep_their_order_whatever_happens(steps, seconds, failing):
    model = Model(seconds, failing)
    tasks = []
    async with Node(clock=VirtualClock(), block_threshold=None) as node:
        for verb, name, restart_type, before, cancelled_after in steps:
            await asyncio.sleep(before)
            task = asyncio.ensure_future(model.do(verb, name, restart_type))
            tasks.append(task)
            if cancelled_after is not None:
                asyncio.get_running_loop().call_later(cancelled_after, task.cancel)
        left = running()
    outcomes = {type(outcome) for outcome in await asyncio.gather(*tasks, return_exceptions=True)}
    assert outcomes <= {type(None), asyncio.CancelledError}
    assert model.wrong == []
    assert not node.processes
    if any(verb == "kill" for verb, *_ in steps):  # whose callbacks are cut short, or not called
        return
    for name in ABOVE:
        assert model.log.count(("prep_stop", name)) == model.log.count(("stop", name))
    if asyncio.CancelledError not in outcomes:  # one that is cancelled kills what it started
        assert left <= {name for step, name in model.log if step == "stop"}
