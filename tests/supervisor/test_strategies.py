# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import ChildStartError
from stanchion.kernel import wait_exit, whereis
from stanchion.server import start
from stanchion.supervisor import Supervisor, child_spec, restart_child, terminate_child
from tests.supervisor.servers import Recorder, crash, end_of, quick_node, recorder, states


@pytest.mark.parametrize(
    ("strategy", "after_the_crash_of_b"),
    [
        ("one_for_one", ["-b", "+b"]),
        ("one_for_all", ["-b", "-d", "-c", "-a", "+a", "+b", "+c", "+d"]),
        ("rest_for_one", ["-b", "-d", "-c", "+b", "+c", "+d"]),
    ],
)
async def test_strategy_restarts_with_a_child(strategy, after_the_crash_of_b):
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, label) for label in "abcd"], strategy)
        log.clear()
        await crash("b")
        assert await states(supervisor) == dict.fromkeys("abcd", "running")
        assert log == after_the_crash_of_b


async def test_one_for_all_forgets_temporary_children_and_starts_stopped_ones():
    # As OTP 25 does, run side by side: which_children after the same steps.
    log = []
    async with quick_node():
        specs = [
            recorder(log, "a"),
            recorder(log, "b", restart="transient"),
            recorder(log, "c", restart="temporary"),
            recorder(log, "d"),
        ]
        supervisor = await start(Supervisor, specs, "one_for_all")
        await end_of("b", "normal")
        await terminate_child(supervisor, "d")
        assert await states(supervisor) == {"a": "running", "b": "stopped", "c": "running", "d": "stopped"}
        await crash("a")
        assert await states(supervisor) == {"a": "running", "b": "running", "d": "running"}


async def test_crash_of_two_children_at_once_restarts_the_group_once_for_each_that_is_still_theirs():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a"), recorder(log, "b")], "one_for_all")
        log.clear()
        await crash("a")
        await crash("b")  # may be the old b or the new one: its exit is heard in either case
        assert await states(supervisor) == {"a": "running", "b": "running"}
        assert log.count("+a") == log.count("+b") >= 1


class Flaky(Recorder):
    """A Recorder whose init fails while its label is in the set that it is given."""

    def init(self, log, label, broken=frozenset()):
        if label in broken:
            log.append(f"!{label}")
            raise OSError(label)
        super().init(log, label)


def flaky(log, label, broken):
    return child_spec(Flaky, log, label, broken, name=label)


@pytest.mark.parametrize(
    ("strategy", "events"),
    [
        # One that fails stops what was started with it and after it, then the whole lot is tried again.
        ("one_for_all", ["-a", "-c", "-b", "+a", "!b", "-a", "+a", "!b", "-a", "+a", "!b", "-a"]),
        ("rest_for_one", ["-a", "-c", "-b", "+a", "!b", "!b", "!b", "-a"]),
    ],
)
async def test_strategy_tries_again_from_the_child_that_failed(strategy, events):
    log: list[str] = []
    broken: set[str] = set()
    async with quick_node():
        supervisor = await start(Supervisor, [flaky(log, label, broken) for label in "abc"], strategy)
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        log.clear()
        broken.add("b")
        await crash("a")
        assert await ended == "shutdown"
        assert log == events


async def test_children_behind_a_failed_restart_wait_for_it():
    log: list[str] = []
    broken: set[str] = set()
    async with quick_node():
        specs = [flaky(log, label, broken) for label in "abc"]
        supervisor = await start(Supervisor, specs, "rest_for_one", 1000)
        broken.add("b")
        await crash("a")
        assert await states(supervisor) == {"a": "running", "b": "restarting", "c": "stopped"}
        broken.clear()
        while await states(supervisor) != dict.fromkeys("abc", "running"):
            pass


async def test_terminate_child_ends_the_tries_of_a_child_that_fails_to_restart():
    log: list[str] = []
    broken: set[str] = set()
    async with quick_node():
        supervisor = await start(Supervisor, [flaky(log, "a", broken)], "one_for_one", 1000)
        broken.add("a")
        await crash("a")
        assert await states(supervisor) == {"a": "restarting"}
        await terminate_child(supervisor, "a")
        tries = log.count("!a")
        assert await states(supervisor) == {"a": "stopped"}
        assert await states(supervisor) == {"a": "stopped"}
        assert log.count("!a") == tries
        with pytest.raises(ChildStartError):
            await restart_child(supervisor, "a")
        assert whereis("a") is None
