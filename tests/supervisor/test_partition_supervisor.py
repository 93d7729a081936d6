# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import CallExitError, ChildSpecError, ChildStartError, InvalidOptionError
from stanchion.kernel import Pid, Via, exit, self_pid, wait_exit, watch
from stanchion.server import GenServer, call, cast, start, start_link, stop
from stanchion.supervisor import (
    ChildCounts,
    PartitionSupervisor,
    Supervisor,
    child_spec,
    count_children,
    start_function,
    which_children,
)
from stanchion.timeouts import POLICY
from tests.supervisor.servers import InitBy, hang, process_of, quick_node, states

via = PartitionSupervisor.via


class Part(GenServer):
    def init(self, *args):
        self.args = args

    def handle_call(self, request, sender):
        return self.args if request == "args" else self_pid()

    def handle_cast(self, message):
        raise message


PART = child_spec(Part, "arg")


async def test_partitions_are_children_with_numbers_for_ids():
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 3, name="parts")
        children = await which_children("parts")
        assert [(child.id, child.state, child.type) for child in children] == [
            (0, "running", "worker"),
            (1, "running", "worker"),
            (2, "running", "worker"),
        ]
        assert await count_children(supervisor) == ChildCounts(3, 3, 0, 3)
        assert PartitionSupervisor.partitions("parts") == PartitionSupervisor.partitions(supervisor) == 3
        assert PART.id == "Part"


@pytest.mark.parametrize(("key", "partition"), [(0, 0), (4, 1), (-5, 2), (True, 1), ("order-7", 2), ("", 0)])
async def test_key_leads_to_a_partition(key, partition):
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 3, name="parts")
        pid = (await which_children(supervisor))[partition].pid
        assert await call(via("parts", key), "who") is pid
        assert await call(via(supervisor, key), "who") is pid


async def test_any_key_with_a_hash_leads_to_a_partition():
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 3)
        pids = [child.pid for child in await which_children(supervisor)]
        assert await call(via(supervisor, supervisor), "who") is pids[supervisor.id % 3]
        for key in (("a", 1), 2.5, None, frozenset([1])):
            assert await call(via(supervisor, key), "who") in pids


async def test_address_holds_through_a_restart():
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 2)
        address = via(supervisor, 1)
        before = await call(address, "who")
        assert isinstance(before, Pid)
        exit(before, "kill")
        await wait_exit(before, timeout=5)
        assert await states(supervisor) == {0: "running", 1: "running"}
        after = await call(address, "who")
        assert after is not before
        assert after is address.whereis()


class LooksAgain:
    """Notes who is there in the step in which a process ends."""

    def __init__(self, address) -> None:
        self.address = address
        self.found: list[Pid | None] = []

    def down(self, reason) -> None:
        self.found.append(self.address.whereis())


async def test_nobody_is_there_in_the_step_in_which_a_partition_ends():
    async with quick_node():
        await start(PartitionSupervisor, PART, 3, name="parts")
        pid = via("parts", 1).whereis()
        assert pid is not None
        looks = LooksAgain(via("parts", 1))
        watch(process_of(pid), looks)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
    assert looks.found == [None]


async def test_partition_gets_arguments_of_its_own():
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 2, lambda args, partition: [*args, partition])
        assert [await call(via(supervisor, key), "args") for key in (0, 1)] == [("arg", 0), ("arg", 1)]


async def test_partitions_are_restarted_by_the_strategy():
    async with quick_node():
        supervisor = await start(PartitionSupervisor, PART, 2, None, "one_for_all", 1, 60)
        before = [await call(via(supervisor, key), "who") for key in (0, 1)]
        cast(via(supervisor, 0), ValueError("crash"))
        assert isinstance(before[0], Pid)
        await wait_exit(before[0], timeout=5)
        assert await states(supervisor) == {0: "running", 1: "running"}
        after = [await call(via(supervisor, key), "who") for key in (0, 1)]
        assert not set(before) & set(after)
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        cast(via(supervisor, 0), ValueError("crash"))
        assert await ended == "shutdown"


async def test_partitions_may_be_plain_processes_or_come_of_a_start_function():
    @start_function
    async def start_part(partition):
        return await start_link(Part, partition)

    async with quick_node():
        plain = await start(PartitionSupervisor, child_spec(hang), 2)
        assert await states(plain) == {0: "running", 1: "running"}
        made = await start(PartitionSupervisor, child_spec(start_part), 2, lambda _, partition: (partition,))
        assert await call(via(made, 1), "args") == (1,)


async def test_tree_takes_a_partition_supervisor():
    spec = PartitionSupervisor.child_spec(PART, 2, name="parts", strategy="one_for_all", max_restarts=0)
    assert (spec.id, spec.type, spec.shutdown, spec.restart) == ("parts", "supervisor", POLICY, "permanent")
    assert PartitionSupervisor.child_spec(PART, 2).id == "PartitionSupervisor"
    async with quick_node():
        above = await start(Supervisor, [spec])
        assert await call(via("parts", 1), "args") == ("arg",)
        cast(via("parts", 1), ValueError("crash"))
        pid = next(child.pid for child in await which_children(above))
        while (await which_children(above))[0].pid is pid:
            pass
        assert PartitionSupervisor.partitions("parts") == 2


async def test_partition_reaches_those_that_started_before_it():
    seen = []

    async def init():
        seen.append([via("parts", key).whereis() is not None for key in (0, 1)])

    async with quick_node():
        await start(PartitionSupervisor, child_spec(InitBy, init), 2, name="parts")
        assert seen == [[False, False], [True, False]]


async def test_partition_supervisor_may_have_a_via_address_itself():
    class Post(Via):
        holder: Pid | None = None

        def whereis(self):
            return self.holder

        def register(self, pid):
            self.holder = pid

        def unregister(self, pid):
            self.holder = None

    async with quick_node():
        post = Post()
        await start(PartitionSupervisor, PART, 2, name=post)
        assert await call(via(post, 1), "args") == ("arg",)


async def test_nobody_is_there_while_the_supervisor_starts_or_is_gone():
    async with quick_node():
        starting = asyncio.ensure_future(start(PartitionSupervisor, PART, 1, name="parts"))
        await asyncio.sleep(0)
        assert via("parts", 0).whereis() is None
        await stop(await starting)
        assert via("parts", 0).whereis() is None
        with pytest.raises(CallExitError) as caught:
            await call(via("parts", 0), "who")
        assert str(caught.value).startswith(
            "call to PartitionSupervisor.via('parts', 0): expected a reply to 'who', got"
        )


async def test_supervisor_stops_the_partitions_before_when_one_does_not_start():
    def init_of(args, partition):
        return [lambda: None if partition == 0 else 3]

    async with quick_node() as node:
        with pytest.raises(ChildStartError) as caught:
            await start(PartitionSupervisor, child_spec(InitBy), 2, init_of)
        assert caught.value.child_id == 1
        assert not node.processes


def test_addresses_of_one_key_are_equal():
    assert via("parts", "a") == via("parts", "a")
    assert len({via("parts", "a"), via("parts", "a"), via("parts", "b"), via("other", "a")}) == 3
    assert via("parts", "a") != "parts"
    assert repr(via("parts", "a")) == "PartitionSupervisor.via('parts', 'a')"


async def test_address_is_nobodys_name():
    async with quick_node("shop"):
        await start(PartitionSupervisor, PART, 1, name="parts")
        with pytest.raises(InvalidOptionError) as caught:
            await start(Part, name=via("parts", 0))
        assert str(caught.value) == (
            "PartitionSupervisor.via(): expected to be used for a process that runs, got as the name of <shop.3>\n"
            "Fix: start the partitions by a PartitionSupervisor, and other processes under names of their own."
        )
        via("parts", 0).unregister(process_of(await start(Part)).pid)  # harmless


@pytest.mark.parametrize("use", [lambda ref: via(ref, 1).whereis(), PartitionSupervisor.partitions])
async def test_other_processes_are_no_partition_supervisor(use):
    async with quick_node("shop"):
        await start(Supervisor, [], name="plain")
        with pytest.raises(InvalidOptionError) as caught:
            use("plain")
        assert str(caught.value).endswith(
            "(supervisor): expected a running partition supervisor, got 'plain', which is none"
        )


async def test_number_of_partitions_of_nobody_is_an_error():
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            PartitionSupervisor.partitions("nobody")
        assert str(caught.value) == (
            "PartitionSupervisor.partitions(supervisor): expected a running partition supervisor, "
            "got 'nobody', which is none"
        )


def test_key_must_have_a_hash():
    with pytest.raises(InvalidOptionError) as caught:
        via("parts", [])  # type: ignore[arg-type]
    assert str(caught.value) == "PartitionSupervisor.via(key): expected something hashable, a string say, got []"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((PART, 0), "PartitionSupervisor(partitions): expected a whole number >= 1, got 0"),
        ((PART, 2, 3), "PartitionSupervisor(with_arguments): expected a callable or None, got 3"),
        (
            (PART, 2, lambda args, partition: partition),
            "PartitionSupervisor(with_arguments): expected a tuple or list of arguments as its return value, got 0",
        ),
        ((PART, 2, None, "one_for_one", -1), "PartitionSupervisor(max_restarts): expected a whole number >= 0, got -1"),
    ],
)
async def test_wrong_argument_is_refused(arguments, text):
    with pytest.raises(InvalidOptionError) as caught:
        PartitionSupervisor.child_spec(arguments[0], arguments[1], **dict(zip(OPTIONS, arguments[2:], strict=False)))
    assert str(caught.value) == text
    async with quick_node():
        with pytest.raises(Exception, match="expected init to finish") as started:
            await start(PartitionSupervisor, *arguments)
        assert str(started.value.__cause__) == text


OPTIONS = ("with_arguments", "strategy", "max_restarts")


def test_child_must_be_a_spec_without_a_name():
    with pytest.raises(ChildSpecError, match="expected what child_spec"):
        PartitionSupervisor.child_spec(Part, 2)  # type: ignore[arg-type]
    with pytest.raises(ChildSpecError) as caught:
        PartitionSupervisor.child_spec(child_spec(Part, name="part"), 2)
    assert str(caught.value) == (
        "child_spec 'part': expected no name for the child of a partition supervisor, got 'part'\n"
        "Fix: leave out name=; address a partition by PartitionSupervisor.via(supervisor, key)."
    )


def test_child_must_not_be_significant():
    with pytest.raises(ChildSpecError, match="got PartitionSupervisor with auto_shutdown='never'"):
        PartitionSupervisor.child_spec(child_spec(Part, restart="transient", significant=True), 2)
