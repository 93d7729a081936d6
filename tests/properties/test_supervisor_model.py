# SPDX-License-Identifier: MIT
"""Random lives of supervisors, against a model that fits on two screens."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stanchion import Backoff
from stanchion.errors import ChildStartError
from stanchion.kernel import Node, Pid, trap_exit, wait_exit, whereis
from stanchion.server import IGNORE, GenServer, Stop, cast, start
from stanchion.supervisor import (
    ChildSpec,
    RestartBudget,
    Supervisor,
    child_spec,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.properties.supervisor_model import FIRST_DELAY, LONGEST_DELAY, Model, Outcome, Restart, Settings, Spec

LABELS = "abcd"
BACKOFF = Backoff(initial=FIRST_DELAY, factor=2, maximum=LONGEST_DELAY, jitter=0)


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Keep the lines of so many crashes out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Member(GenServer):
    """Notes its starts and its end; a start has the outcome that is planned for it."""

    def init(self, log: list[str], label: str, plan: dict[str, list[Outcome]]) -> object:
        planned = plan.get(label)
        outcome = planned.pop(0) if planned else "ok"
        log.append({"ok": "+", "fail": "!", "ignore": "?"}[outcome] + label)
        if outcome == "fail":
            raise OSError(label)
        trap_exit()
        self.log, self.label = log, label
        return IGNORE if outcome == "ignore" else None

    def handle_cast(self, message: Any) -> object:
        if message in ("normal", "shutdown"):
            return Stop(message)
        raise ValueError(message)

    def terminate(self, reason: object) -> None:
        self.log.append(f"-{self.label}")


# --- cases ---------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What happens next; ``pick`` chooses among the children that it can happen to."""

    verb: str
    pick: int
    spec: Spec
    outcomes: list[Outcome]
    seconds: float


class Case(NamedTuple):
    """A supervisor and what happens to it."""

    settings: Settings
    specs: list[Spec]
    plan: dict[str, list[Outcome]]
    steps: list[Step]


VERBS = {
    "crash": 5,
    "crash_two": 1,
    "normal": 2,
    "shutdown": 1,
    "terminate": 2,
    "restart": 2,
    "delete": 1,
    "add": 2,
    "plan": 3,
    "wait": 5,
}


def case_of(chance: Random) -> Case:
    """Return a random case; the same chance gives the same one."""
    beyond_otp = chance.random() < 0.5
    flags = Settings(
        chance.choice(["one_for_one", "one_for_all", "rest_for_one"]),
        chance.choices(["never", "any_significant", "all_significant"], [3, 1, 3])[0],
        chance.choice([0, 1, 2, 3, 5, 8]),
        2.05 if beyond_otp else 2.0,  # no step's time is at the edge of the first; many are at that of the second
    )

    def spec(label: str) -> Spec:
        restart: Restart = chance.choice(["permanent", "transient", "transient", "temporary"])
        may_be = flags.auto_shutdown != "never" and restart != "permanent"
        extra = beyond_otp and restart != "temporary"
        return Spec(
            label,
            restart,
            may_be and chance.random() < 0.6,
            extra and chance.random() < 0.5,
            chance.choice([None, 0, 1, 2]) if extra else None,
        )

    def outcomes() -> list[Outcome]:
        return chance.choices(["fail", "ignore", "ok"], [3, 1, 2], k=chance.randrange(5))

    def step() -> Step:
        [verb] = chance.choices(list(VERBS), list(VERBS.values()))
        seconds = chance.choice([0.5, 0.5, 1.0, 1.5, 2.0, 4.0])
        return Step(verb, chance.randrange(12), spec(""), outcomes(), seconds)

    specs = [spec(label) for label in LABELS[: chance.randint(1, len(LABELS))]]
    plan = {label: outcomes() for label in LABELS if chance.random() < 0.05}
    return Case(flags, specs, plan, [step() for _ in range(chance.randrange(60))])


@settings(max_examples=30)
@given(case=st.randoms(use_true_random=False).map(case_of))
async def test_supervisor_does_what_the_model_does(case):
    await check(case)


@pytest.mark.parametrize("seeds", [range(first, first + 50) for first in range(0, 200, 50)], ids=str)
async def test_supervisor_does_what_the_model_does_for_these_seeds(seeds):  # tests/stress has the many
    for seed in seeds:
        await check(case_of(Random(seed)))


# --- the check -----------------------------------------------------------------------------------


async def check(case: Case) -> None:
    """Take the steps with a supervisor and with its model, and compare after each."""
    model = Model(case.settings, copy.deepcopy(case.plan))
    plan = copy.deepcopy(case.plan)
    log: list[str] = []

    def real(spec: Spec) -> ChildSpec:
        return child_spec(
            Member,
            log,
            spec.label,
            plan,
            name=spec.label,
            restart=spec.restart,
            significant=spec.significant,
            backoff=BACKOFF if spec.backoff else None,
            budget=None if spec.budget is None else RestartBudget(spec.budget, case.settings.max_seconds),
        )

    async with Node(clock=VirtualClock(), block_threshold=None):
        begun = model.begin(case.specs)
        flags = case.settings
        starting = start(
            Supervisor,
            [real(spec) for spec in case.specs],
            flags.strategy,
            flags.max_restarts,
            flags.max_seconds,
            flags.auto_shutdown,
        )
        if not begun:
            with pytest.raises(ChildStartError):
                await starting
            assert log == model.log
            return
        supervisor = await starting
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=None))
        for step in case.steps:
            whom = candidates(model, step.verb)
            if not whom:
                continue
            label = whom[step.pick % len(whom)]
            if step.verb == "plan":
                plan.setdefault(label, []).extend(step.outcomes)
            await take(model, supervisor, step, label, real)
            if model.down:
                assert await asyncio.wait_for(ended, 1) == "shutdown"
                break
            await same(model, supervisor, log)
        ended.cancel()
        model.stop(list(model.children.values()))
    assert log == model.log


def candidates(model: Model, verb: str) -> list[str]:
    """Return whom a step can happen to now."""
    if verb in ("wait", "plan"):
        return list(LABELS)
    if verb == "add":
        return [label for label in LABELS if label not in model.children]
    if verb == "terminate":
        return list(model.children)
    wanted = "stopped" if verb in ("restart", "delete") else "running"
    found = [label for label, state in model.states.items() if state == wanted]
    return [] if verb == "crash_two" and len(found) < 2 else found


async def take(model: Model, supervisor: Pid, step: Step, label: str, real: Callable[[Spec], ChildSpec]) -> None:
    """Take one step with the supervisor and with its model."""
    verb = step.verb
    if verb == "wait":
        model.wait(step.seconds)
        await asyncio.sleep(step.seconds)
    elif verb == "plan":
        model.plan.setdefault(label, []).extend(step.outcomes)
    elif verb == "add":
        spec = step.spec._replace(label=label)
        assert (model.add(spec) == "fail") is await fails(start_child(supervisor, real(spec)))
    elif verb == "restart":
        assert (model.restart_by_hand(label) == "fail") is await fails(restart_child(supervisor, label))
    elif verb == "terminate":
        model.terminate(label)
        await terminate_child(supervisor, label)
    elif verb == "delete":
        model.delete(label)
        await delete_child(supervisor, label)
    else:
        running = candidates(model, "crash")
        both = [label, running[running.index(label) - 1]]
        ending = both if verb == "crash_two" else [label]
        pids = [pid for pid in map(whereis, ending) if pid is not None]
        model.end(ending, abnormal=verb.startswith("crash"))
        for pid in pids:
            cast(pid, verb)
        for pid in pids:
            await wait_exit(pid, timeout=None)


async def fails(asked: Awaitable[object]) -> bool:
    try:
        await asked
    except ChildStartError:
        return True
    return False


async def same(model: Model, supervisor: Pid, log: list[str]) -> None:
    """Wait until the supervisor has done what it has to, and compare."""
    states: dict[object, str] = {}
    for _ in range(20):  # more than there can be tries of a restart, each of which lets one request pass
        states = {child.id: child.state for child in await which_children(supervisor)}
        if log == model.log and states == model.states:
            return
    assert (log, states) == (model.log, model.states)
