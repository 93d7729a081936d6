# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion import Backoff
from stanchion.errors import (
    CallExitError,
    ChildIdTakenError,
    ChildNotFoundError,
    ChildSpecError,
    ChildStartError,
    ChildStateError,
    InvalidOptionError,
)
from stanchion.kernel import whereis
from stanchion.server import IGNORE, Continue, GenServer, start, stop
from stanchion.supervisor import (
    ChildCounts,
    ChildInfo,
    Supervisor,
    child_spec,
    count_children,
    delete_child,
    get_childspec,
    restart_child,
    start_child,
    supervisor_spec,
    terminate_child,
    which_children,
)
from tests.supervisor.servers import InitBy, crash, pid_of, quick_node, recorder, states


async def test_which_children_tells_each_child_in_the_order_of_start():
    async with quick_node():
        specs = [recorder([], "a", restart="transient"), supervisor_spec([], name="inner"), recorder([], "b")]
        supervisor = await start(Supervisor, specs, name="top")
        await terminate_child("top", "b")
        assert await which_children("top") == [
            ChildInfo("a", whereis("a"), "running", "worker", "transient"),
            ChildInfo("inner", whereis("inner"), "running", "supervisor", "permanent"),
            ChildInfo("b", None, "stopped", "worker", "permanent"),
        ]
        assert await count_children(supervisor) == ChildCounts(specs=3, active=2, supervisors=1, workers=2)


async def test_start_child_adds_a_child_behind_the_others():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a")])
        pid = await start_child(supervisor, recorder(log, "b"))
        assert pid is whereis("b")
        await crash("b")
        assert await states(supervisor) == {"a": "running", "b": "running"}
    assert log == ["+a", "+b", "-b", "+b", "-b", "-a"]


async def test_start_child_adds_nothing_when_the_child_does_not_start():
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [], name="s")
        with pytest.raises(ChildStartError) as caught:
            await start_child(supervisor, child_spec(InitBy, lambda: "nonsense", id="a"))
        assert await states(supervisor) == {}
    assert str(caught.value).startswith(
        "start of child 'a' of Supervisor <shop.1 s>: expected init to finish, got BadReturnError("
    )


async def test_start_child_returns_none_when_the_child_is_ignored():
    async with quick_node():
        supervisor = await start(Supervisor, [])
        assert await start_child(supervisor, child_spec(InitBy, lambda: IGNORE, id="a")) is None
        assert await start_child(supervisor, child_spec(InitBy, lambda: IGNORE, id="b", restart="temporary")) is None
        assert await states(supervisor) == {"a": "stopped"}


async def refused_id(supervisor):
    with pytest.raises(ChildIdTakenError) as caught:
        await start_child(supervisor, recorder([], "a"))
    assert caught.value.supervisor == "Supervisor <shop.1 s>"
    return caught.value


async def test_start_child_tells_whose_the_id_is_when_it_is_taken():
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [recorder([], "a")], name="s")
        error = await refused_id(supervisor)
        assert (error.child_id, error.pid, error.state) == ("a", pid_of("a"), "running")
    assert str(error) == (
        "child_spec 'a': expected an id that is free in Supervisor <shop.1 s>, got that of <shop.2 a>, which is running\n"
        "Fix: go on with that process, which is the error's pid, or pass another id=."
    )


async def test_start_child_tells_that_a_stopped_child_has_the_id():
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [recorder([], "a")], name="s")
        await terminate_child(supervisor, "a")
        error = await refused_id(supervisor)
    assert (error.pid, error.state) == (None, "stopped")
    assert str(error) == (
        "child_spec 'a': expected an id that is free in Supervisor <shop.1 s>, got that of a child that is stopped\n"
        "Fix: restart_child() starts the one that has it, delete_child() frees the id; or pass another id=."
    )


async def test_start_child_tells_that_a_child_that_waits_for_its_restart_has_the_id():
    async with quick_node("shop"):
        waits = recorder([], "a", backoff=Backoff(initial=60, maximum=60))
        supervisor = await start(Supervisor, [waits], name="s")
        await crash("a")
        error = await refused_id(supervisor)
    assert (error.pid, error.state) == (None, "restarting")
    assert str(error) == (
        "child_spec 'a': expected an id that is free in Supervisor <shop.1 s>, got that of a child that is restarting\n"
        "Fix: wait until the one that has it runs, or pass another id=."
    )


async def test_start_child_refuses_what_is_no_spec():
    async with quick_node():
        supervisor = await start(Supervisor, [])
        with pytest.raises(ChildSpecError, match="expected what child_spec"):
            await start_child(supervisor, GenServer)  # type: ignore[arg-type]


async def test_terminate_child_stops_it_and_does_not_restart_it():
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a")])
        await terminate_child(supervisor, "a")
        await terminate_child(supervisor, "a")
        assert await states(supervisor) == {"a": "stopped"}
        assert log == ["+a", "-a"]


async def test_terminate_child_forgets_a_temporary_one():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a", restart="temporary")])
        await terminate_child(supervisor, "a")
        assert await states(supervisor) == {}


async def test_restart_child_starts_a_stopped_one_and_does_not_count():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a")], "one_for_one", 0)
        await terminate_child(supervisor, "a")
        assert await restart_child(supervisor, "a") is whereis("a")
        assert await states(supervisor) == {"a": "running"}


async def test_restart_child_leaves_it_stopped_when_it_does_not_start():
    starts = []

    def only_once():
        starts.append(1)
        if len(starts) > 1:
            raise OSError("again")

    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(InitBy, only_once, id="a")])
        await terminate_child(supervisor, "a")
        with pytest.raises(ChildStartError):
            await restart_child(supervisor, "a")
        assert await states(supervisor) == {"a": "stopped"}


async def test_delete_child_frees_the_id():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a")])
        await terminate_child(supervisor, "a")
        await delete_child(supervisor, "a")
        assert await states(supervisor) == {}
        await start_child(supervisor, recorder([], "a"))


@pytest.mark.parametrize(("function", "verb"), [(restart_child, "restart"), (delete_child, "deletion")])
async def test_child_that_runs_is_not(function, verb):
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [recorder([], "a")], name="s")
        with pytest.raises(ChildStateError) as caught:
            await function(supervisor, "a")
        assert str(caught.value) == (
            f"{verb} of child 'a' of Supervisor <shop.1 s>: expected a stopped child, got one that is running\n"
            "Fix: terminate_child(supervisor, 'a') first."
        )


@pytest.mark.parametrize("function", [terminate_child, restart_child, delete_child, get_childspec])
async def test_unknown_id_is_told_with_the_nearest_one(function):
    async with quick_node("shop"):
        specs = [recorder([], "inventory"), child_spec(InitBy, lambda: None, id=3)]
        supervisor = await start(Supervisor, specs, name="s")
        told = "of Supervisor <shop.1 s>: expected the id of one of its children, got none"
        with pytest.raises(ChildNotFoundError) as caught:
            await function(supervisor, "inventroy")
        assert str(caught.value) == f"child 'inventroy' {told}\nFix: did you mean 'inventory'?"
        with pytest.raises(ChildNotFoundError) as caught:
            await function(supervisor, 4)
        assert str(caught.value) == f"child 4 {told}\nFix: which_children() tells the ids."


async def test_get_childspec_returns_the_spec_of_a_child():
    async with quick_node():
        spec = recorder([], "a")
        supervisor = await start(Supervisor, [spec])
        await terminate_child(supervisor, "a")
        assert await get_childspec(supervisor, "a") is spec


async def test_id_that_has_no_hash_is_refused_before_it_is_sent():
    async with quick_node():
        supervisor = await start(Supervisor, [])
        with pytest.raises(InvalidOptionError) as caught:
            await terminate_child(supervisor, [])  # type: ignore[arg-type]
        assert str(caught.value) == "terminate_child(id): expected something hashable, a string say, got []"


async def test_server_that_is_no_supervisor_is_told_apart():
    class Echo(GenServer):
        def handle_call(self, request, sender):
            return request

    async with quick_node("shop"):
        await start(Echo, name="echo")
        await start(GenServer, name="mute")
        for name in ("echo", "mute"):
            with pytest.raises(InvalidOptionError) as caught:
                await which_children(name)
            assert str(caught.value) == (
                f"which_children(supervisor): expected a running supervisor, got {name!r}, which is none"
            )


async def test_request_to_a_supervisor_that_is_gone_says_so():
    async with quick_node():
        supervisor = await start(Supervisor, [])
        await stop(supervisor)
        with pytest.raises(CallExitError):
            await which_children(supervisor)


async def test_child_may_add_siblings_after_its_start():
    class Adder(GenServer):
        def init(self, supervisor):
            self.supervisor = supervisor
            return Continue()

        async def handle_continue(self, arg):
            await start_child(self.supervisor, recorder([], "sibling"))
            added.set()

    added = asyncio.Event()
    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(Adder, "s", id="adder")], name="s")
        await added.wait()
        assert await states(supervisor) == {"adder": "running", "sibling": "running"}
