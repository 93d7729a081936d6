# SPDX-License-Identifier: MIT
"""A supervisor that is told to exit while a child's init hangs does not wait for that init."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from stanchion.errors import CallExitError, ChildStartError, StartError
from stanchion.kernel import CAST, STOP, Envelope, Node, exit, trap_exit, wait_exit, watch, whereis
from stanchion.server import Continue, GenServer, send, start, stop
from stanchion.supervisor import ChildSpec, Supervisor, child_spec, start_child, supervisor_spec, terminate_child
from tests.supervisor.servers import InitBy, Refuser, hang, pid_of, process_of, quick_node, recorder


class Gate:
    """An init that hangs at every start but the first."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.starts = 0

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts > 1:
            self.reached.set()
            await hang()


def hanging(init) -> ChildSpec:
    return child_spec(InitBy, init, name="hanging", timeout=None)


async def test_supervisor_stops_when_a_restart_hangs_and_it_is_stopped():
    log, gate = [], Gate()
    async with quick_node() as node:
        supervisor = await start(Supervisor, [recorder(log, "a"), hanging(gate), recorder(log, "b")])
        await stop("hanging")
        await gate.reached.wait()
        await stop(supervisor)
        assert log == ["+a", "+b", "-b", "-a"]
        assert not node.processes


async def test_supervisor_stops_when_a_restart_hangs_and_its_parent_tells_it_to():
    log, gate = [], Gate()
    async with quick_node() as node:
        inner = supervisor_spec([recorder(log, "a"), hanging(gate)], id="inner")
        outer = await start(Supervisor, [inner])
        await stop("hanging")
        await gate.reached.wait()
        send(pid_of("hanging"), "a message in between is no order")
        await terminate_child(outer, "inner")
        assert log == ["+a", "-a"]
        assert list(node.processes.values()) == [process_of(outer)]


async def test_other_messages_do_not_disturb_a_start():
    gate = asyncio.Event()
    reached = asyncio.Event()

    async def wait():
        reached.set()
        await gate.wait()

    async with quick_node():
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, hanging(wait)))
        await reached.wait()
        for _ in range(3):
            send(supervisor, "noise")
            await asyncio.sleep(0)
        gate.set()
        assert await adding is whereis("hanging")


@pytest.mark.parametrize("withdrawn", [[0], [2], [0, 1, 2]])
async def test_order_to_exit_is_heard_when_messages_before_it_were_withdrawn(withdrawn):
    reached = asyncio.Event()

    async def init():
        reached.set()
        await hang()

    async with quick_node():
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, hanging(init)))
        await reached.wait()
        mailbox = process_of(supervisor).mailbox
        envelopes: list[Envelope] = [(CAST, number, None) for number in range(3)]
        for envelope in envelopes:
            mailbox.put(envelope)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert mailbox.waited_on  # the supervisor has seen them, and waits for more
        for number in withdrawn:
            assert mailbox.withdraw(envelopes[number])
        await asyncio.wait_for(stop(supervisor), 1)
        with pytest.raises(CallExitError):
            await adding


async def test_first_order_to_exit_counts_when_there_are_two():
    gate = Gate()
    async with quick_node():
        supervisor = await start(Supervisor, [hanging(gate)])
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await stop("hanging")
        await gate.reached.wait()
        for reason in ("shutdown", "normal"):
            process_of(supervisor).mailbox.put_system((STOP, reason, None))
        assert await ended == "shutdown"


async def test_caller_of_start_child_hears_of_the_exit():
    reached = asyncio.Event()

    async def init():
        reached.set()
        await hang()

    async with quick_node():
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, hanging(init)))
        await reached.wait()
        await stop(supervisor, "shutdown")
        with pytest.raises(CallExitError) as caught:
            await adding
        assert caught.value.reason == "shutdown"


async def test_node_stops_a_tree_in_order_that_has_not_started_to_its_end():
    log, reached = [], asyncio.Event()

    async def init():
        reached.set()
        await hang()

    async with quick_node() as node:
        inner = supervisor_spec([recorder(log, "b"), hanging(init), recorder(log, "c")])
        starting = asyncio.ensure_future(start(Supervisor, [recorder(log, "a"), inner]))
        await reached.wait()
    assert log == ["+a", "+b", "-b", "-a"]
    assert not node.processes
    with pytest.raises(StartError) as caught:
        await starting
    assert caught.value.reason == "shutdown"


class StopAfter:
    """Has the order to stop follow a child's exit in its supervisor's mailbox, with nothing in between."""

    def __init__(self, supervisor) -> None:
        self.supervisor = supervisor

    def down(self, reason) -> None:
        process_of(self.supervisor).mailbox.put_system((STOP, "shutdown", None))


async def test_restart_is_not_begun_when_the_order_to_exit_waits_already():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a"), child_spec(hang, name="b")])
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await asyncio.sleep(0)
        watch(process_of(pid_of("b")), StopAfter(supervisor))
        exit(pid_of("b"), "kill")
        assert await ended == "shutdown"
        assert whereis("b") is None
    assert log == ["+a", "-a"]


async def test_init_that_refuses_to_end_is_left_behind():
    refuser = Refuser()

    async with quick_node() as node:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, child_spec(InitBy, refuser, timeout=0.01)))
        with pytest.raises(ChildStartError) as caught:
            await adding
        assert caught.value.reason == "timeout"
        assert list(node.processes.values()) == [process_of(supervisor)]
    refuser.release.set()
    await refuser.ended.wait()


async def test_init_that_traps_exits_and_hangs_is_killed_after_its_shutdown_time():
    reached = asyncio.Event()

    async def init():
        trap_exit()
        reached.set()
        await hang()

    async with quick_node() as node:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, child_spec(InitBy, init, timeout=None, shutdown=0.01)))
        await reached.wait()
        await stop(supervisor)
        assert not node.processes
        with pytest.raises(CallExitError):
            await adding


async def test_half_started_child_ends_when_its_supervisor_is_killed():
    reached = asyncio.Event()

    async def init():
        trap_exit()
        reached.set()
        await hang()

    async with quick_node() as node:
        supervisor = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(supervisor, child_spec(InitBy, init, name="half", timeout=None)))
        await reached.wait()
        ended = asyncio.ensure_future(wait_exit(pid_of("half"), timeout=5))
        await asyncio.sleep(0)
        exit(supervisor, "kill")
        assert await ended == "killed"
        with pytest.raises(CallExitError):
            await adding
        assert not node.processes


async def test_child_ends_when_its_handle_continue_swallows_the_order():
    reached, release = asyncio.Event(), asyncio.Event()

    class Stubborn(GenServer):
        def init(self):
            return Continue()

        async def handle_continue(self, arg):
            reached.set()
            with suppress(asyncio.CancelledError):
                await release.wait()

    async with quick_node(exit_grace=5.0) as node:
        supervisor = await start(Supervisor, [child_spec(Stubborn, name="stubborn")])
        await reached.wait()
        ended = asyncio.ensure_future(wait_exit(pid_of("stubborn"), timeout=1))
        await asyncio.sleep(0)
        await terminate_child(supervisor, "stubborn")
        assert await ended == "shutdown"
        assert list(node.processes.values()) == [process_of(supervisor)]


# --- a tree whose start nobody waits for any more ------------------------------------------------


class HangsAfterwards(Supervisor):
    """A supervisor whose init goes on after its children have started, and hangs."""

    async def init(self, children):  # type: ignore[override]
        await super().init(children)
        await hang()


def half_started(log, reached):
    async def init():
        reached.set()
        await hang()

    return [recorder(log, "a"), recorder(log, "b"), hanging(init)]


async def test_half_started_tree_stops_in_order_when_its_start_is_cancelled():
    log, reached = [], asyncio.Event()
    async with quick_node() as node:
        starting = asyncio.ensure_future(start(Supervisor, half_started(log, reached), name="tree"))
        await reached.wait()
        ended = asyncio.ensure_future(wait_exit(pid_of("tree"), timeout=5))
        await asyncio.sleep(0)
        starting.cancel()
        assert await ended == "shutdown"
        assert log == ["+a", "+b", "-b", "-a"]
        assert not node.processes
        with pytest.raises(asyncio.CancelledError):
            await starting


async def test_half_started_tree_stops_in_order_when_the_supervisor_above_is_killed():
    log, reached = [], asyncio.Event()
    async with quick_node() as node:
        outer = await start(Supervisor, [])
        adding = asyncio.ensure_future(start_child(outer, supervisor_spec(half_started(log, reached), name="tree")))
        await reached.wait()
        ended = asyncio.ensure_future(wait_exit(pid_of("tree"), timeout=5))
        await asyncio.sleep(0)
        exit(outer, "kill")
        assert await ended == "shutdown"
        assert log == ["+a", "+b", "-b", "-a"]
        assert not node.processes
        with pytest.raises(CallExitError):
            await adding


@pytest.mark.parametrize("shutdown_timeout", [0.01, 0])
async def test_half_started_tree_is_killed_when_it_does_not_hear_the_order(shutdown_timeout):
    log = []
    async with Node(exit_grace=0.05, shutdown_timeout=shutdown_timeout, block_threshold=None) as node:
        starting = asyncio.ensure_future(start(HangsAfterwards, [recorder(log, "a")], name="tree"))
        while not log:
            await asyncio.sleep(0)
        ended = asyncio.ensure_future(wait_exit(pid_of("tree"), timeout=5))
        await asyncio.sleep(0)
        starting.cancel()
        assert await ended == "killed"
        await asyncio.sleep(0.1)
        assert not node.processes


async def test_half_started_tree_has_all_the_time_that_a_node_without_a_limit_gives_it():
    log, reached = [], asyncio.Event()
    async with Node(shutdown_timeout=None, block_threshold=None):
        starting = asyncio.ensure_future(start(Supervisor, half_started(log, reached), name="tree"))
        await reached.wait()
        ended = asyncio.ensure_future(wait_exit(pid_of("tree"), timeout=5))
        await asyncio.sleep(0)
        starting.cancel()
        assert await ended == "shutdown"
    assert log == ["+a", "+b", "-b", "-a"]
