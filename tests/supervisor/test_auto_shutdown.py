# SPDX-License-Identifier: MIT
"""Significant children: whose end shuts the supervisor down. As do_auto_shutdown/2 of OTP 25's supervisor."""

from __future__ import annotations

import asyncio

import pytest

from stanchion import Backoff
from stanchion.errors import ChildSpecError
from stanchion.kernel import wait_exit
from stanchion.server import IGNORE, start
from stanchion.supervisor import (
    RestartBudget,
    Supervisor,
    child_spec,
    delete_child,
    restart_child,
    start_child,
    supervisor_spec,
    terminate_child,
)
from tests.supervisor.servers import InitBy, crash, end_of, pid_of, quick_node, recorder, states

CRASH = ValueError("crash")


def significant(log, label, restart="transient", **options):
    return recorder(log, label, restart=restart, significant=True, **options)


@pytest.mark.parametrize(
    ("restart", "reason"),
    [
        ("transient", "normal"),
        ("transient", "shutdown"),
        ("transient", ("shutdown", "done")),
        ("temporary", "normal"),
        ("temporary", "shutdown"),
        ("temporary", CRASH),
    ],
)
async def test_supervisor_shuts_down_at_the_end_of_a_significant_child(restart, reason):
    log = []
    async with quick_node():
        specs = [recorder(log, "a"), significant(log, "b", restart), recorder(log, "c")]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, "any_significant")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await end_of("b", reason)
        assert await ended == "shutdown"
    assert log == ["+a", "+b", "+c", "-b", "-c", "-a"]


async def test_significant_child_that_crashes_is_restarted_while_it_is_transient():
    async with quick_node():
        specs = [significant([], "a")]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, "any_significant")
        await crash("a")
        assert await states(supervisor) == {"a": "running"}


async def test_end_of_an_insignificant_child_shuts_nothing_down():
    async with quick_node():
        specs = [recorder([], "a", restart="transient"), recorder([], "b", restart="temporary"), significant([], "c")]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, "any_significant")
        await end_of("a", "normal")
        await end_of("b", "normal")
        assert await states(supervisor) == {"a": "stopped", "c": "running"}


async def test_supervisor_waits_for_the_last_significant_child():
    log = []
    async with quick_node():
        specs = [significant(log, "a"), recorder(log, "b"), significant(log, "c", "temporary")]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, "all_significant")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await end_of("a", "normal")
        assert await states(supervisor) == {"a": "stopped", "b": "running", "c": "running"}
        await end_of("c", "normal")
        assert await ended == "shutdown"


async def test_significant_child_that_is_about_to_be_restarted_counts_as_one_that_runs():
    starts = []

    def only_once():
        starts.append(1)
        if len(starts) > 1:
            raise OSError("again")

    async with quick_node():
        flaky = child_spec(InitBy, only_once, name="flaky", restart="transient", significant=True)
        specs = [flaky, significant([], "a")]
        supervisor = await start(Supervisor, specs, "one_for_one", 10_000, 5, "all_significant")
        # The Exit of flaky is read first, and its restart fails.
        process = pid_of("flaky")._process
        assert process is not None
        process.task.cancel()
        await wait_exit(process.pid, timeout=5)
        assert await states(supervisor) == {"flaky": "restarting", "a": "running"}
        await end_of("a", "normal")
        assert await states(supervisor) == {"flaky": "restarting", "a": "stopped"}


@pytest.mark.parametrize("ends", ["a", "c"])
async def test_significant_child_that_waits_with_a_sibling_counts_as_one_that_runs(ends):
    async with quick_node():
        waits = recorder([], "b", backoff=Backoff(initial=60, maximum=60))
        specs = [significant([], "a"), waits, significant([], "c")]
        supervisor = await start(Supervisor, specs, "rest_for_one", 3, 5, "all_significant")
        await crash("b")
        assert await states(supervisor) == {"a": "running", "b": "restarting", "c": "stopped"}
        if ends == "a":
            await end_of("a", "normal")
            assert await states(supervisor) == {"a": "stopped", "b": "restarting", "c": "stopped"}
        else:
            ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
            await delete_child(supervisor, "c")
            await end_of("a", "normal")
            assert await ended == "shutdown"


@pytest.mark.parametrize("auto_shutdown", ["any_significant", "all_significant"])
async def test_terminate_child_and_delete_child_shut_nothing_down(auto_shutdown):
    async with quick_node():
        specs = [significant([], "a"), significant([], "b", "temporary")]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, auto_shutdown)
        await terminate_child(supervisor, "b")
        await terminate_child(supervisor, "a")
        await delete_child(supervisor, "a")
        assert await states(supervisor) == {}


@pytest.mark.parametrize(
    ("strategy", "left"),
    [("one_for_all", {"a": "running", "b": "running"}), ("rest_for_one", {"a": "running", "b": "running"})],
)
async def test_significant_child_that_a_siblings_restart_stops_has_not_ended(strategy, left):
    async with quick_node():
        specs = [recorder([], "a"), significant([], "b"), significant([], "c", "temporary")]
        supervisor = await start(Supervisor, specs, strategy, 3, 5, "any_significant")
        await crash("a")
        assert await states(supervisor) == left


async def test_child_that_is_ignored_has_not_ended():
    async with quick_node():
        spec = child_spec(InitBy, lambda: IGNORE, id="a", restart="transient", significant=True)
        supervisor = await start(Supervisor, [spec], "one_for_one", 3, 5, "any_significant")
        assert await states(supervisor) == {"a": "stopped"}


async def test_significant_child_without_a_budget_left_has_ended():
    async with quick_node():
        specs = [significant([], "a", budget=RestartBudget(1, 60))]
        supervisor = await start(Supervisor, specs, "one_for_one", 3, 5, "any_significant")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await crash("a")
        assert await states(supervisor) == {"a": "running"}
        await crash("a")
        assert await ended == "shutdown"


async def test_supervisor_that_shut_down_is_restarted_by_the_one_above_as_its_spec_says(caplog):
    caplog.set_level("INFO")
    async with quick_node("shop"):
        inner = supervisor_spec(
            [significant([], "a")], auto_shutdown="any_significant", restart="transient", name="inner"
        )
        outer = await start(Supervisor, [inner])
        await wait_for_shutdown("a", "inner")
        assert await states(outer) == {"inner": "stopped"}
        await restart_child(outer, "inner")
        assert await states(pid_of("inner")) == {"a": "running"}
    assert "Supervisor <shop.2 inner> shuts down: its significant child 'a' has ended" in caplog.messages


async def wait_for_shutdown(child, supervisor):
    ended = asyncio.ensure_future(wait_exit(pid_of(supervisor), timeout=5))
    await end_of(child, "normal")
    await ended


async def test_start_child_refuses_a_significant_child_where_there_is_no_auto_shutdown():
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [], name="s")
        with pytest.raises(ChildSpecError) as caught:
            await start_child(supervisor, significant([], "a"))
        assert await states(supervisor) == {}
    assert str(caught.value) == (
        "child_spec 'a': expected a supervisor that a significant child can shut down, "
        "got Supervisor <shop.1 s> with auto_shutdown='never'\n"
        "Fix: pass auto_shutdown='any_significant' or 'all_significant' to the supervisor, or leave out significant=."
    )


async def test_start_child_adds_a_significant_child():
    async with quick_node():
        supervisor = await start(Supervisor, [], "one_for_one", 3, 5, "all_significant")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await start_child(supervisor, significant([], "a"))
        await end_of("a", "normal")
        assert await ended == "shutdown"
