# SPDX-License-Identifier: MIT
"""What init may return or do, by start and by start_link: what its starter hears, and what is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import NameTakenError, StartError
from stanchion.kernel import Pid, current_process, exit, self_pid, whereis
from stanchion.server import (
    IGNORE,
    Continue,
    GenServer,
    Stop,
    Timeout,
    call,
    start,
    start_link,
)
from stanchion.telemetry import PROCESS_EXIT
from tests.kernel.helpers import Events, process_of, quick_node, run_in_process
from tests.server.servers import By, hang, raises, returns

both = pytest.mark.parametrize("starter", [start, start_link])

FAILURES = {
    "stop": (returns(Stop("shutdown")), "shutdown"),
    "stop normally": (returns(Stop()), "normal"),
    "stop with a term": (returns(Stop(("shutdown", "no room"))), ("shutdown", "no room")),
    "ignore": (returns(IGNORE), "ignore"),
    "raise": (raises(ValueError("broken")), ValueError),
    "nonsense": (returns(42), Exception),
    "killed": (lambda _: exit(self_pid(), "kill"), "killed"),
    "hang": (hang, "timeout"),
}


class Noted(GenServer):
    """Returns from init what it is given, and notes what its callbacks get."""

    def init(self, result: Any) -> Any:
        self.log: list[Any] = []
        return result

    def handle_call(self, request, sender):
        return self.log

    def handle_continue(self, arg):
        self.log.append(arg)

    def handle_info(self, message):
        self.log.append(message)


@both
@pytest.mark.parametrize(
    ("result", "log"), [(None, []), (Continue("on"), ["on"]), (Timeout(1000), []), (Timeout(0), ["TIMEOUT"])]
)
async def test_server_runs_after_an_init_that_succeeds(starter: Any, result: Any, log: list[str]) -> None:
    async with quick_node():

        async def parent() -> tuple[object, object]:
            pid = await starter(Noted, result, name="noted")
            assert whereis("noted") is pid
            assert process_of(pid).parent is (self_pid() if starter is start_link else None)
            return await call(pid, "log"), process_of(pid).starting

        got, starting = await run_in_process(parent)
        assert [str(entry) if isinstance(entry, str) else repr(entry) for entry in got] == log
        assert starting is False


@both
@pytest.mark.parametrize("failure", FAILURES)
async def test_name_is_free_before_the_starter_hears_of_an_init_that_fails(starter: Any, failure: str) -> None:
    init, reason = FAILURES[failure]
    async with quick_node() as node:

        async def parent() -> object:
            try:
                await starter(By, init, name="by", timeout=0.01)
            except StartError as error:
                # In this very step, and for good: nothing that is left of the first one takes the name back.
                assert whereis("by") is None
                again = await starter(By, name="by")
                await asyncio.sleep(0)
                assert whereis("by") is again
                assert [process.pid for process in node.processes.values()] == [self_pid(), again]
                return error.reason
            return "started"

        heard = await run_in_process(parent)
        assert isinstance(heard, reason) if isinstance(reason, type) else heard == reason


@both
@pytest.mark.parametrize("failure", FAILURES)
async def test_init_that_fails_leaves_its_parent_no_link_and_no_message(starter: Any, failure: str) -> None:
    async with quick_node():

        async def parent() -> tuple[object, int, object]:
            process = current_process("test")
            process.trap_exit = True
            with pytest.raises(StartError):
                await starter(By, FAILURES[failure][0], timeout=0.01)
            await asyncio.sleep(0)
            return process.links or None, len(process.mailbox.queue), process.watchers

        assert await run_in_process(parent) == (None, 0, None)


@both
async def test_taken_name_is_refused_and_its_holder_left_alone(starter: Any) -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)

        async def parent() -> Pid:
            holder = await starter(By, name="by")
            with pytest.raises(NameTakenError) as caught:
                await starter(By, raises(ValueError("never runs")), name="by")
            assert str(caught.value) == (
                "name 'by': expected a free name, got one held by <test.2 by>\n"
                "Fix: choose another name, or stop the process that holds it first."
            )
            assert whereis("by") is holder
            return holder

        holder = await run_in_process(parent)
        assert holder.id == 2
        assert "never runs" not in str(exits.told)
