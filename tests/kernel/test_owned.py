# SPDX-License-Identifier: MIT
"""What a process owns goes with it."""

from __future__ import annotations

import logging

import pytest

from stanchion.errors import BadReturnError, InvalidOptionError, NameTakenError
from stanchion.kernel import Pid, Process, Via, disown, exit, find, monitor, own, receive, spawn, wait_exit
from stanchion.server import cast, send
from tests.kernel.helpers import Hearer, process_of, quick_node, sleeper, steps


class Thing:
    def __init__(self, log: list[str], name: str, then=lambda: None) -> None:
        self.log = log
        self.name = name
        self.then = then

    def release(self) -> None:
        self.log.append(self.name)
        self.then()

    def __repr__(self) -> str:
        return f"<thing {self.name}>"


def owner(*names: str, log: list[str]) -> tuple[Process, list[Thing]]:
    process = process_of(spawn(sleeper))
    things = [Thing(log, name) for name in names]
    for thing in things:
        own(process, thing)
    return process, things


async def test_exit_releases_what_the_process_owns_the_latest_first() -> None:
    async with quick_node():
        log: list[str] = []
        process, _ = owner("a", "b", "c", log=log)
        exit(process.pid, "kill")
        await wait_exit(process.pid, timeout=1)
        assert log == ["c", "b", "a"]
        assert process.owned is None


async def test_what_is_disowned_is_not_released() -> None:
    async with quick_node():
        log: list[str] = []
        process, (a, b) = owner("a", "b", log=log)
        disown(process, a)
        disown(process, a)
        assert process.owned == {b: None}
        disown(process, b)
        assert process.owned is None
        disown(process, b)
        exit(process.pid, "kill")
        await wait_exit(process.pid, timeout=1)
        assert log == []


async def test_it_is_gone_before_anyone_hears_of_the_exit() -> None:
    async with quick_node():
        log: list[str] = []
        pid = spawn(sleeper)

        async def watcher() -> None:
            monitor(pid)
            await receive(timeout=1)
            log.append("down")

        spawn(watcher)
        await steps()
        own(process_of(pid), Thing(log, "released"))
        exit(pid, "kill")
        await steps()
        assert log == ["released", "down"]


async def test_release_that_raises_is_logged_and_keeps_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():
        log: list[str] = []
        process, _ = owner("a", log=log)

        def fail() -> None:
            raise RuntimeError("no")

        own(process, Thing(log, "bad", fail))
        with caplog.at_level(logging.ERROR):
            exit(process.pid, "kill")
            await wait_exit(process.pid, timeout=1)
        assert log == ["bad", "a"]
        assert "release of <thing bad>, which sleeper <test.1> owned" in caplog.text


async def test_what_a_release_adds_is_released_too() -> None:
    async with quick_node():
        log: list[str] = []
        process, _ = owner(log=log)
        own(process, Thing(log, "first", lambda: own(process, Thing(log, "second"))))
        exit(process.pid, "kill")
        await wait_exit(process.pid, timeout=1)
        assert log == ["first", "second"]


# --- via addresses ---------------------------------------------------------------------------------


class Desk(Via):
    """An address in a plain dict."""

    def __init__(self, book: dict[str, Pid], key: str) -> None:
        self.book = book
        self.key = key

    def whereis(self) -> Pid | None:
        return self.book.get(self.key)

    def register(self, pid: Pid) -> None:
        if self.key in self.book:
            raise NameTakenError(self.key, repr(self.book[self.key]))
        self.book[self.key] = pid

    def unregister(self, pid: Pid) -> None:
        if self.book.get(self.key) is pid:
            del self.book[self.key]


async def test_process_is_known_by_its_via_address_from_its_start_to_its_exit() -> None:
    async with quick_node():
        book: dict[str, Pid] = {}
        desk = Desk(book, "7")
        pid = spawn(sleeper, name=desk)
        assert find(desk, "x") is pid
        assert pid.name is None
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert book == {}
        assert find(desk, "x") is None


async def test_via_address_is_free_before_anyone_hears_of_the_exit() -> None:
    async with quick_node():
        book: dict[str, Pid] = {}
        pid = spawn(sleeper, name=Desk(book, "7"))
        seen: list[object] = []

        class Watcher:
            def down(self, reason: object) -> None:
                seen.append(dict(book))

        from stanchion.kernel import watch

        watch(process_of(pid), Watcher())
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert seen == [{}]


async def test_taken_via_address_makes_no_process() -> None:
    async with quick_node() as node:
        desk = Desk({}, "7")
        first = spawn(sleeper, name=desk)
        with pytest.raises(NameTakenError):
            spawn(sleeper, name=desk)
        assert list(node.processes.values()) == [process_of(first)]


async def test_message_to_a_via_address_arrives() -> None:
    async with quick_node():
        book: dict[str, Pid] = {}
        hearer = Hearer()
        book["7"] = hearer.pid
        cast(Desk(book, "7"), "a cast")
        send(Desk(book, "7"), "a plain message")
        cast(Desk(book, "8"), "for nobody")
        await steps()
        assert hearer.heard == ["a cast", "a plain message"]


class Odd(Desk):
    """An address whose methods return what they should not."""

    def register(self, pid: Pid) -> bool:  # type: ignore[override]
        return False

    def whereis(self) -> str:  # type: ignore[override]
        return "7"

    def unregister(self, pid: Pid) -> None:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        return "<odd>"


async def test_via_address_that_says_no_by_what_it_returns_makes_no_process() -> None:
    async with quick_node() as node:
        with pytest.raises(BadReturnError) as error:
            spawn(sleeper, name=Odd({}, "7"))
        assert str(error.value) == (
            "Odd.register(): expected None as its return value, got False\n"
            "Fix: raise NameTakenError where another process is known by the address."
        )
        assert node.processes == {}


async def test_via_address_of_something_that_is_no_process_is_named() -> None:
    async with quick_node():
        with pytest.raises(BadReturnError) as error:
            cast(Odd({}, "7"), "hello")
        assert str(error.value) == "Odd.whereis(): expected a pid or None as its return value, got '7'"


async def test_via_address_that_fails_at_the_exit_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Unsure(Odd):
        register = Desk.register  # type: ignore[assignment]

    async with quick_node():
        pid = spawn(sleeper, name=Unsure({}, "7"))
        with caplog.at_level(logging.ERROR):
            exit(pid, "kill")
            await wait_exit(pid, timeout=1)
        assert "release of <registration as <odd>>, which sleeper <test.1> owned" in caplog.text


async def test_name_that_is_neither_word_nor_address_is_refused() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as error:
            spawn(sleeper, name=7)
        assert str(error.value) == "start of sleeper: name: expected a name (a string that is not empty), got 7"
