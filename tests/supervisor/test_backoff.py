# SPDX-License-Identifier: MIT
"""Restarts that wait: child_spec(backoff=...)."""

from __future__ import annotations

import asyncio

import pytest

from stanchion import Backoff
from stanchion.errors import ChildStateError
from stanchion.kernel import exit, wait_exit, whereis
from stanchion.server import start, stop
from stanchion.supervisor import (
    RestartBudget,
    Supervisor,
    child_spec,
    delete_child,
    restart_child,
    start_child,
    terminate_child,
)
from stanchion.supervisor._retry import Retry
from stanchion.telemetry import CHILD_RESTART
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.supervisor.servers import InitBy, crash, pid_of, process_of, quick_node, recorder, states

PLAIN = Backoff(initial=1, factor=2, maximum=60, jitter=0)
# A delay is never shorter than it says, and at most one tick of the node's deadlines longer.
TICK = 1 / 128


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def node(**options):
    return quick_node("shop", clock=VirtualClock(), **options)


def now() -> float:
    return asyncio.get_running_loop().time()


class Log(list[str]):
    """A log that can be waited on."""

    def __init__(self) -> None:
        super().__init__()
        self._grew = asyncio.Event()

    def append(self, entry: str) -> None:
        super().append(entry)
        self._grew.set()

    async def grew_by(self, entry: str) -> float:
        """Wait until there is one more of an entry, and return how long that took."""
        before, known = now(), self.count(entry)
        while self.count(entry) == known:
            self._grew.clear()
            await self._grew.wait()
        return now() - before


async def test_restart_waits_and_the_child_is_restarting_meanwhile():
    log = Log()
    async with node():
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=PLAIN), recorder([], "b")])
        await crash("a")
        assert await states(supervisor) == {"a": "restarting", "b": "running"}
        await asyncio.sleep(0.99)
        assert whereis("a") is None
        assert 0 < await log.grew_by("+a") <= 0.02


async def test_delay_grows_with_each_restart_in_a_row():
    log = Log()
    async with node():
        await start(Supervisor, [recorder(log, "a", backoff=PLAIN)])
        delays = []
        for _ in range(4):
            await crash("a")
            delays.append(await log.grew_by("+a"))
        assert delays == [pytest.approx(delay, abs=2 * TICK) for delay in (1, 2, 4, 8)]


@pytest.mark.parametrize(("ran", "delay"), [(59.9, 2), (60.1, 1)])
async def test_row_ends_when_the_child_has_run_for_the_longest_delay(ran, delay):
    log = Log()
    async with node():
        await start(Supervisor, [recorder(log, "a", backoff=PLAIN)])
        await crash("a")
        await log.grew_by("+a")
        await asyncio.sleep(ran)
        await crash("a")
        assert await log.grew_by("+a") == pytest.approx(delay, abs=2 * TICK)


async def test_delay_has_the_nodes_jitter():
    async def delay_of(seed):
        log = Log()
        async with node(seed=seed):
            await start(Supervisor, [recorder(log, "a", backoff=Backoff(initial=1, jitter=0.5))])
            await crash("a")
            return await log.grew_by("+a")

    assert await delay_of(1) == pytest.approx(await delay_of(1), abs=TICK)
    assert 0.5 <= await delay_of(2) <= 1.5 + 2 * TICK
    assert abs(await delay_of(1) - await delay_of(2)) > TICK


async def test_log_and_event_tell_the_attempt_and_the_delay(caplog):
    seen = []
    log = Log()
    async with node() as shop:
        shop.telemetry.attach(CHILD_RESTART, lambda event, numbers, details: seen.append(numbers))
        await start(Supervisor, [recorder(log, "a", backoff=PLAIN)], name="s")
        for _ in range(2):
            await crash("a")
            await log.grew_by("+a")
    assert seen == [{"restarts": 1, "attempt": 1, "delay": 1.0}, {"restarts": 2, "attempt": 2, "delay": 2.0}]
    told = [record.getMessage() for record in caplog.records if record.name == "stanchion.supervisor"]
    assert told == [
        (
            "Supervisor <shop.1 s> restarts child 'a' in 1 s (attempt 1): restart 1 of 3 within 5 s; "
            "reason: ValueError('crash of a')"
        ),
        (
            "Supervisor <shop.1 s> restarts child 'a' in 2 s (attempt 2): restart 2 of 3 within 5 s; "
            "reason: ValueError('crash of a')"
        ),
    ]


async def test_restart_that_fails_waits_longer_before_the_next_try():
    times = []

    def fail_twice():
        times.append(now())
        if len(times) in (2, 3):
            raise OSError("port in use")

    async with node():
        await start(Supervisor, [child_spec(InitBy, fail_twice, name="a", backoff=PLAIN)])
        await stop("a")
        await asyncio.sleep(10)
        assert [times[n + 1] - times[n] for n in range(3)] == [pytest.approx(d, abs=2 * TICK) for d in (1, 2, 4)]


async def test_supervisor_gives_up_when_the_restarts_are_still_too_many():
    log = Log()
    async with node():
        backoff = Backoff(initial=0.1, factor=1, jitter=0)
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=backoff)], "one_for_one", 1, 5)
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await crash("a")
        await log.grew_by("+a")
        await crash("a")
        assert await ended == "shutdown"


@pytest.mark.parametrize(
    ("strategy", "meanwhile", "events"),
    [
        ("one_for_one", {"a": "running", "b": "restarting", "c": "running"}, ["-b", "+b"]),
        (
            "one_for_all",
            {"a": "stopped", "b": "restarting", "c": "stopped"},
            ["-b", "-c", "-a", "+a", "+b", "+c"],
        ),
        ("rest_for_one", {"a": "running", "b": "restarting", "c": "stopped"}, ["-b", "-c", "+b", "+c"]),
    ],
)
async def test_group_stops_at_once_and_starts_after_the_delay(strategy, meanwhile, events):
    log = Log()
    async with node():
        specs = [recorder(log, "a"), recorder(log, "b", backoff=PLAIN), recorder(log, "c")]
        supervisor = await start(Supervisor, specs, strategy)
        log.clear()
        await crash("b")
        assert await states(supervisor) == meanwhile
        await asyncio.sleep(0.9)
        assert log == events[: len(events) - list(meanwhile.values()).count("stopped") - 1]
        await log.grew_by("+c" if "+c" in events else "+b")
        assert log == events


async def test_group_that_was_started_by_hand_meanwhile_is_restarted_with_the_child():
    log = Log()
    async with node():
        specs = [recorder(log, "a", backoff=PLAIN), recorder(log, "b")]
        supervisor = await start(Supervisor, specs, "one_for_all")
        await crash("a")
        await restart_child(supervisor, "b")
        await start_child(supervisor, recorder(log, "c"))
        log.clear()
        await log.grew_by("+c")
        assert log == ["-c", "-b", "+a", "+b", "+c"]


async def test_group_of_another_child_starts_one_that_waits():
    log = []
    async with node():
        specs = [recorder(log, "a"), recorder(log, "b", backoff=PLAIN)]
        supervisor = await start(Supervisor, specs, "rest_for_one")
        await crash("b")
        await crash("a")
        assert await states(supervisor) == {"a": "running", "b": "running"}
        log.clear()
        await asyncio.sleep(5)
        assert log == []


def waits_of(supervisor):
    """Return the delays that run."""
    return [thing for thing in process_of(supervisor).owned or () if isinstance(thing, Retry)]


async def test_terminate_child_ends_the_wait():
    log = []
    async with node():
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=PLAIN)])
        await crash("a")
        await terminate_child(supervisor, "a")
        assert await states(supervisor) == {"a": "stopped"}
        assert waits_of(supervisor) == []
        await asyncio.sleep(5)
        assert log == ["+a", "-a"]


@pytest.mark.parametrize("function", [restart_child, delete_child])
async def test_child_that_waits_is_neither_restarted_by_hand_nor_deleted(function):
    async with node():
        supervisor = await start(Supervisor, [recorder([], "a", backoff=PLAIN)], name="s")
        await crash("a")
        with pytest.raises(ChildStateError, match="expected a stopped child, got one that is restarting"):
            await function(supervisor, "a")


async def test_wait_that_was_ended_in_the_step_of_its_end_counts_no_more():
    log = []
    async with node():
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=PLAIN)])
        await crash("a")
        await states(supervisor)
        terminating = asyncio.ensure_future(terminate_child(supervisor, "a"))
        [retry] = waits_of(supervisor)
        await asyncio.sleep(0)  # the request is in the mailbox, before the retry
        assert isinstance(retry, Retry)
        retry.expire()
        await terminating
        assert await states(supervisor) == {"a": "stopped"}
        await restart_child(supervisor, "a")
        assert log == ["+a", "-a", "+a"]


async def test_restart_by_hand_begins_a_new_row():
    log = Log()
    async with node():
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=PLAIN)])
        for _ in range(2):
            await crash("a")
            await log.grew_by("+a")
        await terminate_child(supervisor, "a")
        await restart_child(supervisor, "a")
        await crash("a")
        assert await log.grew_by("+a") == pytest.approx(1, abs=2 * TICK)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_supervisor_can_end_while_a_child_waits(end):
    log = []
    async with node() as shop:
        supervisor = await start(Supervisor, [recorder(log, "a", backoff=PLAIN), recorder(log, "b")])
        await crash("a")
        await states(supervisor)
        before = now()
        if end == "stop":
            await stop(supervisor)
        else:
            exit(supervisor, "kill")
            await wait_exit(supervisor, timeout=1)
        assert now() == before
        await asyncio.sleep(5)
        assert not shop.processes
        assert log.count("+a") == 1


async def test_full_mailbox_does_not_lose_the_end_of_a_wait():
    async with node():
        await start(Supervisor, [recorder([], "a", backoff=PLAIN)], mailbox=1)
        await crash("a")
        await asyncio.sleep(2)
        assert pid_of("a").alive


async def test_backoff_of_zero_restarts_at_once():
    async with node():
        supervisor = await start(Supervisor, [recorder([], "a", backoff=Backoff(initial=0))])
        await crash("a")
        assert await states(supervisor) == {"a": "running"}


async def test_backoff_and_budget_go_together():
    log = Log()
    async with node():
        spec = recorder(log, "a", backoff=PLAIN, budget=RestartBudget(1, 60))
        supervisor = await start(Supervisor, [spec], "one_for_one", 0)
        await crash("a")
        assert await log.grew_by("+a") == pytest.approx(1, abs=2 * TICK)
        await crash("a")
        assert await states(supervisor) == {"a": "stopped"}
