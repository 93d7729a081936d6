# SPDX-License-Identifier: MIT
"""Random exits of children, against a model of the three strategies that fits on one screen."""

from __future__ import annotations

import asyncio
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from stanchion.kernel import Node, trap_exit, wait_exit, whereis
from stanchion.server import GenServer, Stop, cast, start
from stanchion.supervisor import Supervisor, child_spec, restart_child, terminate_child, which_children

LABELS = "abcde"
MAX_RESTARTS = 6
CRASH = ValueError("crash")

Restart = Literal["permanent", "transient", "temporary"]


class Model:
    """What is to happen: ``log`` has each start and stop in order."""

    def __init__(self, strategy: str, restarts: list[Restart]) -> None:
        self.strategy = strategy
        self.restart = dict(zip(LABELS, restarts, strict=False))
        self.running = dict.fromkeys(self.restart, True)
        self.log = [f"+{label}" for label in self.running]
        self.count = 0
        self.gave_up = False

    def exits(self, label: str, *, abnormal: bool) -> None:
        self.stop([label])
        kind = self.restart[label]
        if kind == "permanent" or (kind == "transient" and abnormal):
            self.restarts(label)

    def restarts(self, label: str) -> None:
        self.count += 1
        if self.count > MAX_RESTARTS:
            self.gave_up = True
            self.stop(list(self.running))
            return
        everybody = list(self.running)
        at = everybody.index(label)
        group = {"one_for_one": [label], "one_for_all": everybody, "rest_for_one": everybody[at:]}[self.strategy]
        self.stop(group)
        for one in group:
            if one in self.running:
                self.start(one)

    def start(self, label: str) -> None:
        self.running[label] = True
        self.log.append(f"+{label}")

    def stop(self, group: list[str]) -> None:
        for label in reversed(group):
            if self.running[label]:
                self.running[label] = False
                self.log.append(f"-{label}")
                if self.restart[label] == "temporary":
                    del self.running[label]


class Child(GenServer):
    def init(self, log: list[str], label: str) -> None:
        trap_exit()
        self.log, self.label = log, label
        log.append(f"+{label}")

    def handle_cast(self, message: object) -> object:
        if message is CRASH:
            raise CRASH
        return Stop("normal" if message == "normal" else "shutdown")

    def terminate(self, reason: object) -> None:
        self.log.append(f"-{self.label}")


steps = st.lists(
    st.tuples(st.sampled_from(["crash", "normal", "shutdown", "terminate", "restart"]), st.sampled_from(LABELS)),
    max_size=12,
)


cases = given(
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    restarts=st.lists(st.sampled_from(["permanent", "transient", "temporary"]), min_size=1, max_size=len(LABELS)),
    steps=steps,
)


@settings(max_examples=30)  # tests/stress has the many
@cases
async def test_supervisor_does_what_the_model_does(strategy, restarts, steps):
    await check(strategy, restarts, steps)


async def check(strategy, restarts, steps) -> None:
    """Take the steps with a supervisor and with its model, and compare."""
    model = Model(strategy, restarts)
    log: list[str] = []
    async with Node(block_threshold=None):
        specs = [
            child_spec(Child, log, label, name=label, restart=restart)
            for label, restart in zip(LABELS, restarts, strict=False)
        ]
        supervisor = await start(Supervisor, specs, strategy, MAX_RESTARTS, 3600)
        for verb, label in steps:
            await do(model, supervisor, verb, label)
            assert log == model.log
            if model.gave_up:
                assert not supervisor.alive
                break
            state = {child.id: child.state == "running" for child in await which_children(supervisor)}
            assert state == model.running
        model.stop(list(model.running))
    assert log == model.log


async def do(model: Model, supervisor, verb: str, label: str) -> None:
    """Take one step with the supervisor and with its model; one that does not apply is left out."""
    if label not in model.running:
        return
    if verb == "terminate":
        model.stop([label])
        await terminate_child(supervisor, label)
    elif verb == "restart":
        if not model.running[label]:
            model.start(label)
            await restart_child(supervisor, label)
    elif model.running[label]:
        child = whereis(label)
        assert child is not None
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=10))
        model.exits(label, abnormal=verb == "crash")
        cast(child, CRASH if verb == "crash" else verb)
        await wait_exit(child, timeout=10)
        if model.gave_up:
            assert await ended == "shutdown"
        else:
            await which_children(supervisor)  # whatever the exit led to is done before the supervisor answers
            ended.cancel()
