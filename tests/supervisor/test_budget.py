# SPDX-License-Identifier: MIT
"""Children with restarts of their own: child_spec(budget=...)."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.kernel import wait_exit, whereis
from stanchion.server import start
from stanchion.supervisor import RestartBudget, Supervisor, child_spec, restart_child
from stanchion.telemetry import GAVE_UP
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.supervisor.servers import Recorder, crash, quick_node, recorder, states


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def node():
    return quick_node("shop", clock=VirtualClock())


async def test_child_whose_budget_is_used_up_stays_stopped_and_its_siblings_live_on():
    log = []
    async with node():
        specs = [recorder(log, "a", budget=RestartBudget(2, 60)), recorder(log, "b")]
        supervisor = await start(Supervisor, specs, "one_for_all")
        for _ in range(2):
            await crash("a")
            assert await states(supervisor) == {"a": "running", "b": "running"}
        log.clear()
        await crash("a")
        assert await states(supervisor) == {"a": "stopped", "b": "running"}
        assert log == ["-a"]


async def test_restarts_of_a_budget_do_not_count_among_the_supervisors():
    async with node():
        specs = [recorder([], "a", budget=RestartBudget(5, 60)), recorder([], "b")]
        supervisor = await start(Supervisor, specs, "one_for_one", 1)
        for _ in range(5):
            await crash("a")
            assert (await states(supervisor))["a"] == "running"
        await crash("b")
        assert await states(supervisor) == {"a": "running", "b": "running"}
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await crash("b")
        assert await ended == "shutdown"


async def test_budget_is_per_child():
    async with node():
        specs = [recorder([], label, budget=RestartBudget(1, 60)) for label in "ab"]
        supervisor = await start(Supervisor, specs)
        await crash("a")
        await crash("b")
        assert await states(supervisor) == {"a": "running", "b": "running"}


@pytest.mark.parametrize(("between", "after"), [(60.0, "stopped"), (60.5, "running")])
async def test_budget_comes_back_with_time(between, after):
    async with node():
        supervisor = await start(Supervisor, [recorder([], "a", budget=RestartBudget(1, 60))])
        await crash("a")
        await states(supervisor)
        await asyncio.sleep(between)
        await crash("a")
        assert await states(supervisor) == {"a": after}


async def test_restart_by_hand_gives_a_fresh_budget():
    async with node():
        supervisor = await start(Supervisor, [recorder([], "a", budget=RestartBudget(1, 60))])
        for _ in range(2):
            await crash("a")
            await states(supervisor)
        await restart_child(supervisor, "a")
        await crash("a")
        assert await states(supervisor) == {"a": "running"}
        await crash("a")
        assert await states(supervisor) == {"a": "stopped"}


class Flaky(Recorder):
    def init(self, log, label, broken=frozenset()):
        if label in broken:
            log.append(f"!{label}")
            raise OSError(label)
        super().init(log, label)


@pytest.mark.parametrize(
    ("strategy", "events"),
    [
        ("one_for_all", ["-a", "-c", "-b", "+a", "!b", "-a", "+a", "!b", "+c"]),
        ("rest_for_one", ["-a", "-c", "-b", "+a", "!b", "!b", "+c"]),
    ],
)
async def test_those_behind_a_child_that_fails_to_restart_start_without_it_when_its_budget_is_used_up(strategy, events):
    log: list[str] = []
    broken: set[str] = set()
    async with node():
        specs = [
            child_spec(Flaky, log, label, broken, name=label, budget=RestartBudget(1, 60) if label == "b" else None)
            for label in "abc"
        ]
        supervisor = await start(Supervisor, specs, strategy)
        log.clear()
        broken.add("b")
        await crash("a")
        while (await states(supervisor))["c"] != "running":
            pass
        assert await states(supervisor) == {"a": "running", "b": "stopped", "c": "running"}
        assert whereis("b") is None
        assert log == events


async def test_log_and_event_tell_which_child_is_left_stopped(caplog):
    seen = []
    async with node() as shop:
        shop.telemetry.attach(GAVE_UP, lambda event, numbers, details: seen.append((numbers, details)))
        supervisor = await start(Supervisor, [recorder([], "a", budget=RestartBudget(1, 60))], name="s")
        for _ in range(2):
            await crash("a")
            await states(supervisor)
    [(numbers, details)] = seen
    assert numbers == {"restarts": 2, "attempt": 2}
    assert repr(details.pop("reason")) == "ValueError('crash of a')"
    assert details == {"node": "shop", "pid": supervisor, "name": "s", "child_id": "a", "stops": "child"}
    told = [record for record in caplog.records if record.name == "stanchion.supervisor"]
    assert [(record.levelname, record.getMessage()) for record in told] == [
        (
            "WARNING",
            (
                "Supervisor <shop.1 s> restarts child 'a': restart 1 of 1 within 60 s of its own budget; "
                "reason: ValueError('crash of a')"
            ),
        ),
        (
            "ERROR",
            (
                "Supervisor <shop.1 s> leaves child 'a' stopped: it needs restart 2, and has 1 within 60 s; "
                "last reason: ValueError('crash of a')"
            ),
        ),
    ]


async def test_event_tells_when_the_supervisor_gives_up():
    seen = []
    async with node() as shop:
        shop.telemetry.attach(GAVE_UP, lambda event, numbers, details: seen.append((numbers, details)))
        supervisor = await start(Supervisor, [recorder([], "a")], "one_for_one", 0, name="s")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await crash("a")
        await ended
    [(numbers, details)] = seen
    assert numbers == {"restarts": 1, "attempt": 1}
    assert repr(details.pop("reason")) == "ValueError('crash of a')"
    assert details == {"node": "shop", "pid": supervisor, "name": "s", "child_id": "a", "stops": "supervisor"}
