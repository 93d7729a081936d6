# SPDX-License-Identifier: MIT
"""Children whose process a start function starts."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from stanchion.errors import BadReturnError, ChildStartError, StartError
from stanchion.kernel import Node, ProcessExit, exit, link, spawn, spawn_link, wait_exit, whereis
from stanchion.server import IGNORE, GenServer, Stop, start, start_link, stop
from stanchion.supervisor import Supervisor, child_spec, restart_child, start_child, start_function, terminate_child
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.supervisor.servers import InitBy, Recorder, crash, hang, pid_of, process_of, quick_node, states


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def node(**options):
    return quick_node("shop", clock=VirtualClock(), **options)


@start_function
async def start_recorder(log, label):
    log.append("looked up")
    return await start_link(Recorder, log, label, name=label)


async def test_supervisor_runs_the_function_at_each_start():
    log = []
    async with node():
        supervisor = await start(Supervisor, [child_spec(start_recorder, log, "a", id="a")])
        await crash("a")
        assert await states(supervisor) == {"a": "running"}
        assert process_of(pid_of("a")).parent is supervisor
        await stop(supervisor)
    assert log == ["looked up", "+a", "-a", "looked up", "+a", "-a"]


async def test_function_may_start_a_plain_process_or_a_supervisor():
    @start_function
    async def plain():
        return spawn_link(hang, name="plain")

    class Pool:
        @staticmethod
        @start_function
        async def start_link():
            return await start_link(Supervisor, [child_spec(hang, name="worker")], name="pool")

    async with node() as shop:
        specs = [child_spec(plain), child_spec(Pool.start_link, type="supervisor")]
        supervisor = await start(Supervisor, specs)
        assert [process.pid.name for process in shop.processes.values()] == [None, "plain", "pool", "worker"]
        await stop(supervisor)
        assert not shop.processes


async def test_child_is_ignored_when_the_function_or_what_it_starts_says_so():
    @start_function
    async def ignore():
        return IGNORE

    @start_function
    async def start_ignored():
        return await start_link(InitBy, lambda: IGNORE)

    async with node():
        specs = [child_spec(ignore), child_spec(start_ignored), child_spec(ignore, id="forgotten", restart="temporary")]
        supervisor = await start(Supervisor, specs)
        label = "test_child_is_ignored_when_the_function_or_what_it_starts_says_so.<locals>."
        assert await states(supervisor) == {f"{label}ignore": "stopped", f"{label}start_ignored": "stopped"}


async def test_child_may_end_right_after_its_start():
    # As in OTP, where the pid counts even if its exit signal is there already.
    async def quick():
        pass

    @start_function
    async def start_quick():
        pid = spawn_link(quick)
        await wait_exit(pid, timeout=1)
        return pid

    async with node():
        supervisor = await start(Supervisor, [child_spec(start_quick, id="a", restart="transient")])
        assert await states(supervisor) == {"a": "stopped"}


async def refused(function, **options):
    """Have a supervisor refuse a child, see that nothing is left of it, and return the error."""
    async with node():
        supervisor = await start(Supervisor, [], name="s")
        with pytest.raises(ChildStartError) as caught:
            await start_child(supervisor, child_spec(function, id="a", **options))
        assert await states(supervisor) == {}
        assert process_of(supervisor).links is None or not process_of(supervisor).links
        return caught.value


EXPECTED = "expected the pid of a process that it started and linked, or IGNORE, as its return value, got "
LINKED = "\nFix: return what start_link() or spawn_link() returned."


async def test_function_must_not_return_rubbish():
    @start_function
    async def rubbish():  # type: ignore[type-var]
        return "ok"

    error = await refused(rubbish)
    label = "test_function_must_not_return_rubbish.<locals>.rubbish"
    assert isinstance(error.reason, BadReturnError)
    assert str(error.reason) == f"{label}(): {EXPECTED}'ok'{LINKED}"
    assert error.__cause__ is error.reason
    assert str(error) == (f"start of child 'a' of Supervisor <shop.1 s>: expected init to finish, got {error.reason!r}")


async def test_function_must_not_return_a_process_that_is_not_linked():
    @start_function
    async def unlinked():
        return spawn(hang)

    error = await refused(unlinked)
    assert str(error.reason).endswith(f"{EXPECTED}<shop.2>, which is not linked{LINKED}")


async def test_function_must_not_return_a_process_that_ended_without_a_link():
    @start_function
    async def ended():
        pid = spawn(hang)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        return pid

    error = await refused(ended)
    assert str(error.reason).endswith(f"{EXPECTED}<shop.2>, which has ended{LINKED}")


async def test_function_must_not_return_a_process_of_another_node():
    async with Node("other", block_threshold=None) as other:
        stranger = spawn(hang)

        @start_function
        async def elsewhere():
            link(stranger)
            return stranger

        async with node():
            supervisor = await start(Supervisor, [], name="s")
            with pytest.raises(ChildStartError) as caught:
                await start_child(supervisor, child_spec(elsewhere, id="a"))
        assert str(caught.value.reason).endswith(
            f"{EXPECTED}<other.1> of another node\nFix: start the process on node 'shop'."
        )
        await wait_exit(stranger, timeout=5)  # it was linked with the supervisor
        assert not other.processes


async def test_function_must_not_return_the_process_of_another_child():
    @start_function
    async def other_child():
        return whereis("b")

    async with node():
        supervisor = await start(Supervisor, [child_spec(Recorder, [], "b", name="b")], name="s")
        with pytest.raises(ChildStartError) as caught:
            await start_child(supervisor, child_spec(other_child, id="a"))
        assert await states(supervisor) == {"b": "running"}
    assert str(caught.value.reason).endswith(f"{EXPECTED}<shop.2 b>, which was linked before{LINKED}")


async def test_function_that_raises_leaves_nothing_of_what_it_started():
    log = []

    @start_function
    async def half():
        await start_link(Recorder, log, "first")
        await start_link(Recorder, log, "second")
        raise OSError("no third")

    error = await refused(half)
    assert isinstance(error.reason, OSError)
    assert log == ["+first", "+second", "-second", "-first"]


async def test_function_tells_why_what_it_started_did_not_start():
    @start_function
    async def fails():
        return await start_link(InitBy, lambda: Stop("shutdown"))

    assert (await refused(fails)).reason == "shutdown"


@pytest.mark.parametrize(("raised", "reason"), [(ProcessExit("shutdown"), "shutdown"), (None, asyncio.CancelledError)])
async def test_function_that_ends_in_another_way_does_not_take_the_supervisor_with_it(raised, reason):
    @start_function
    async def ends():
        if raised is not None:
            raise raised
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    error = await refused(ends)
    assert error.reason == reason or isinstance(error.reason, reason)


@pytest.mark.parametrize("timeout", [7.0, None])
async def test_function_that_takes_too_long_is_cancelled_and_leaves_nothing(timeout):
    cancelled = []

    @start_function
    async def hangs():
        await start_link(GenServer, name="half")
        try:
            await hang()
        finally:
            cancelled.append(True)

    options = {} if timeout is None else {"timeout": timeout}
    before = asyncio.get_running_loop().time()
    error = await refused(hangs, **options)
    assert error.reason == "timeout"
    assert asyncio.get_running_loop().time() - before == pytest.approx(5.0 if timeout is None else timeout, abs=0.01)
    assert cancelled == [True]


@start_function
async def slow(seconds):
    await asyncio.sleep(seconds)
    return await start_link(Supervisor, [])


async def test_function_that_starts_a_supervisor_has_the_time_of_one():
    async with node():
        supervisor = await start(Supervisor, [child_spec(slow, 59, id="a", type="supervisor")])
        assert await states(supervisor) == {"a": "running"}


async def test_function_that_starts_a_supervisor_may_take_for_ever_when_told_so():
    async with node():
        specs = [child_spec(slow, 600, id="a", type="supervisor", timeout=None)]
        supervisor = await start(Supervisor, specs, timeout=None)
        assert await states(supervisor) == {"a": "running"}


class Stubborn:
    """A start function that swallows its cancellation until it is released, and then returns what it is given."""

    def __init__(self, result) -> None:
        self.result = result
        self.release = asyncio.Event()

    def spec(self, **options):
        @start_function
        async def stubborn():
            while not self.release.is_set():
                with suppress(asyncio.CancelledError):
                    await self.release.wait()
            return self.result()

        return child_spec(stubborn, id="a", timeout=1, **options)


@pytest.mark.parametrize("shutdown", [1, None, "brutal_kill"])
async def test_function_that_swallows_its_cancellation_is_left_behind(caplog, shutdown):
    stubborn = Stubborn(lambda: IGNORE)
    async with node() as shop:
        supervisor = await start(Supervisor, [], name="s")
        with pytest.raises(ChildStartError):
            await start_child(supervisor, stubborn.spec(shutdown=shutdown))
        assert caplog.messages == ["Supervisor <shop.1 s>: the start of child 'a' does not end, and is left behind"]
        assert [task.get_name() for task in shop.runaways] == ["start of child 'a'"]
        stubborn.release.set()
        await asyncio.wait(shop.runaways)
        await asyncio.sleep(0)
        assert not shop.runaways


async def test_what_a_function_starts_that_was_left_behind_is_stopped():
    log = []
    stubborn = Stubborn(lambda: spawn_link(noted, log))
    async with node() as shop:
        supervisor = await start(Supervisor, [])
        with pytest.raises(ChildStartError):
            await start_child(supervisor, stubborn.spec())
        stubborn.release.set()
        await asyncio.wait(shop.runaways)
        await asyncio.sleep(1)
        assert list(shop.processes.values()) == [process_of(supervisor)]
        assert await states(supervisor) == {}
    assert log == ["+", "-"]


async def noted(log):
    log.append("+")
    try:
        await hang()
    finally:
        log.append("-")


async def test_function_that_was_left_behind_may_raise():
    def fails():
        raise OSError("too late")

    stubborn = Stubborn(fails)
    async with node() as shop:
        supervisor = await start(Supervisor, [])
        with pytest.raises(ChildStartError):
            await start_child(supervisor, stubborn.spec())
        stubborn.release.set()
        await asyncio.wait(shop.runaways)
        assert await states(supervisor) == {}


@pytest.mark.parametrize("after", [0.5, 1.001])
async def test_function_is_not_waited_for_when_the_supervisor_is_killed(after):
    # Before its time is up, and while it unwinds after that.
    stubborn = Stubborn(lambda: IGNORE)
    async with node(exit_grace=60.0) as shop:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, stubborn.spec()))
        await asyncio.sleep(after)
        exit(supervisor, "kill")
        assert await wait_exit(supervisor, timeout=0) == "killed"
        with pytest.raises(Exception, match="its exit with reason 'killed'"):
            await adding
        assert [task.get_name() for task in shop.runaways] == ["start of child 'a'"]
        stubborn.release.set()
        await asyncio.wait(shop.runaways)


async def test_supervisor_does_not_wait_for_the_function_when_it_is_told_to_exit():
    log, reached = [], asyncio.Event()

    @start_function
    async def hangs():
        await start_link(Recorder, log, "half")
        reached.set()
        await hang()

    async with node() as shop:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, child_spec(hangs, timeout=None, id="a")))
        await reached.wait()
        await stop(supervisor)
        assert log == ["+half", "-half"]
        assert not shop.processes
        with pytest.raises(Exception, match="its exit with reason 'normal'"):
            await adding


async def test_what_the_function_started_ends_when_the_supervisor_is_killed():
    reached = asyncio.Event()

    @start_function
    async def hangs():
        await start_link(GenServer)
        reached.set()
        await hang()

    async with node() as shop:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, child_spec(hangs, timeout=None, id="a")))
        await reached.wait()
        exit(supervisor, "kill")
        with pytest.raises(Exception, match="its exit with reason 'killed'"):
            await adding
        assert not shop.processes


async def test_restart_that_the_function_fails_is_tried_again():
    starts = []

    @start_function
    async def second_fails():
        starts.append(1)
        if len(starts) == 2:
            raise OSError("not now")
        return spawn_link(hang, name="a")

    async with node():
        supervisor = await start(Supervisor, [child_spec(second_fails, id="a")])
        exit(pid_of("a"), "kill")
        while len(starts) < 3:
            assert list(await states(supervisor)) == ["a"]
        await terminate_child(supervisor, "a")
        assert await restart_child(supervisor, "a") is whereis("a")


async def test_supervisor_does_not_start_when_a_function_fails():
    log = []

    @start_function
    async def fails():
        raise OSError("no database")

    async with node() as shop:
        with pytest.raises(StartError):
            await start(Supervisor, [child_spec(start_recorder, log, "a"), child_spec(fails)])
        assert not shop.processes
    assert log == ["looked up", "+a", "-a"]
