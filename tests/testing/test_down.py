# SPDX-License-Identifier: MIT
"""assert_down and crash."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.errors import CallExitError, InvalidOptionError
from stanchion.testing import InjectedCrash, Probe, assert_down, crash, start_supervised, wait_quiet
from tests.testing.servers import Counter


async def test_assert_down_waits_for_the_exit_and_returns_its_reason(node):
    pid = st.spawn(asyncio.sleep, 0.5)
    assert await assert_down(pid) == "normal"


@pytest.mark.parametrize("reason", [ValueError, lambda reason: reason.args == ("boo",)])
async def test_assert_down_knows_a_crash_by(node, reason):
    pid = await st.start(Counter)
    with pytest.raises(CallExitError):
        await st.call(pid, "boo")
    assert isinstance(await assert_down(pid, reason), ValueError)


async def test_assert_down_knows_the_reason_of_one_that_was_gone_before(node):
    pid = await st.start(Counter)
    await st.stop(pid, ("shutdown", "enough"))
    assert await assert_down(pid, ("shutdown", "enough")) == ("shutdown", "enough")


async def test_assert_down_elsewhere_says_noproc_of_one_that_was_gone_before():
    async with st.Node(block_threshold=None):
        pid = await st.start(Counter)
        await st.stop(pid)
        assert await assert_down(pid, "noproc") == "noproc"


async def test_assert_down_finds_a_process_by_name(node):
    await start_supervised(Counter, name="counter", restart="temporary")
    st.exit(st.whereis("counter"), "kill")
    assert await assert_down("counter", "killed") == "killed"


async def test_assert_down_shows_another_reason(node):
    pid = st.spawn(asyncio.sleep, 0)
    with pytest.raises(AssertionError) as caught:
        await assert_down(pid, "shutdown")
    assert str(caught.value) == "assert_down(<test.1>): expected the exit reason 'shutdown', got 'normal'"


async def test_assert_down_shows_a_crash_with_its_traceback(node):
    pid = await st.start(Counter)
    with pytest.raises(CallExitError):
        await st.call(pid, "boo")
    with pytest.raises(AssertionError) as caught:
        await assert_down(pid, "normal")
    lines = str(caught.value).splitlines()
    assert lines[0] == "assert_down(<test.1>): expected the exit reason 'normal', got ValueError('boo')"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: boo"


async def test_assert_down_says_that_it_lives_and_what_it_does(node):
    class Slow(st.GenServer):
        async def handle_cast(self, message):
            await asyncio.sleep(3600)

    pid = await st.start(Slow)
    with pytest.raises(AssertionError) as caught:
        await assert_down(pid)
    assert str(caught.value) == "assert_down(<test.1>): expected its exit within 1 s, got a process that lives"
    st.cast(pid, "work")
    with pytest.raises(AssertionError, match="got a process that lives, with 'work' in hand"):
        await assert_down(pid, timeout=60)


async def test_crash_is_as_if_the_process_had_raised(node, caplog):
    class Tidy(st.GenServer):
        def init(self, probe):
            self.probe = probe

        def terminate(self, reason):
            st.send(self.probe, ("terminate", reason))

    probe, error = Probe(), ValueError("boo")
    pid = await st.start(Tidy, probe.pid)
    probe.run(st.monitor, pid)
    await crash(pid, error)
    assert await probe.expect(tuple) == ("terminate", error)
    assert (await probe.expect(st.Down)).reason is error
    assert "Tidy <test.2> crashed" in caplog.text


async def test_crash_comes_before_the_messages_that_wait(node):
    class Noting(st.GenServer):
        def init(self, log):
            self.log = log

        def handle_cast(self, message):
            self.log.append(message)

    log = []
    pid = await st.start(Noting, log)
    st.cast(pid, 1)
    await crash(pid)
    await assert_down(pid, InjectedCrash)
    assert log == []


async def test_crash_of_a_supervised_process_ends_with_its_restart(node):
    before = await start_supervised(Counter, 5, name="counter")
    st.cast("counter", 1)
    await crash("counter")
    assert st.whereis("counter") not in (None, before)
    assert await st.call("counter", "sum") == 5


async def test_crash_of_a_plain_process_comes_at_its_next_receive(node):
    async def body():
        while True:
            await st.receive(timeout=None)

    pid = st.spawn(body)
    await crash(pid, KeyError("x"))
    await assert_down(pid, KeyError)


async def test_crash_on_real_time_ends_with_the_exit():
    async with st.Node(block_threshold=None):
        pid = await st.start(Counter)
        await crash(pid)
        assert not pid.alive


async def test_crash_says_when_the_process_does_not_read_its_mailbox(node):
    class Slow(st.GenServer):
        async def handle_cast(self, message):
            await asyncio.sleep(3600)

    pid = await st.start(Slow)
    st.cast(pid, "work")
    await wait_quiet()
    with pytest.raises(AssertionError) as caught:
        await crash(pid)
    assert str(caught.value) == (
        "crash(<test.1>): expected its end within 1 s, got Slow <test.1>, which does not read its mailbox "
        "and has 'work' in hand\n"
        "Fix: let its handler come to an end, or end it at once with exit(pid, 'kill')."
    )


async def test_crash_of_nobody_is_refused(node):
    with pytest.raises(InvalidOptionError) as caught:
        await crash("counter")
    assert str(caught.value) == (
        "crash(ref): expected the name of a process that lives, got 'counter', which nobody holds\n"
        "Fix: keep the pid of a process that may be gone, and pass that."
    )


async def test_crash_of_one_that_has_ended_is_refused(node):
    pid = await st.start(Counter)
    await st.stop(pid)
    with pytest.raises(InvalidOptionError) as caught:
        await crash(pid)
    assert str(caught.value) == "crash(ref): expected a process that lives, got <test.1>, which has ended"


async def test_crash_with_no_exception_is_refused(node):
    pid = await st.start(Counter)
    with pytest.raises(InvalidOptionError, match=r"crash\(error\): expected an instance of BaseException, got 'boo'"):
        await crash(pid, "boo")


async def test_assert_down_of_a_name_that_nobody_holds_is_refused(node):
    with pytest.raises(InvalidOptionError, match=r"assert_down\(ref\): expected the name of a process that lives"):
        await assert_down("counter")


@pytest.mark.parametrize("function", [assert_down, crash])
async def test_timeouts_must_be_durations(node, function):
    pid = await st.start(Counter)
    with pytest.raises(InvalidOptionError, match=rf"{function.__name__}\(timeout\): expected seconds"):
        await function(pid, timeout=None)
