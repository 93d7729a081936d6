# SPDX-License-Identifier: MIT
"""run_isolated: a world of its own for each test, and nothing left in it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import threading

import pytest

import stanchion as st
from stanchion.errors import CallExitError
from stanchion.testing import (
    LeftoverError,
    Probe,
    SeededLoop,
    VirtualClock,
    VirtualTimeLoop,
    advance,
    assert_down,
    crash_on,
    run_isolated,
    start_supervised,
    wait_quiet,
)
from tests.kernel.helpers import process_of
from tests.testing.servers import Counter


def leftovers_of(test, **options) -> list[str]:
    with pytest.raises(LeftoverError) as caught:
        run_isolated(test, **options)
    return caught.value.leftovers


def test_function_runs_in_a_node_on_virtual_time_and_its_value_comes_back():
    async def main(number):
        loop = asyncio.get_running_loop()
        pid = await st.start(Counter, number)
        assert type(loop) is SeededLoop
        assert (loop.seed, loop.get_debug(), pid.node) == (9, True, "test")
        return await st.call(pid, "sum")

    assert run_isolated(main, 4, seed=9) == 4


def test_node_may_be_given():
    async def main():
        return st.spawn(asyncio.sleep, 0).node

    assert run_isolated(main, node=st.Node("mine", clock=VirtualClock(), block_threshold=None)) == "mine"


@pytest.mark.parametrize(
    ("loop_factory", "clock"), [(VirtualTimeLoop, "VirtualClock"), (asyncio.SelectorEventLoop, "SystemClock")]
)
def test_loop_may_be_chosen_and_the_clock_goes_with_it(loop_factory, clock):
    nodes = []

    async def main():
        pid = await st.start(Counter)
        nodes.append(process_of(pid).node)
        return type(asyncio.get_running_loop())

    assert run_isolated(main, loop_factory=loop_factory) is loop_factory
    assert type(nodes[0].clock).__name__ == clock


def test_processes_that_stop_when_told_to_are_not_left_behind():
    async def main():
        st.spawn(asyncio.sleep, 3600)
        await st.start(Counter)
        await st.start(st.Supervisor, [st.child_spec(Counter, shutdown="brutal_kill")])

    run_isolated(main)


def test_task_that_has_only_its_last_steps_to_take_is_not_left_behind():
    async def main():
        task = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()

    run_isolated(main)
    run_isolated(main, loop_factory=asyncio.SelectorEventLoop)


kept = []


def test_task_is_told_with_its_name_and_where_it_waits():
    async def main():
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert re.match(r"a task: 'forgotten', made at .*test_isolated\.py:\d+, which waits at ", text)
    assert "locks.py:" in text
    assert text.endswith(
        "\n  Fix: await it; or cancel it, and await that. What it waits for may be a reply that nobody gives."
    )


def test_task_that_cannot_be_cancelled_does_not_keep_the_test_from_ending():
    async def stubborn():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    async def main():
        kept.append(asyncio.create_task(stubborn(), name="stubborn"))
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert "'stubborn'" in text
    kept.clear()
    gc.collect()


def test_caller_without_a_reply_is_a_task_that_is_left():
    class Silent(st.GenServer):
        def handle_call(self, request, sender):
            return st.NO_REPLY

    other = st.Node("other", clock=VirtualClock(), block_threshold=None, shutdown_timeout=0)

    async def main():
        await other.__aenter__()
        silent = await st.start(Silent)
        kept.append(asyncio.create_task(st.call(silent, "anybody?", timeout=None), name="caller"))
        await wait_quiet()

    texts = leftovers_of(main)
    assert any("'caller'" in text and "_call.py:" in text for text in texts)


def test_exception_that_nobody_read_is_told():
    async def fail():
        raise ValueError("unread")

    async def main():
        await asyncio.wait([asyncio.create_task(fail())])

    (text,) = leftovers_of(main)
    assert text.startswith(
        "an exception that nobody read: ValueError('unread') (Task exception was never retrieved) <Task finished"
    )
    assert text.endswith("\n  Fix: await what raised it, or catch it there.")


def test_callback_that_raises_is_told():
    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert "ZeroDivisionError('division by zero')" in text


def test_task_that_nobody_keeps_is_told():
    async def wait_for_ever():
        await asyncio.get_running_loop().create_future()

    async def main():
        asyncio.create_task(wait_for_ever(), name="lost")  # noqa: RUF006
        await wait_quiet()
        gc.collect()

    (text,) = leftovers_of(main)
    assert text.startswith("a task that nobody keeps: <Task pending name='lost'")
    assert text.endswith("(Task was destroyed but it is pending!)\n  Fix: keep it, and await it.")


def test_process_that_does_not_stop_is_told():
    class Slow(st.GenServer):
        def init(self):
            st.trap_exit()

        async def terminate(self, reason):
            await asyncio.sleep(3600)

    async def main():
        await st.start(Slow)

    assert leftovers_of(main) == [
        (
            "an error while the node stopped: Slow <test.1> did not stop within 30 s and is killed\n"
            "  Fix: end when told to, in time and without an error: no handler, terminate() or finally may wait on, and a plain "
            "process that traps exits must heed its Exit."
        )
    ]


def test_runaway_is_told():
    async def stubborn():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    async def main():
        st.spawn(stubborn)
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert text.startswith(
        "an error while the node stopped: stubborn <test.1> was told to exit ('shutdown') and its task did not end within 5 s"
    )
    assert "fix it at: " in text


def test_child_that_its_supervisor_has_to_kill_is_told():
    class Slow(st.GenServer):
        def init(self):
            st.trap_exit()

        async def terminate(self, reason):
            await asyncio.sleep(3600)

    async def main():
        await start_supervised(st.child_spec(Slow, id="slow"))

    (text,) = leftovers_of(main)
    assert text.startswith(
        "an error while the node stopped: Supervisor <test.1>: child 'slow' did not stop within 5 s and is killed\n"
    )


def test_child_that_is_to_be_killed_is_not_left_behind():
    async def main():
        await start_supervised(st.child_spec(Counter, shutdown="brutal_kill"))

    run_isolated(main)


def test_error_of_terminate_is_told():
    class Broken(st.GenServer):
        def init(self):
            st.trap_exit()

        def terminate(self, reason):
            raise ValueError("cannot stop")

    async def main():
        await st.start(Broken)

    (text,) = leftovers_of(main)
    assert re.match(
        r"an error while the node stopped: Broken <test\.1> crashed.*: ValueError\('cannot stop'\) at .*test_isolated\.py:\d+\n",
        text,
    )


def test_crash_that_nobody_hears_of_is_told():
    async def check():
        assert 1 + 1 == 3, "nobody sees this"

    async def main():
        st.spawn(check, name="checker")
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert re.match(
        r"a crash that nobody heard of: <test\.1 checker> ended with AssertionError\(.*\) at .*test_isolated\.py:\d+\n"
        r"  Fix: assert_down\(\) it, if it is meant; or supervise, link or monitor the process\.$",
        text,
        re.DOTALL,
    )


def test_reason_that_was_never_raised_has_no_place():
    async def main():
        st.exit(st.spawn(asyncio.sleep, 60), ValueError("by hand"))
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert "ended with ValueError('by hand')\n" in text


class Crashing(Counter):
    def handle_cast(self, message):
        raise ValueError(message)

    async def handle_call(self, request, sender):
        raise ValueError(request)


async def supervised():
    st.cast(await start_supervised(Crashing), 1)
    await wait_quiet()


async def monitored():
    pid, probe = await st.start(Crashing), Probe()
    probe.run(st.monitor, pid)
    st.cast(pid, 1)
    await wait_quiet()


async def linked():
    pid, probe = await st.start(Crashing), Probe()
    probe.run(st.link, pid)
    st.cast(pid, 1)
    await wait_quiet()


async def called():
    with pytest.raises(CallExitError):
        await st.call(await st.start(Crashing), 1)


async def expected_before():
    pid = await st.start(Crashing)
    st.cast(pid, 1)
    await assert_down(pid, ValueError)


async def expected_afterwards():
    pid = await st.start(Crashing)
    st.cast(pid, 1)
    await wait_quiet()
    await assert_down(pid, ValueError)


async def injected():
    pid = await st.start(Counter)
    with crash_on(pid):
        st.cast(pid, 1)
        await wait_quiet()


@pytest.mark.parametrize(
    "main", [supervised, monitored, linked, called, expected_before, expected_afterwards, injected]
)
def test_crash_that_somebody_hears_of_or_means_is_not_left_behind(main):
    run_isolated(main)


class Watcher(st.GenServer):
    """Monitors whom it is told to, and keeps the ref or not."""

    def init(self):
        self.refs = []

    def handle_call(self, request, sender):
        target, keeps, until = request
        ref = st.monitor(target, until=until)
        if keeps:
            self.refs.append(ref)


def test_monitors_that_nobody_can_end_are_told():
    async def main():
        counter, watcher = await st.start(Counter), await st.start(Watcher)
        for _ in range(3):
            await st.call(watcher, (counter, False, None))

    (text,) = leftovers_of(main)
    assert re.match(
        r"3 monitors of Counter <test\.1> by Watcher <test\.2>, made at .*test_isolated\.py:\d+: "
        r"nobody keeps the ref, so nobody can end it\n  Fix: keep the ref and demonitor\(\) it",
        text,
    )


def test_monitors_that_are_kept_or_last_until_the_exit_are_not_left_behind():
    async def main():
        counter, watcher = await st.start(Counter), await st.start(Watcher)
        for request in ((counter, True, None), (counter, False, "exit")):
            await st.call(watcher, request)

    run_isolated(main)


def test_timer_to_who_has_ended_is_told():
    async def remind(pid):
        st.send_after(pid, "too late", 60)
        await st.receive(timeout=None)

    async def main():
        st.spawn(remind, st.spawn(asyncio.sleep, 0))
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert re.fullmatch(
        r"a timer of remind <test\.2>, to <test\.1>, 60 s left, made at .*test_isolated\.py:\d+: "
        r"it is for a process that has ended\n"
        r"  Fix: cancel_timer\(\) it when the process ends, of which monitor\(\) tells; or send to a name\.",
        text,
    )


def test_reply_that_is_owed_for_long_is_told():
    class Forgetful(st.GenServer):
        def handle_call(self, request, sender):
            return st.NO_REPLY

    async def main():
        server = await st.start(Forgetful)
        call = asyncio.create_task(st.call(server, "anybody?", timeout=None))
        await advance(61)
        call.add_done_callback(lambda call: call.exception())
        kept.append(call)

    (text,) = leftovers_of(main)
    assert text == (
        "a reply of Forgetful <test.1>, to <sender None, waiting> for 'anybody?': it has been owed for 61 s\n"
        "  Fix: reply() to each sender kept after NO_REPLY, also where the work fails; and call with a timeout."
    )
    kept.clear()


def test_task_that_outlives_its_process_is_told_once():
    async def leave():
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="orphan"))

    async def main():
        st.spawn(leave)
        await wait_quiet()

    (text,) = leftovers_of(main)
    assert re.match(
        r"a task of leave <test\.1>, 'orphan' \(Event\.wait\), which waits at .*locks\.py:\d+, "
        r"made at .*test_isolated\.py:\d+: its process has ended\n  Fix: cancel it in terminate\(\)",
        text,
    )
    kept.clear()


def test_what_belongs_to_the_node_is_not_left_behind():
    async def main():
        st.send_after(await st.start(Counter), 1, 3600)

    run_isolated(main)


def test_what_an_ended_process_still_holds_is_told():
    async def main():
        process = process_of(await st.start(Counter))

        def hold(*_):
            process.links = {process: None}

        from stanchion.telemetry import PROCESS_EXIT

        process.node.telemetry.attach(PROCESS_EXIT, hold)

    assert leftovers_of(main) == ["links of Counter <test.1>, which has ended: {Counter <test.1>: None}"]


def test_test_that_would_wait_for_ever_ends_and_says_who_waits():
    class Silent(st.GenServer):
        def handle_call(self, request, sender):
            return st.NO_REPLY

    async def main():
        await st.call(await st.start(Silent), "anybody?", timeout=None)

    with pytest.raises(AssertionError) as caught:
        run_isolated(main)
    first, process, test = str(caught.value).splitlines()
    assert first == "expected a test that comes to an end, got one in which everybody waits for somebody else"
    assert re.fullmatch(
        r"- task '<test.1>' waits at .*_mailbox\.py:\d+.*|- task '<test.1>' waits at .*_loop\.py:\d+", process
    )
    assert re.fullmatch(r"- the test waits at .*test_isolated\.py:\d+ > .*_call\.py:\d+", test)


def test_node_that_waits_for_ever_to_stop_is_ended_too():
    class Slow(st.GenServer):
        def init(self):
            st.trap_exit()

        async def terminate(self, reason):
            await asyncio.Event().wait()

    async def main():
        await st.start(Slow)

    node = st.Node(clock=VirtualClock(), block_threshold=None, shutdown_timeout=None)
    with pytest.raises(AssertionError, match="everybody waits for somebody else\n- task '<node"):
        run_isolated(main, node=node)


def test_test_that_waits_for_input_is_waited_for():
    async def main():
        loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            thread = threading.Timer(0.01, theirs.send, [b"x"])
            thread.start()
            data = await loop.sock_recv(ours, 1)
            thread.join()
        return data

    assert run_isolated(main) == b"x"


def test_test_that_waits_for_a_thread_is_given_a_while():
    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Timer(0.01, loop.call_soon_threadsafe, [event.set])
        thread.start()
        await event.wait()
        thread.join()

    run_isolated(main)


def test_cancelling_the_test_itself_is_its_own_affair():
    async def main():
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        run_isolated(main)


def test_tests_own_error_comes_first_and_the_rest_is_a_note():
    async def main():
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
        await wait_quiet()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        run_isolated(main)
    (note,) = caught.value.__notes__
    assert note.startswith("expected a test that leaves nothing behind, got\n- a task: 'forgotten'")


def test_error_of_a_test_that_leaves_nothing_has_no_note():
    async def main():
        raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        run_isolated(main)
    assert not hasattr(caught.value, "__notes__")
