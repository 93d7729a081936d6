# SPDX-License-Identifier: MIT
"""Opening and closing a node."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from stanchion.errors import InvalidOptionError, NodeStateError
from stanchion.kernel import (
    Node,
    Pid,
    SystemClock,
    exit,
    receive,
    spawn,
    spawn_link,
    trap_exit,
    unlink,
    wait_exit,
)
from stanchion.server import GenServer, call, start, start_link
from stanchion.testing import VirtualClock
from tests.kernel.helpers import process_of, quick_node, sleeper, steps


class Noted:
    """A service that notes what is done with it, and fails where it is told to."""

    def __init__(self, log: list[str], name: str, fail: str = "") -> None:
        self.log = log
        self.name = name
        self.fail = fail

    async def open(self, node: Node) -> None:
        self.log.append(f"+{self.name}")
        if self.fail == "open":
            raise ValueError(self.name)

    async def close(self) -> None:
        self.log.append(f"-{self.name}")
        if self.fail == "close":
            raise ValueError(self.name)
        if self.fail == "hang":
            await sleeper()


async def leaver(log: list[str], name: str) -> None:
    try:
        await sleeper()
    finally:
        log.append(f"-{name}")


async def test_services_open_in_order_and_close_in_reverse_after_the_processes() -> None:
    log: list[str] = []
    async with quick_node(services=[Noted(log, "a"), Noted(log, "b")]):
        spawn(leaver, log, "process")
        await steps()
    assert log == ["+a", "+b", "-process", "-b", "-a"]


async def test_service_that_does_not_open_closes_those_before_it() -> None:
    log: list[str] = []
    node = quick_node(services=[Noted(log, "a"), Noted(log, "b", "open"), Noted(log, "c")])
    with pytest.raises(ValueError, match="b"):
        async with node:
            log.append("never")
    assert log == ["+a", "+b", "-a"]
    assert repr(node) == "<Node test stopped, 0 processes>"


async def test_service_that_does_not_open_stops_what_those_before_it_started() -> None:
    ended: list[str] = []

    class Starts(Noted):
        async def open(self, node: Node) -> None:
            spawn(leaver, ended, "process")
            await steps()

    with pytest.raises(ValueError, match="b"):
        async with quick_node(services=[Starts([], "a"), Noted([], "b", "open")]):
            pass
    assert ended == ["-process"]


async def test_service_that_does_not_close_is_logged_and_the_others_close(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    async with quick_node(services=[Noted(log, "a"), Noted(log, "b", "close")]):
        pass
    assert log == ["+a", "+b", "-b", "-a"]
    assert caplog.records[0].getMessage().endswith("of node test did not close")


async def test_service_is_found_by_its_class() -> None:
    service = Noted([], "a")
    node = quick_node(services=[service])
    assert node.service(Noted) is service
    assert node.service(Node) is None


async def test_roots_stop_the_latest_first_and_children_by_their_parents() -> None:
    log: list[str] = []

    async def parent(name: str) -> None:
        spawn_link(leaver, log, f"{name}.child")
        await leaver(log, name)

    async with quick_node(shutdown_timeout=1):
        spawn(parent, "first")
        spawn(leaver, log, "second")
        await steps()
    assert log == ["-second", "-first", "-first.child"]


async def test_many_processes_stop_when_the_node_is_left() -> None:
    async with quick_node(shutdown_timeout=1) as node:
        for _ in range(1000):
            spawn(sleeper)
        await steps()
    assert repr(node) == "<Node test stopped, 0 processes>"


async def test_process_that_ignores_the_shutdown_is_killed_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def deaf() -> None:
        trap_exit()
        while True:
            await receive(timeout=None)

    async with quick_node(shutdown_timeout=0.01):
        spawn(deaf)
        await steps()
    assert [record.getMessage() for record in caplog.records] == [
        "deaf <test.1> did not stop within 0.01 s and is killed"
    ]


async def test_process_that_ignores_the_shutdown_is_killed_with_all_beneath_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def deaf(depth: int) -> None:
        trap_exit()
        if depth:
            spawn_link(deaf, depth - 1)
        while True:
            await receive(timeout=None)

    async with quick_node(shutdown_timeout=0.01):
        spawn(deaf, 2)
        await steps()
    assert [record.getMessage() for record in caplog.records] == [
        "deaf <test.1> did not stop within 0.01 s and is killed"
    ]


async def test_shutdown_timeout_of_zero_kills_without_telling(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    async def trapping() -> None:
        trap_exit()
        heard.append(await receive(timeout=None))

    async with quick_node(shutdown_timeout=0):
        spawn(trapping)
        await steps()
    assert (heard, caplog.records) == ([], [])


async def test_shutdown_timeout_of_zero_kills_all_in_one_step_the_latest_first() -> None:
    log: list[str] = []

    async def unwinds(name: str) -> None:
        try:
            await receive(timeout=None)
        finally:
            log.append(f"{name} begins")
            await asyncio.sleep(0)
            log.append(f"{name} ends")

    async with quick_node(shutdown_timeout=0):
        spawn(unwinds, "first")
        spawn(unwinds, "second")
        await steps()
    assert log == ["second begins", "first begins", "second ends", "first ends"]


async def test_orphan_that_traps_exits_stops_for_the_node() -> None:
    reasons: list[object] = []

    class Orphan(GenServer):
        def init(self) -> None:
            trap_exit()

        def terminate(self, reason):
            reasons.append(reason)

    class Parent(GenServer):
        async def handle_call(self, request, sender):
            pid = await start_link(Orphan)
            unlink(pid)
            return pid

    async with quick_node(shutdown_timeout=5):
        parent = await start(Parent)
        orphan = await call(parent, "start")
        exit(parent, "kill")
        await wait_exit(parent, timeout=1)
        assert isinstance(orphan, Pid)
        assert orphan.alive
    assert reasons == ["shutdown"]


async def test_exception_in_the_block_comes_out_after_everything_is_closed() -> None:
    log: list[str] = []

    async def main() -> None:
        async with quick_node(services=[Noted(log, "a")]):
            spawn(leaver, log, "process")
            await steps()
            raise KeyError

    with pytest.raises(KeyError):
        await main()
    assert log == ["+a", "-process", "-a"]


async def test_block_that_is_cancelled_closes_in_order() -> None:
    log: list[str] = []

    async def main() -> None:
        async with quick_node(services=[Noted(log, "a")], shutdown_timeout=1):
            spawn(leaver, log, "process")
            await sleeper()

    task = asyncio.create_task(main())
    await steps()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["+a", "-process", "-a"]


async def test_cancelled_close_kills_what_is_left_waits_for_it_and_closes_the_services() -> None:
    log: list[str] = []
    nodes: list[Node] = []

    async def deaf(name: str) -> None:
        trap_exit()
        await leaver(log, name)

    async def main() -> None:
        async with quick_node(services=[Noted(log, "a"), Noted(log, "b")], shutdown_timeout=None) as node:
            nodes.append(node)
            spawn(deaf, "first")
            spawn(deaf, "second")
            await steps()

    task = asyncio.create_task(main())
    await steps(15)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert sorted(log) == ["+a", "+b", "-a", "-b", "-first", "-second"]
    assert log[-2:] == ["-b", "-a"]
    assert repr(nodes[0]) == "<Node test stopped, 0 processes>"


async def test_cancelled_close_of_a_service_closes_the_others() -> None:
    log: list[str] = []
    nodes: list[Node] = []

    async def main() -> None:
        async with quick_node(services=[Noted(log, "a"), Noted(log, "b", "hang")]) as node:
            nodes.append(node)

    task = asyncio.create_task(main())
    await steps()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["+a", "+b", "-b", "-a"]
    assert repr(nodes[0]) == "<Node test stopped, 0 processes>"


async def test_node_lives_once() -> None:
    node = quick_node()
    async with node:
        with pytest.raises(NodeStateError) as caught:
            await node.__aenter__()
        assert str(caught.value) == (
            "async with on node 'test': expected a new node, got one that is running\n"
            "Fix: make a new Node for each `async with`, and start processes inside the block."
        )
    with pytest.raises(NodeStateError, match="expected a new node, got one that is stopped"):
        await node.__aenter__()


async def test_node_shows_its_state() -> None:
    node = Node(block_threshold=None, shutdown_timeout=0)
    assert (repr(node), node.running) == ("<Node node new, 0 processes>", False)
    async with node:
        spawn(sleeper)
        assert (repr(node), node.running) == ("<Node node running, 1 processes>", True)
    assert (repr(node), node.running) == ("<Node node stopped, 0 processes>", False)


async def test_unique_ids_differ_within_and_between_nodes() -> None:
    nodes = [Node(), Node()]
    assert len({node.unique_id() for node in nodes for _ in range(100)}) == 200


async def test_seeded_jitter_is_the_same_again() -> None:
    first, second, other = Node(seed=1), Node(seed=1), Node(seed=2)
    drawn = [[node.random.random() for _ in range(3)] for node in (first, second, other)]
    assert drawn[0] == drawn[1] != drawn[2]


async def test_node_knows_the_process_of_a_task() -> None:
    async with quick_node() as node:
        pid = spawn(sleeper)
        assert node.process_of(process_of(pid).task) is process_of(pid)
        assert node.process_of(asyncio.current_task()) is None
        assert node.process_of(None) is None


def test_node_takes_timedeltas_and_has_defaults() -> None:
    node = Node(timeouts=timedelta(seconds=2))
    assert node.timeouts.default == 2.0
    assert Node().timeouts.default == 5.0
    assert isinstance(node.clock, SystemClock)
    assert node.name == "node"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": ""}, "Node(name): expected a word without spaces or dots, got ''"),
        ({"name": "a b"}, "Node(name): expected a word without spaces or dots, got 'a b'"),
        ({"name": "a.b"}, "Node(name): expected a word without spaces or dots, got 'a.b'"),
        ({"name": 3}, "Node(name): expected a word without spaces or dots, got 3"),
        (
            {"timeouts": None},
            "Node(timeouts): expected seconds > 0 as a finite number, or a timedelta, got None",
        ),
        (
            {"shutdown_timeout": -1},
            "Node(shutdown_timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        ({"exit_grace": "1"}, "Node(exit_grace): expected seconds >= 0 as a finite number, or a timedelta, got '1'"),
        (
            {"block_threshold": 0},
            "Node(block_threshold): expected seconds > 0, got 0\nFix: pass None to report nothing.",
        ),
    ],
)
def test_node_refuses_wrong_options(options: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Node(**options)
    assert str(caught.value) == text


def test_clock_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOptionError) as error:
        Node(clock=3)
    assert str(error.value) == (
        "Node(clock): expected a Clock, which has monotonic(), time() and call_at(), or None, got 3"
    )
    with pytest.raises(InvalidOptionError) as error:
        Node(clock=VirtualClock)
    assert str(error.value).endswith("\nFix: pass an instance: VirtualClock().")
