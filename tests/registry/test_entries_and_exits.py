# SPDX-License-Identifier: MIT
"""Entries go with their process; a registry's end is heard by those in it."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from stanchion.errors import InvalidOptionError, KeyTakenError
from stanchion.kernel import (
    Down,
    Exit,
    ExitReason,
    Pid,
    Process,
    exit,
    monitor,
    receive,
    spawn,
    unlink,
    wait_exit,
    watch,
    whereis,
)
from stanchion.registry import Registry
from stanchion.server import start, stop
from stanchion.supervisor import Supervisor, child_spec
from tests.kernel.helpers import process_of, steps
from tests.registry.helpers import Worker, linked, new_node, registry, trapping_worker


class Look:
    """Looks a key up in the very step in which a process's exit is told."""

    def __init__(self, pid: Pid, key: str) -> None:
        self.found: list[object] | None = None
        self._key = key
        watch(process_of(pid), self)

    def down(self, reason: ExitReason) -> None:
        self.found = list(Registry.lookup("registry", self._key))


def links_of(worker: Worker) -> list[Process]:
    return list(process_of(worker.pid).links or ())


async def test_entries_are_gone_before_anyone_hears_of_the_exit() -> None:
    async with new_node():
        await registry("duplicate")
        worker, other = Worker(), Worker()
        for each in (worker, other, worker):
            await each.do(Registry.register, "registry", "news")
        look = Look(worker.pid, "news")
        await worker.killed()
        assert look.found == [(other.pid, None)]


async def test_key_can_be_taken_by_who_hears_of_the_exit() -> None:
    async with new_node():
        await registry()
        first, heir = Worker(), await trapping_worker()
        await linked(heir, first.pid)
        await first.do(Registry.register, "registry", "ada")
        reason = await first.crashes()
        assert await heir.all_heard() == [Exit(first.pid, reason)]
        await heir.do(Registry.register, "registry", "ada")
        assert Registry.lookup("registry", "ada") == [(heir.pid, None)]


async def test_entries_of_a_process_that_ends_by_itself_are_gone() -> None:
    async def brief() -> None:
        Registry.register("registry", "ada")

    async with new_node():
        await registry()
        pid = spawn(brief)
        assert await wait_exit(pid, timeout=1) == "normal"
        assert Registry.count("registry") == 0


async def test_process_is_linked_with_the_registry_while_it_has_an_entry() -> None:
    async with new_node():
        process = process_of(await registry())
        worker = Worker()
        for key in ("a", "b"):
            await worker.do(Registry.register, "registry", key)
        assert links_of(worker) == [process]
        await worker.do(Registry.unregister, "registry", "a")
        assert links_of(worker) == [process]
        await worker.do(Registry.unregister, "registry", "b")
        assert links_of(worker) == []
        assert not process.links


async def test_registration_that_was_refused_leaves_no_link() -> None:
    async with new_node():
        await registry()
        worker, other = Worker(), Worker()
        await worker.do(Registry.register, "registry", "a")
        with pytest.raises(KeyTakenError):
            await other.do(Registry.register, "registry", "a")
        assert links_of(other) == []
        assert process_of(other.pid).owned is None


async def test_link_that_the_process_made_itself_stays_when_its_last_entry_goes() -> None:
    async with new_node():
        pid = await registry()
        worker = Worker()
        await linked(worker, pid)
        await worker.do(Registry.register, "registry", "a")
        await worker.do(Registry.unregister, "registry", "a")
        assert links_of(worker) == [process_of(pid)]
        await worker.do(unlink, pid)


async def test_process_exits_with_the_registry_that_crashed() -> None:
    async with new_node():
        pid = await registry()
        worker, stranger = Worker(), Worker()
        await worker.do(Registry.register, "registry", "a")
        exit(pid, "kill")
        assert await wait_exit(worker.pid, timeout=1) == "killed"
        assert stranger.pid.alive


async def test_process_that_traps_exits_hears_of_the_registrys_end_and_is_in_none() -> None:
    async with new_node():
        pid = await registry()
        worker = await trapping_worker()
        await worker.do(Registry.register, "registry", "a", 1)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert await worker.all_heard() == [Exit(pid, "killed")]
        assert process_of(worker.pid).owned is None
        await registry()
        assert Registry.keys("registry", worker.pid) == []
        await worker.do(Registry.register, "registry", "a", 2)
        assert Registry.lookup("registry", "a") == [(worker.pid, 2)]


async def test_process_exits_with_the_registry_that_stops_be_it_normally() -> None:
    async with new_node():
        pid = await registry()
        worker, trapping, stranger = Worker(), await trapping_worker(), Worker()
        for number, each in enumerate((worker, trapping)):
            await each.do(Registry.register, "registry", number)
        ref = await stranger.do(monitor, worker.pid)
        await stop(pid, "normal")
        assert await trapping.all_heard() == [Exit(pid, "shutdown")]
        assert await stranger.all_heard() == [Down(ref, worker.pid, "shutdown", None)]


async def test_registry_tells_its_processes_why_it_stops() -> None:
    async with new_node():
        pid = await registry()
        trapping = await trapping_worker()
        await trapping.do(Registry.register, "registry", "a")
        await stop(pid, ("shutdown", "upgrade"))
        assert await trapping.all_heard() == [Exit(pid, ("shutdown", "upgrade"))]


async def test_registry_goes_on_when_a_registered_process_crashes_and_gets_no_signal_of_it() -> None:
    async with new_node():
        pid = await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "a")
        await worker.crashes()
        assert (pid.alive, len(process_of(pid).mailbox.queue)) == (True, 0)


async def test_registry_goes_on_when_a_process_crashes_that_linked_itself_with_it() -> None:
    async with new_node():
        pid = await registry()
        worker = Worker()
        await linked(worker, pid)
        await worker.do(Registry.register, "registry", "a")
        await worker.crashes()
        await steps()
        assert pid.alive
        assert Registry.count("registry") == 0


async def test_exit_signal_of_a_stranger_does_not_end_the_registry() -> None:
    async with new_node():
        pid = await registry()
        worker = Worker()
        await worker.do(exit, pid, ZeroDivisionError("not mine"))
        await steps()
        assert pid.alive


async def test_process_in_two_registries_is_gone_from_both() -> None:
    async with new_node():
        await registry(name="users")
        rooms = await registry("duplicate", name="rooms")
        worker = Worker()
        await worker.do(Registry.register, "users", "ada")
        await worker.do(Registry.register, "rooms", "attic")
        await worker.do(unlink, rooms)
        await stop(rooms)
        assert Registry.keys("users", worker.pid) == ["ada"]
        await worker.killed()
        assert Registry.count("users") == 0


async def test_entry_made_while_the_process_unwinds_goes_with_it() -> None:
    async def late() -> None:
        try:
            await receive(timeout=None)
        finally:
            Registry.register("registry", "late")

    async with new_node():
        await registry()
        pid = spawn(late)
        await steps()
        exit(pid)
        await wait_exit(pid, timeout=1)
        assert Registry.count("registry") == 0


async def test_unregistering_from_a_registry_that_has_ended_says_so() -> None:
    async with new_node():
        pid = await registry()
        worker = await trapping_worker()
        await worker.do(Registry.register, "registry", "a")
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(Registry.unregister, pid, "a")
        assert str(caught.value) == (
            "Registry.unregister(registry): expected a running registry, got <test.1 registry>, which has ended"
        )


async def test_registry_and_its_processes_start_again_under_their_supervisor() -> None:
    async def session(key: str) -> None:
        Registry.register("registry", key)
        await receive(timeout=None)

    async with new_node():
        children = [
            child_spec(Registry, "unique", name="registry"),
            child_spec(session, "a", id="a"),
            child_spec(session, "b", id="b"),
        ]
        await start(Supervisor, children, "rest_for_one")
        await steps()
        before = {entry.key: entry.pid for entry in Registry.select("registry")}
        first = whereis("registry")
        assert first is not None
        exit(first, "kill")
        await asyncio.sleep(1)
        after = {entry.key: entry.pid for entry in Registry.select("registry")}
        assert set(before) == set(after) == {"a", "b"}
        assert not set(before.values()) & set(after.values())


# --- keys of the user's own ----------------------------------------------------------------------


class Seat:
    """A key that can change, which no key should."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seat) and self.number == other.number

    def __hash__(self) -> int:
        return hash(self.number)


async def test_key_that_changed_is_gone_with_its_process_and_takes_no_others_with_it() -> None:
    async with new_node():
        await registry()
        worker, other = Worker(), Worker()
        seat = Seat(1)
        for key in (seat, "a"):
            await worker.do(Registry.register, "registry", key)
        await other.do(Registry.register, "registry", Seat(2))
        seat.number = 2
        await worker.killed()
        assert Registry.select("registry") == [(Seat(2), other.pid, None)]
        await other.do(Registry.register, "registry", Seat(1))
        assert Registry.count("registry") == 2


async def test_key_that_cannot_be_compared_is_not_registered_in_part() -> None:
    class Sour:
        def __eq__(self, other: object) -> bool:
            raise ArithmeticError("compared")

        def __hash__(self) -> int:
            return 1

    async with new_node():
        await registry("duplicate")
        worker, other = Worker(), Worker()
        await worker.do(Registry.register, "registry", Sour())
        with pytest.raises(ArithmeticError):
            await other.do(Registry.register, "registry", Sour())
        assert process_of(other.pid).owned is None
        assert Registry.count("registry") == 1
        await worker.killed()
        assert Registry.select("registry") == []


class Thing:
    """Something whose end can be seen."""


@pytest.mark.usefixtures("no_gc")
async def test_registry_that_has_ended_keeps_nothing_alive() -> None:
    async with new_node():
        pid = await registry()
        worker = await trapping_worker()
        thing = Thing()
        gone = weakref.ref(thing)
        await worker.do(Registry.register, "registry", "a", thing)
        del thing
        assert gone() is not None
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert gone() is None


@pytest.mark.usefixtures("no_gc")
async def test_registry_keeps_nothing_alive_of_a_process_that_has_ended() -> None:
    async with new_node():
        await registry()
        worker, thing = Worker(), Thing()
        gone: list[weakref.ref[object]] = [weakref.ref(worker.pid), weakref.ref(thing)]
        await worker.do(Registry.register, "registry", "a", thing)
        await worker.killed()
        del worker, thing
        await steps()
        assert [each() for each in gone] == [None, None]
