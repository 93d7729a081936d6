# SPDX-License-Identifier: MIT
"""What an exit does, in which order."""

from __future__ import annotations

import asyncio

from stanchion.errors import CallExitError
from stanchion.kernel import ExitReason, exit, link, receive, spawn, trap_exit, wait_exit, watch, whereis
from stanchion.server import call
from tests.kernel.helpers import Hearer, process_of, quick_node, sleeper, steps


class Probe:
    """A token, a monitor and a deadline in one, that notes when it hears what."""

    deadline = None

    def __init__(self, log: list[str], look=lambda: None) -> None:
        self.log = log
        self.look = look

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        self.log.append(f"abandoned handled={handled} {self.look()}")

    def down(self, reason: ExitReason) -> None:
        self.log.append(f"down {self.look()}")

    def processed(self) -> None:
        self.log.append("processed")


async def test_name_is_free_before_anybody_hears_of_the_exit() -> None:
    async with quick_node():
        log: list[str] = []
        pid = spawn(sleeper, name="clerk")
        probe = Probe(log, look=lambda: (whereis("clerk"), pid.alive))
        watch(process_of(pid), probe)
        process_of(pid).mailbox.put(("cast", "m", probe))
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert log == ["abandoned handled=False (None, False)", "down (None, False)"]


async def test_callers_are_answered_before_links_and_monitors() -> None:
    async with quick_node():
        log: list[str] = []

        async def neighbour() -> None:
            trap_exit()
            link(pid)
            await receive(timeout=None)
            log.append("exit")

        async def caller() -> None:
            try:
                await call(pid, "question", timeout=None)
            except CallExitError:
                log.append("answered")

        pid = spawn(sleeper)
        spawn(neighbour)
        waiting = asyncio.create_task(caller())
        await steps()
        watch(process_of(pid), Probe(log))
        exit(pid, "kill")
        await waiting
        await steps()
        # The watcher hears in the step of the exit; those two only then get theirs, in the order of being told.
        assert log == ["down None", "answered", "exit"]


async def test_waiting_senders_are_told_in_the_order_in_which_they_came() -> None:
    async with quick_node():
        log: list[str] = []

        async def busy() -> None:
            await receive(timeout=None)
            await receive(timeout=None)
            await sleeper()

        pid = spawn(busy)
        process = process_of(pid)
        for name in ("first", "second", "third"):
            process.mailbox.put(("cast", name, Probe(log, look=lambda name=name: name)))
        await steps()
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert log == ["processed", "abandoned handled=True second", "abandoned handled=False third"]


async def test_name_can_be_taken_again_by_whoever_hears_of_the_exit() -> None:
    async with quick_node():
        old = spawn(sleeper, name="clerk")
        successors: list[object] = []

        class Successor:
            def down(self, reason: ExitReason) -> None:
                successors.append(spawn(sleeper, name="clerk"))

        watch(process_of(old), Successor())
        exit(old, "kill")
        await wait_exit(old, timeout=1)
        assert successors == [whereis("clerk")]
        assert repr(old) == "<test.1 clerk>"


async def test_exit_is_told_once_even_when_everything_happens_at_once() -> None:
    async with quick_node():
        target = spawn(sleeper)
        hearer = Hearer(trap_exit, lambda: link(target))
        await steps()
        exit(target, "shutdown")
        exit(target, "kill")
        process_of(target).task.cancel()
        await steps()
        assert [message.reason for message in hearer.heard] == ["killed"]
