# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import ChildStartError, InvalidOptionError, NameTakenError, StartError
from stanchion.kernel import LimitedMailbox, exit, receive, trap_exit, wait_exit, whereis
from stanchion.server import IGNORE, GenServer, send, start, start_link, stop
from stanchion.supervisor import Supervisor, child_spec, supervisor_spec, which_children
from tests.supervisor.servers import InitBy, Recorder, Refuser, hang, pid_of, process_of, quick_node, recorder, states


async def test_supervisor_starts_in_order_and_stops_in_reverse():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, label) for label in "abc"])
        assert log == ["+a", "+b", "+c"]
        await stop(supervisor)
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_node_stops_a_tree_in_reverse_order():
    log = []
    async with quick_node():
        inner = supervisor_spec([recorder(log, "b"), recorder(log, "c")])
        await start(Supervisor, [recorder(log, "a"), inner, recorder(log, "d")])
    assert log == ["+a", "+b", "+c", "+d", "-d", "-c", "-b", "-a"]


async def test_supervisor_stops_its_children_when_its_parent_exits():
    log = []

    async def parent():
        await start_link(Supervisor, [recorder(log, "a")], name="sup")

    async with quick_node() as node:
        pid = await start(Supervisor, [child_spec(parent, restart="temporary")])
        while whereis("sup") is None:
            await asyncio.sleep(0)
        await wait_exit(pid_of("sup"), timeout=5)
        assert log == ["+a", "-a"]
        assert [process.pid for process in node.processes.values()] == [pid]


async def test_supervisor_stops_those_before_when_a_child_does_not_start():
    log = []
    boom = ValueError("no database")

    def fail():
        raise boom

    async with quick_node("shop") as node:
        specs = [recorder(log, "a"), recorder(log, "b"), child_spec(InitBy, fail, name="db"), recorder(log, "c")]
        with pytest.raises(ChildStartError) as caught:
            await start(Supervisor, specs, name="top")
        assert log == ["+a", "+b", "-b", "-a"]
        assert not node.processes
    assert str(caught.value) == (
        "start of child 'db' of Supervisor <shop.1 top>: expected init to finish, got ValueError('no database')"
    )
    assert (caught.value.child_id, caught.value.reason, caught.value.__cause__) == ("db", boom, boom)


async def test_supervisor_tells_both_ids_when_a_grandchild_does_not_start():
    async with quick_node("shop"):
        with pytest.raises(ChildStartError) as caught:
            await start(Supervisor, [supervisor_spec([child_spec(InitBy, lambda: 3, id="db")], id="inner")])
    assert caught.value.child_id == "inner"
    assert isinstance(caught.value.reason, ChildStartError)
    assert caught.value.reason.child_id == "db"


async def test_supervisor_does_not_start_when_a_childs_init_hangs():
    async with quick_node() as node:
        with pytest.raises(ChildStartError) as caught:
            await start(Supervisor, [child_spec(InitBy, hang, timeout=0.01)])
        assert caught.value.reason == "timeout"
        assert not node.processes


async def test_supervisor_does_not_start_when_a_childs_name_is_taken():
    async with quick_node():
        await start(Recorder, [], "db", name="db")
        with pytest.raises(ChildStartError) as caught:
            await start(Supervisor, [recorder([], "db")])
        assert isinstance(caught.value.reason, NameTakenError)


async def test_supervisor_does_not_start_when_its_arguments_are_wrong():
    async with quick_node():
        with pytest.raises(StartError) as caught:
            await start(Supervisor, [], "one_for_al")
        assert isinstance(caught.value.__cause__, InvalidOptionError)
        assert "Supervisor(strategy): expected one of 'one_for_one'" in str(caught.value)


async def test_supervisor_has_a_longer_time_to_start_than_a_worker():
    async with quick_node(timeouts=0.01):
        slow = child_spec(InitBy, lambda: asyncio.sleep(0.03), timeout=5)
        supervisor = await start(Supervisor, [slow])
        assert await states(supervisor) == {"InitBy": "running"}


async def test_supervisor_keeps_a_child_that_is_ignored_as_stopped():
    async with quick_node():
        specs = [
            child_spec(InitBy, lambda: IGNORE, id="kept"),
            child_spec(InitBy, lambda: IGNORE, id="forgotten", restart="temporary"),
        ]
        supervisor = await start(Supervisor, specs)
        assert await states(supervisor) == {"kept": "stopped"}


async def test_supervisor_runs_an_async_function_with_its_options():
    got = []

    async def collect(*args):
        got.append((*args, await receive(timeout=None)))

    async with quick_node():
        supervisor = await start(
            Supervisor, [child_spec(collect, 1, 2, name="collector", mailbox=1, restart="temporary")]
        )
        pid = pid_of("collector")
        mailbox = process_of(pid).mailbox
        assert isinstance(mailbox, LimitedMailbox)
        assert mailbox.policy.limit == 1
        send(pid, "hello")
        assert await wait_exit(pid, timeout=5) == "normal"
        assert got == [(1, 2, "hello")]
        assert await states(supervisor) == {}


async def test_supervisor_kills_a_child_that_takes_longer_than_its_shutdown(caplog):
    class Slow(GenServer):
        def init(self):
            trap_exit()

        async def terminate(self, reason):
            await hang()

    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(Slow, name="slow", shutdown=0.01)], name="top")
        slow = pid_of("slow")
        ended = asyncio.ensure_future(wait_exit(slow, timeout=5))
        await asyncio.sleep(0)
        await stop(supervisor)
        assert await ended == "killed"
    assert "Supervisor <test.1 top>: child 'slow' did not stop within 0.01 s and is killed" in caplog.messages


async def test_supervisor_goes_on_when_a_child_refuses_to_end(caplog):
    log = []
    refuser = Refuser()
    async with quick_node():
        specs = [recorder(log, "a"), child_spec(refuser, shutdown=0.01), recorder(log, "b")]
        supervisor = await start(Supervisor, specs)
        await asyncio.sleep(0)
        await stop(supervisor)
        assert log == ["+a", "+b", "-b", "-a"]
    assert any("declared dead" in message for message in caplog.messages)
    refuser.release.set()
    await refuser.ended.wait()


async def test_supervisor_does_not_tell_a_child_that_it_is_to_kill_brutally():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a", shutdown="brutal_kill")])
        await stop(supervisor)
    assert log == ["+a"]


async def test_supervisor_waits_without_limit_when_shutdown_is_none():
    release = asyncio.Event()

    class Patient(GenServer):
        def init(self):
            trap_exit()

        async def terminate(self, reason):
            await release.wait()

    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(Patient, shutdown=None)])
        stopping = asyncio.ensure_future(stop(supervisor))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        release.set()
        await stopping


async def test_supervisors_children_end_when_it_is_killed():
    log = []
    async with quick_node() as node:
        supervisor = await start(Supervisor, [recorder(log, "a"), child_spec(hang, name="plain")])
        ends = asyncio.gather(*(wait_exit(pid_of(name), timeout=5) for name in ("a", "plain")))
        await asyncio.sleep(0)
        exit(supervisor, "kill")
        assert await ends == ["killed", "killed"]
        assert log == ["+a", "-a"]
        assert not node.processes


async def test_supervisor_ignores_the_exits_of_strangers(caplog):
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a")])

        async def stranger():
            exit(supervisor, "shutdown")

        other = await start(Supervisor, [child_spec(stranger, restart="temporary")])
        await states(other)
        assert await states(supervisor) == {"a": "running"}


async def test_subclass_makes_its_children_in_init():
    log = []

    class Shop(Supervisor):
        async def init(self, *labels):  # type: ignore[override]
            await super().init([recorder(log, label) for label in labels], "one_for_all", max_restarts=0)

    async with quick_node():
        shop = await start(Shop, "a", "b")
        assert [child.id for child in await which_children(shop)] == ["a", "b"]
    assert log == ["+a", "+b", "-b", "-a"]


async def test_subclass_that_does_not_call_init_is_told_so():
    class Shop(Supervisor):
        async def init(self):  # type: ignore[override]
            pass

    async with quick_node():
        shop = await start(Shop)
        ended = asyncio.ensure_future(wait_exit(shop, timeout=5))
        with pytest.raises(Exception, match=r"Shop\.init"):
            await which_children(shop)
        assert str(await ended) == ("Shop.init(): expected `await super().init(children, ...)` in it, got no such call")
