# SPDX-License-Identifier: MIT
"""start_supervised and perform."""

from __future__ import annotations

import pytest

import stanchion as st
from stanchion.errors import ChildSpecError, ChildStartError, InvalidOptionError, MessageEncodeError, StartError
from stanchion.testing import Probe, crash, perform, run_isolated, start_supervised
from tests.kernel.helpers import process_of
from tests.testing.servers import Counter


async def test_class_is_started_with_its_arguments_and_name(node):
    pid = await start_supervised(Counter, 7, name="counter")
    assert st.whereis("counter") is pid
    assert await st.call("counter", "sum") == 7


async def test_spec_is_started_as_it_says(node):
    pid = await start_supervised(st.child_spec(Counter, 3, restart="temporary", name="counter"))
    await crash(pid)
    assert st.whereis("counter") is None


async def test_process_is_restarted_as_often_as_a_test_needs(node):
    await start_supervised(Counter, name="counter")
    for _ in range(50):
        await crash("counter")
    assert await st.call("counter", "sum") == 0


class Last(st.GenServer):
    def init(self, log, name):
        st.trap_exit()
        self.log, self.name = log, name

    def terminate(self, reason):
        self.log.append((self.name, reason))


def test_processes_stop_at_the_end_the_latest_first():
    log = []

    async def main():
        for name in "abc":
            await start_supervised(Last, log, name, id=name)

    run_isolated(main)
    assert log == [("c", "shutdown"), ("b", "shutdown"), ("a", "shutdown")]


async def test_supervisor_that_is_gone_is_replaced(node):
    first = await start_supervised(Counter)
    supervisor = process_of(first).parent
    st.exit(supervisor, "kill")
    await st.wait_exit(first, timeout=1)
    assert await st.call(await start_supervised(Counter), "sum") == 0


async def test_process_that_does_not_start_is_an_error(node):
    class Broken(st.GenServer):
        def init(self):
            raise ValueError("broken")

    with pytest.raises(ChildStartError, match="broken"):
        await start_supervised(Broken)


async def test_process_that_ignores_its_start_is_an_error(node):
    class Shy(st.GenServer):
        def init(self):
            return st.IGNORE

    with pytest.raises(StartError, match="Shy"):
        await start_supervised(Shy)


async def test_second_one_with_the_same_id_is_refused(node):
    await start_supervised(Counter)
    with pytest.raises(ChildSpecError, match="Counter"):
        await start_supervised(Counter)
    await start_supervised(Counter, id="another")


async def test_spec_with_options_beside_it_is_refused(node):
    with pytest.raises(InvalidOptionError) as caught:
        await start_supervised(st.child_spec(Counter), 3)
    assert str(caught.value) == (
        "start_supervised(child): expected a spec alone, or a class with arguments and options, "
        "got <child_spec 'Counter': permanent worker Counter> with more\n"
        "Fix: give them to child_spec()."
    )


async def test_perform_sends_what_comes_back_from_the_store(node):
    class Stored(st.Message, type="tests.testing.stored"):
        number: int

    probe, message = Probe(), Stored(3)
    delivery = await perform(probe.pid, message, metadata={"source": "test"})
    assert delivery.outcome == "confirmed"
    received = await probe.expect(Stored)
    assert received == message
    assert received is not message


async def test_perform_refuses_what_cannot_be_stored(node):
    with pytest.raises(MessageEncodeError):
        await perform(Probe().pid, object())


async def test_perform_fails_when_the_handler_does(node):
    class Failing(st.GenServer):
        def handle_cast(self, message):
            raise ValueError(message)

    pid = await st.start(Failing)
    with pytest.raises(AssertionError) as caught:
        await perform(pid, "boo")
    assert str(caught.value).startswith("perform(<test.1>): expected 'boo' to be handled, got <Delivery ")
    assert isinstance(caught.value.__cause__, ValueError)


async def test_perform_fails_when_nobody_is_there(node):
    with pytest.raises(AssertionError, match="noproc") as caught:
        await perform("nobody", "hello")
    assert caught.value.__cause__ is None
