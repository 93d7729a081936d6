# SPDX-License-Identifier: MIT
"""Listeners are told of the entries that come and go."""

from __future__ import annotations

from stanchion.kernel import Exit, register, spawn
from stanchion.registry import Registered, Registry, Unregistered
from stanchion.telemetry import DEAD_LETTER, DROPPED
from tests.kernel.helpers import Events, sleeper
from tests.registry.helpers import Worker, linked, new_node, registry, trapping_worker


async def test_listener_hears_of_each_entry_that_is_made() -> None:
    async with new_node():
        ear = Worker(name="ear")
        pid = await registry("duplicate", "registry", ["ear"])
        worker = Worker()
        await worker.do(Registry.register, "registry", "news", 1)
        await worker.do(Registry.register, "registry", "news", 2)
        assert await ear.all_heard() == [
            Registered(pid, "news", worker.pid, 1),
            Registered(pid, "news", worker.pid, 2),
        ]


async def test_listener_hears_when_a_process_has_no_entry_under_a_key_any_more() -> None:
    async with new_node():
        ear = Worker(name="ear")
        pid = await registry("duplicate", "registry", ["ear"])
        worker = Worker()
        for value in (1, 2):
            await worker.do(Registry.register, "registry", "news", value)
        await ear.all_heard()
        await worker.do(Registry.unregister_match, "registry", "news", lambda value: value == 1)
        assert await ear.all_heard() == []
        await worker.do(Registry.unregister_match, "registry", "news", lambda value: value == 2)
        assert await ear.all_heard() == [Unregistered(pid, "news", worker.pid)]
        await worker.do(Registry.unregister, "registry", "news")
        assert await ear.all_heard() == []


async def test_listener_hears_of_an_exit_once_for_each_key_and_before_links_do() -> None:
    async with new_node():
        ear = await trapping_worker()
        register("ear", ear.pid)
        pid = await registry("duplicate", "registry", ["ear"])
        worker = Worker()
        await linked(ear, worker.pid)
        for key in ("a", "b", "a"):
            await worker.do(Registry.register, "registry", key)
        await ear.all_heard()
        reason = await worker.crashes()
        assert await ear.all_heard() == [
            Unregistered(pid, "a", worker.pid),
            Unregistered(pid, "b", worker.pid),
            Exit(worker.pid, reason),
        ]


async def test_listener_that_starts_again_hears_again() -> None:
    async with new_node():
        pid = await registry("unique", "registry", ["ear"])
        first = Worker(name="ear")
        await first.killed()
        second = Worker(name="ear")
        worker = Worker()
        await worker.do(Registry.register, "registry", "a")
        assert await second.all_heard() == [Registered(pid, "a", worker.pid, None)]


async def test_message_to_a_listener_that_is_not_there_is_a_dead_letter_event() -> None:
    async with new_node() as node:
        events = Events(node, DEAD_LETTER)
        pid = await registry("unique", "registry", ["ear"])
        worker = Worker()
        await worker.do(Registry.register, "registry", "a")
        assert events.all("recipient") == ["ear"]
        assert events.all("message") == [Registered(pid, "a", worker.pid, None)]
        assert Registry.count("registry") == 1


async def test_message_to_a_listener_whose_mailbox_is_full_is_dropped() -> None:
    async with new_node() as node:
        events = Events(node, DROPPED)
        spawn(sleeper, name="ear", mailbox=1)
        await registry("unique", "registry", ["ear"])
        worker = Worker()
        await worker.do(Registry.register, "registry", "a")
        assert events.told == []
        await worker.do(Registry.register, "registry", "b")
        assert events.all("recipient") == ["ear"]
