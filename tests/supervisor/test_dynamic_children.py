# SPDX-License-Identifier: MIT
"""A DynamicSupervisor's children: started on demand, known by their pids."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import (
    ChildNotFoundError,
    ChildSpecError,
    ChildStartError,
    InvalidOptionError,
    MaxChildrenError,
    StartError,
    UnhandledRequestError,
)
from stanchion.kernel import Pid, exit, monitor, receive, spawn, wait_exit, whereis
from stanchion.server import IGNORE, GenServer, Stop, call, cast, send, start, start_link
from stanchion.supervisor import (
    ChildCounts,
    ChildInfo,
    DynamicSupervisor,
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
from stanchion.timeouts import POLICY
from tests.kernel.helpers import run_in_process
from tests.supervisor.servers import InitBy, hang, quick_node, recorder


class Holder(GenServer):
    """Replies with the arguments of its init."""

    def init(self, *args):
        self.args = args

    def handle_call(self, request, sender):
        return self.args


async def started(supervisor: Pid, spec: Any) -> Pid:
    pid = await start_child(supervisor, spec)
    assert pid is not None
    return pid


async def test_children_run_side_by_side_by_the_same_spec():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        spec = child_spec(Holder, 1, id="holder")
        first, second = await started(supervisor, spec), await started(supervisor, spec)
        assert first is not second
        assert await which_children(supervisor) == [
            ChildInfo("holder", first, "running", "worker", "permanent"),
            ChildInfo("holder", second, "running", "worker", "permanent"),
        ]


async def test_children_are_counted_by_kind():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        await start_child(supervisor, child_spec(hang))
        await start_child(supervisor, supervisor_spec([]))
        await start_child(supervisor, DynamicSupervisor.child_spec())
        assert await count_children(supervisor) == ChildCounts(specs=3, active=3, supervisors=2, workers=1)


async def test_extra_args_come_before_a_childs_own():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, None, ["all", "of them"])
        child = await started(supervisor, child_spec(Holder, 1, 2))
        assert await call(child, "args") == ("all", "of them", 1, 2)


async def test_spec_is_not_changed_by_extra_args():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, None, ("extra",))
        spec = child_spec(Holder, 1)
        await start_child(supervisor, spec)
        assert spec.args == (1,)


async def test_spec_of_a_child_is_told_by_its_pid():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        spec = child_spec(hang)
        child = await started(supervisor, spec)
        assert await get_childspec(supervisor, child) is spec


async def test_child_that_init_ignored_is_not_kept():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        assert await start_child(supervisor, child_spec(InitBy, lambda: IGNORE)) is None
        assert await which_children(supervisor) == []


async def test_child_that_does_not_start_is_not_kept():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        with pytest.raises(ChildStartError) as info:
            await start_child(supervisor, child_spec(InitBy, lambda: Stop(ValueError("no")), id="bad"))
        assert str(info.value) == (
            f"start of child 'bad' of DynamicSupervisor {supervisor!r}: expected init to finish, got ValueError('no')"
        )
        assert await which_children(supervisor) == []


async def test_temporary_child_is_forgotten_when_it_exits():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, child_spec(hang, restart="temporary"))
        exit(child, "kill")
        await wait_exit(child, timeout=None)
        assert await which_children(supervisor) == []


async def test_exit_signal_of_a_child_that_lives_is_not_its_exit():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)

        async def signals_its_parent():
            exit(supervisor, "shutdown")
            await hang()

        child = await started(supervisor, child_spec(signals_its_parent, restart="temporary"))
        await asyncio.sleep(0)
        assert [info.pid for info in await which_children(supervisor)] == [child]


async def test_exit_signal_of_a_stranger_is_ignored():
    async with quick_node():
        top = await start(Supervisor, [DynamicSupervisor.child_spec(name="pool")])
        pool = whereis("pool")
        assert pool is not None
        exit(pool, ValueError("from outside of processes"))
        await run_in_process(exit, pool, ValueError("from another process"))
        assert await which_children(pool) == []
        assert [info.pid for info in await which_children(top)] == [pool]


async def test_message_that_it_has_no_clause_for_is_not_handled(caplog):
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        send(supervisor, "what?")
        cast(supervisor, "what?")
        with pytest.raises(UnhandledRequestError):
            await call(supervisor, "what?")
    assert "DynamicSupervisor.handle_info() has no clause for it" in caplog.text


# --- max_children --------------------------------------------------------------------------------


async def test_child_is_refused_when_there_are_max_children():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, 1)
        await start_child(supervisor, child_spec(hang))
        with pytest.raises(MaxChildrenError) as info:
            await start_child(supervisor, child_spec(hang, id="second"))
        assert (info.value.child_id, info.value.max_children) == ("second", 1)
        assert info.value.supervisor == f"DynamicSupervisor {supervisor!r}"
        assert str(info.value) == (
            f"start of child 'second' of DynamicSupervisor {supervisor!r}: "
            "expected fewer than its max_children=1, got as many\n"
            "Fix: start it again when another child has ended, or give the supervisor a larger max_children=."
        )


async def test_place_is_free_again_when_a_child_was_terminated():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, 1)
        child = await started(supervisor, child_spec(hang))
        await terminate_child(supervisor, child)
        assert await start_child(supervisor, child_spec(hang)) is not None


async def test_no_child_is_started_when_max_children_is_0():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, 0)
        with pytest.raises(MaxChildrenError):
            await start_child(supervisor, child_spec(hang))


# --- terminate_child and its kin -----------------------------------------------------------------


async def test_terminated_child_is_stopped_and_forgotten():
    log: list[str] = []
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, recorder(log, "a"))
        await terminate_child(supervisor, child)
        assert log == ["+a", "-a"]
        assert await which_children(supervisor) == []


async def test_terminated_child_counts_as_no_restart():
    async with quick_node():
        supervisor = await start(DynamicSupervisor, None, (), 0)
        child = await started(supervisor, child_spec(hang))
        await terminate_child(supervisor, child)
        assert await which_children(supervisor) == []


@pytest.mark.parametrize("id", ["hang", None])
async def test_terminate_child_takes_a_pid_and_no_id(id):
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        await start_child(supervisor, child_spec(hang, id="hang"))
        with pytest.raises(ChildNotFoundError) as info:
            await terminate_child(supervisor, id)
        assert str(info.value) == (
            f"child {id!r} of DynamicSupervisor {supervisor!r}: expected the id of one of its children, got none\n"
            "Fix: pass the pid of a child; which_children() tells them."
        )


async def test_terminate_child_does_not_know_a_child_that_was_terminated():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, child_spec(hang))
        await terminate_child(supervisor, child)
        with pytest.raises(ChildNotFoundError):
            await terminate_child(supervisor, child)


@pytest.mark.parametrize("verb", [restart_child, delete_child])
async def test_verbs_of_children_that_do_not_run_are_refused(verb):
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, child_spec(hang))
        with pytest.raises(InvalidOptionError) as info:
            await verb(supervisor, child)
        assert str(info.value) == (
            f"{verb.__name__}(supervisor): expected a Supervisor, which keeps children that do not run, "
            f"got DynamicSupervisor {supervisor!r}, which forgets them\n"
            "Fix: start_child(supervisor, spec) starts another one; terminate_child(supervisor, pid) ends one."
        )
        assert child.alive


async def test_significant_child_is_refused():
    async with quick_node():
        supervisor = await start(DynamicSupervisor)
        with pytest.raises(ChildSpecError, match="expected a supervisor that a significant child can shut down"):
            await start_child(supervisor, child_spec(hang, restart="temporary", significant=True))


# --- its own start -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_children": -1}, "DynamicSupervisor(max_children): expected a whole number >= 0, got -1"),
        (
            {"extra_args": "ab"},
            (
                "DynamicSupervisor(extra_args): expected a list or tuple of arguments, got 'ab'\n"
                "Fix: put a single argument into a tuple: (argument,)."
            ),
        ),
        ({"max_restarts": -1}, "DynamicSupervisor(max_restarts): expected a whole number >= 0, got -1"),
        ({"max_seconds": 0}, "DynamicSupervisor(max_seconds): expected more than 0 seconds, got 0"),
        ({"strategy": "one_for_all"}, "DynamicSupervisor(strategy): expected one of 'one_for_one', got 'one_for_all'"),
    ],
)
async def test_wrong_option_is_refused(options, text):
    with pytest.raises(InvalidOptionError) as info:
        DynamicSupervisor.child_spec(**options)
    assert str(info.value).removesuffix("\nFix: write 'one_for_one'.") == text


async def test_wrong_option_is_refused_at_the_start():
    async with quick_node():
        with pytest.raises(
            StartError, match=r"DynamicSupervisor\(max_children\): expected a whole number >= 0, got 'a'"
        ):
            await start(DynamicSupervisor, "a")


async def test_child_spec_puts_one_into_a_tree():
    async with quick_node():
        spec = DynamicSupervisor.child_spec(max_children=1, extra_args=[1], name="pool", restart="transient")
        assert (spec.id, spec.type, spec.restart, spec.shutdown) == ("pool", "supervisor", "transient", POLICY)
        await start(Supervisor, [spec])
        child = await start_child("pool", child_spec(Holder, 2))
        assert child is not None
        assert await call(child, "args") == (1, 2)
        with pytest.raises(MaxChildrenError):
            await start_child("pool", child_spec(Holder, 2))


async def test_subclass_has_a_child_spec_of_its_own():
    class Pool(DynamicSupervisor):
        pass

    assert DynamicSupervisor.child_spec().start is DynamicSupervisor
    spec = Pool.child_spec(id="p")
    assert (spec.start, spec.id, spec.type) == (Pool, "p", "supervisor")


async def test_subclass_that_does_not_await_the_base_init_is_told():
    class Pool(DynamicSupervisor):
        async def init(self):  # pyright: ignore[reportIncompatibleMethodOverride]
            pass

    async with quick_node():
        pool = await start(Pool)
        done = asyncio.get_running_loop().create_future()

        async def body():
            monitor(pool)
            asyncio.ensure_future(start_child(pool, child_spec(hang))).add_done_callback(lambda task: task.exception())
            done.set_result(await receive(timeout=None))

        spawn(body)
        down = await done
        assert str(down.reason) == "Pool.init(): expected `await super().init(...)` in it, got no such call"


async def test_name_is_free_again_when_it_exits():
    async with quick_node():
        await start(DynamicSupervisor, name="pool")
        pool = whereis("pool")
        assert pool is not None
        exit(pool, "kill")
        await wait_exit(pool, timeout=None)
        assert await start(DynamicSupervisor, name="pool") is not pool


async def test_start_link_makes_the_caller_its_parent():
    async with quick_node() as node:

        async def body():
            pool = await start_link(DynamicSupervisor)
            await start_child(pool, child_spec(hang))
            return pool

        pool = await run_in_process(body)  # which ends at once, so the supervisor is told to, and the child by it
        await wait_exit(pool, timeout=None)
        assert not node.processes
