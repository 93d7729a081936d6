# SPDX-License-Identifier: MIT
"""A via address goes wherever a ref goes, and wherever a name does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import CallExitError, InvalidOptionError, KeyTakenError
from stanchion.kernel import (
    CAST,
    Down,
    Pid,
    Via,
    exit,
    monitor,
    receive,
    self_pid,
    send_after,
    spawn,
    spawn_link,
    wait_exit,
    whereis,
)
from stanchion.registry import Registry, RegistryVia
from stanchion.server import (
    GenServer,
    abcast,
    begin_start,
    call,
    cast,
    multi_call,
    send,
    start,
    start_link,
    stop,
)
from stanchion.supervisor import (
    Supervisor,
    child_spec,
    count_children,
    delete_child,
    restart_child,
    start_child,
    supervisor_spec,
    terminate_child,
    which_children,
)
from stanchion.telemetry import DEAD_LETTER
from tests.kernel.helpers import Events, process_of, run_in_process, sleeper, steps
from tests.registry.helpers import Worker, new_node, registry

ADA = Registry.via("registry", "ada")


class Notes(GenServer):
    """Keeps casts and infos, answers a call with them, and crashes when told to."""

    def init(self, first: str = "") -> None:
        self.notes: list[object] = [first] if first else []

    def handle_call(self, request: object, sender: object) -> object:
        return self.notes

    def handle_cast(self, message: object) -> None:
        if message == "crash":
            raise ZeroDivisionError("told to")
        self.notes.append(message)

    handle_info = handle_cast


# --- starting under one --------------------------------------------------------------------------


async def test_server_is_started_under_a_via_address_and_called_by_it() -> None:
    async with new_node():
        await registry()
        pid = await start(Notes, "hello", name=ADA)
        assert await call(ADA, "notes") == ["hello"]
        assert Registry.lookup("registry", "ada") == [(pid, None)]
        assert (ADA.whereis(), pid.name) == (pid, None)


async def test_value_of_the_address_becomes_the_entrys() -> None:
    async with new_node():
        await registry()
        pid = await start(Notes, name=Registry.via("registry", "ada", {"age": 36}))
        assert Registry.lookup("registry", "ada") == [(pid, {"age": 36})]
        assert await call(ADA, "notes") == []


async def test_process_is_registered_before_its_first_step_and_linked_with_the_registry() -> None:
    async with new_node():
        pid = await registry()
        ada = spawn(sleeper, name=ADA)
        assert ADA.whereis() is ada
        exit(pid, "kill")
        assert await wait_exit(ada, timeout=1) == "killed"


async def test_init_can_use_its_own_key() -> None:
    class Proud(GenServer):
        def init(self) -> None:
            Registry.update_value("registry", "ada", lambda _: "ready")

    async with new_node():
        await registry()
        pid = await start(Proud, name=ADA)
        assert Registry.lookup("registry", "ada") == [(pid, "ready")]


async def test_key_that_is_taken_starts_no_process() -> None:
    async with new_node() as node:
        await registry()
        pid = await start(Notes, name=ADA)
        before = len(node.processes)
        with pytest.raises(KeyTakenError) as caught:
            await start(Notes, name=ADA)
        assert caught.value.pid is pid
        with pytest.raises(KeyTakenError):
            spawn(sleeper, name=ADA)
        assert len(node.processes) == before


async def test_linked_start_under_a_via_address_is_linked_with_both() -> None:
    async def parent() -> list[set[Pid]]:
        pids = [await start_link(Notes, name=ADA), spawn_link(sleeper, name=Registry.via("registry", "bob"))]
        return [{peer.pid for peer in process_of(pid).links or ()} - {self_pid()} for pid in pids]

    async with new_node():
        pid = await registry()
        assert await run_in_process(parent) == [{pid}, {pid}]


async def test_key_is_free_before_anyone_hears_of_the_exit() -> None:
    async with new_node():
        await registry()
        first = await start(Notes, name=ADA)
        await stop(ADA)
        second = await start(Notes, name=ADA)
        assert first is not second
        assert ADA.whereis() is second


async def test_process_started_under_a_via_address_may_give_its_key_up() -> None:
    async with new_node():
        await registry()
        worker = Worker(name=ADA)
        await worker.do(Registry.unregister, "registry", "ada")
        heir = spawn(sleeper, name=ADA)
        await worker.killed()
        assert ADA.whereis() is heir


async def test_start_under_a_registry_that_does_not_run_says_so() -> None:
    async with new_node() as node:
        await registry(name="sessions")
        with pytest.raises(InvalidOptionError) as caught:
            await start(Notes, name=Registry.via("sesions", "ada"))
        assert str(caught.value) == (
            "Registry.via(registry): expected a running registry, got 'sesions', which nobody holds\n"
            "Fix: write 'sessions'."
        )
        assert len(node.processes) == 1


async def test_start_under_a_registry_of_another_node_says_so() -> None:
    async with new_node("outer"):
        outer = await registry()
        async with new_node("inner"):
            with pytest.raises(InvalidOptionError) as caught:
                spawn(sleeper, name=Registry.via(outer, "ada"))
            assert str(caught.value) == (
                "Registry.via(registry): expected a registry of the process's node, for <inner.1>, "
                "got Registry <outer.1 registry> of another"
            )


async def test_registry_is_named_by_a_via_address_itself() -> None:
    async with new_node():
        await registry(name="registries")
        rooms = Registry.via("registries", "rooms")
        pid = await start(Registry, "unique", name=rooms)
        attic = Registry.via(rooms, "attic")
        await start(Notes, "dust", name=attic)
        assert Registry.count(rooms) == 1
        assert await call(attic, "notes") == ["dust"]
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert attic.whereis() is None


# --- addressing by one ---------------------------------------------------------------------------


async def test_cast_send_timer_and_stop_reach_the_process() -> None:
    async with new_node():
        await registry()
        pid = await start(Notes, name=ADA)
        cast(ADA, "cast")
        send(ADA, "send")
        send_after(ADA, "timer", 5)
        await asyncio.sleep(6)
        assert await call(ADA, "notes") == ["cast", "send", "timer"]
        await stop(ADA, "shutdown")
        assert not pid.alive
        await stop(ADA)


async def test_monitor_of_a_via_address_tells_the_exit_or_noproc() -> None:
    async with new_node():
        await registry()
        pid = await start(Notes, name=ADA)
        watcher = Worker()
        ref = await watcher.do(monitor, ADA)
        await stop(ADA)
        assert await watcher.all_heard() == [Down(ref, pid, "normal", None)]
        ref = await watcher.do(monitor, ADA)
        assert await watcher.all_heard() == [Down(ref, None, "noproc", None)]


async def test_call_to_a_key_that_nobody_has_says_so() -> None:
    async with new_node():
        await registry()
        with pytest.raises(CallExitError) as caught:
            await call(ADA, "notes")
        assert str(caught.value) == (
            "call to Registry.via('registry', 'ada'): expected a reply to 'notes', got no such process (noproc)\n"
            "Fix: start the process with name=Registry.via('registry', 'ada') first."
        )


async def test_key_of_a_registry_that_does_not_run_belongs_to_nobody() -> None:
    async with new_node() as node:
        events = Events(node, DEAD_LETTER)
        cast(ADA, "hello")
        assert (events.all("recipient"), events.all("reason")) == ([ADA], ["noproc"])
        with pytest.raises(CallExitError):
            await call(ADA, "notes")


async def test_key_of_a_registry_that_is_being_started_belongs_to_nobody() -> None:
    class Slow(Registry):
        async def init(self, *_: object) -> None:  # type: ignore[override]
            await asyncio.sleep(5)
            super().init("unique")

    async with new_node() as node:
        starting = begin_start("start()", node, None, Slow, (), "registry", None, None)
        assert ADA.whereis() is None
        for ref in ("registry", starting.process.pid):
            with pytest.raises(InvalidOptionError) as caught:
                Registry.count(ref)
            assert str(caught.value) == (
                f"Registry.count(registry): expected a running registry, got {ref!r}, whose init is not done"
            )
        await starting.ready()
        spawn(sleeper, name=ADA)
        assert ADA.whereis() is not None


async def test_duplicate_keys_have_no_via_address() -> None:
    async with new_node():
        await registry("duplicate")
        text = (
            "Registry.via(registry): expected a registry of unique keys, got Registry <test.1 registry>, "
            "whose keys are duplicate\n"
            "Fix: send to each process of Registry.lookup(), or use Registry.dispatch()."
        )
        with pytest.raises(InvalidOptionError) as caught:
            cast(ADA, "hello")
        assert str(caught.value) == text
        with pytest.raises(InvalidOptionError) as caught:
            spawn(sleeper, name=ADA)
        assert str(caught.value) == text


async def test_via_address_of_a_process_that_is_no_registry_is_refused() -> None:
    async with new_node():
        spawn(sleeper, name="registry")
        with pytest.raises(InvalidOptionError) as caught:
            cast(ADA, "hello")
        assert str(caught.value) == (
            "Registry.via(registry): expected a running registry, got sleeper <test.1 registry>, which is none"
        )


def test_key_without_a_hash_makes_no_address() -> None:
    key: Any = ["ada"]
    with pytest.raises(InvalidOptionError) as caught:
        Registry.via("registry", key)
    assert str(caught.value) == "Registry.via(key): expected something hashable, a string say, got ['ada']"


def test_addresses_of_one_key_are_equal() -> None:
    assert Registry.via("registry", "ada", "a value") == ADA
    assert hash(ADA) == hash(Registry.via("registry", "ada", ["a value"]))
    assert Registry.via("registry", "bob") != ADA
    assert Registry.via("rooms", "ada") != ADA
    text: object = "Registry.via('registry', 'ada')"
    assert text != ADA
    assert isinstance(ADA, Via)
    assert isinstance(ADA, RegistryVia)
    assert repr(ADA) == "Registry.via('registry', 'ada')"


# --- registering by hand, as the kernel does -----------------------------------------------------


async def test_address_registers_and_unregisters_a_process() -> None:
    async with new_node():
        await registry()
        pid, other = spawn(sleeper), spawn(sleeper)
        ADA.unregister(pid)
        ADA.register(pid)
        ADA.unregister(other)
        assert ADA.whereis() is pid
        ADA.unregister(pid)
        assert ADA.whereis() is None
        assert process_of(pid).owned is None


async def test_process_that_has_ended_is_not_registered() -> None:
    async with new_node():
        await registry()
        pid = spawn(sleeper)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        with pytest.raises(InvalidOptionError) as caught:
            ADA.register(pid)
        assert str(caught.value) == "register(pid): expected a live process, got <test.2>, which has ended"
        ADA.unregister(pid)


# --- in a tree -----------------------------------------------------------------------------------


async def test_child_under_a_via_address_is_found_again_after_its_restart() -> None:
    async with new_node():
        await start(Supervisor, [child_spec(Registry, "unique", name="registry"), child_spec(Notes, "new", name=ADA)])
        first = ADA.whereis()
        cast(ADA, "crash")
        await asyncio.sleep(1)
        assert ADA.whereis() is not first
        assert await call(ADA, "notes") == ["new"]


async def test_child_under_a_via_address_has_it_as_its_id() -> None:
    spec = child_spec(Notes, name=ADA)
    assert (spec.id, spec.name) == (ADA, ADA)


async def test_children_come_back_when_their_registry_crashed() -> None:
    async with new_node():
        specs = [child_spec(Registry, "unique", name="registry"), child_spec(Notes, "new", name=ADA)]
        await start(Supervisor, specs, "rest_for_one")
        before, pid = ADA.whereis(), whereis("registry")
        assert pid is not None
        exit(pid, "kill")
        await asyncio.sleep(1)
        assert ADA.whereis() not in (None, before)
        assert await call(ADA, "notes") == ["new"]


async def test_supervisor_functions_take_a_via_address() -> None:
    async with new_node():
        await registry()
        tree = Registry.via("registry", "tree")
        await start(Supervisor, [supervisor_spec([], name=tree)])
        pid = await start_child(tree, child_spec(sleeper, id="a"))
        assert [child.pid for child in await which_children(tree)] == [pid]
        assert (await count_children(tree)).active == 1
        await terminate_child(tree, "a")
        assert await restart_child(tree, "a") is not pid
        await terminate_child(tree, "a")
        await delete_child(tree, "a")
        assert await which_children(tree) == []


# --- a via address of one's own ------------------------------------------------------------------


class Table(Via):
    """An address in a table of the test's own."""

    def __init__(self) -> None:
        self.pids: dict[str, Pid] = {}

    def whereis(self) -> Pid | None:
        return self.pids.get("me")

    def register(self, pid: Pid) -> None:
        self.pids["me"] = pid

    def unregister(self, pid: Pid) -> None:
        del self.pids["me"]


async def test_via_addresses_can_be_made_by_anybody() -> None:
    async with new_node():
        table = Table()
        pid = await start(Notes, "hello", name=table)
        assert await call(table, "notes") == ["hello"]
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert table.pids == {}


async def test_plain_process_receives_by_its_via_address() -> None:
    heard: list[object] = []

    async def body() -> None:
        heard.append(await receive(timeout=None))

    async with new_node():
        await registry()
        spawn(body, name=ADA)
        cast(ADA, CAST)
        await steps()
        assert heard == ["cast"]


async def test_abcast_and_multi_call_reach_via_addresses() -> None:
    async with new_node():
        await registry()
        await start(Notes, name=ADA)
        bob = Registry.via("registry", "bob")
        abcast([ADA, bob], "hello")
        replies, failures = await multi_call([ADA, bob], "notes")
        assert replies == ((ADA, ["hello"]),)
        assert [ref for ref, _ in failures] == [bob]
