# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import CallExitError, InvalidOptionError, NotInProcessError, ReceiveError
from stanchion.kernel import CallRequest, Pid, receive, self_pid, spawn, wait_exit
from stanchion.server import GenServer, call, cast, reply, send, start, stop
from tests.kernel.helpers import Hearer, process_of, quick_node, run_in_process, sleeper, steps


async def test_receive_returns_messages_in_the_order_of_arrival() -> None:
    async with quick_node():
        hearer = Hearer()
        cast(hearer.pid, 1)
        send(hearer.pid, 2)
        cast(hearer.pid, 3)
        await steps()
        assert hearer.heard == [1, 2, 3]


async def test_receive_hands_a_call_over_and_anybody_may_reply() -> None:
    async with quick_node():

        async def body() -> None:
            request = await receive(timeout=None)
            assert isinstance(request, CallRequest)
            assert reply(request.sender, f"hello, {request.request}")

        assert await call(spawn(body), "world") == "hello, world"


async def test_caller_of_a_plain_process_is_answered_later_or_when_it_ends() -> None:
    async with quick_node():

        async def body() -> None:
            first = await receive(timeout=None)
            await receive(timeout=None)
            assert isinstance(first, CallRequest)
            reply(first.sender, "answered late")

        pid = spawn(body)
        calls = [asyncio.create_task(call(pid, number, timeout=None)) for number in range(3)]
        await asyncio.wait(calls)
        assert await calls[0] == "answered late"
        with pytest.raises(CallExitError, match=r"got its exit with reason 'normal'$"):
            await calls[1]
        with pytest.raises(CallExitError, match=r"got its exit with reason 'normal'; the request was not handled$"):
            await calls[2]


async def test_receive_gives_up_after_its_timeout() -> None:
    async with quick_node():
        with pytest.raises(TimeoutError) as caught:
            await run_in_process(lambda: receive(timeout=0.01))
        assert str(caught.value) == "receive(): expected a message within 0.01 s, got none"


async def test_receive_with_timeout_zero_takes_what_is_there() -> None:
    async with quick_node():

        async def body() -> object:
            cast(self_pid(), "there")
            return await receive(timeout=0)

        assert await run_in_process(body) == "there"


async def test_cancelled_receive_loses_no_message() -> None:
    async with quick_node():

        async def body() -> object:
            waiting = asyncio.create_task(receive(timeout=None))
            await asyncio.sleep(0)
            cast(self_pid(), "kept")
            waiting.cancel()
            await asyncio.wait([waiting])
            return await receive(timeout=0)

        assert await run_in_process(body) == "kept"


async def test_receive_survives_a_message_that_is_withdrawn_between_wake_and_read() -> None:
    async with quick_node():
        hearer = Hearer()
        await steps()
        mailbox = process_of(hearer.pid).mailbox
        envelope = ("cast", "withdrawn", None)
        mailbox.put(envelope)
        assert mailbox.withdraw(envelope)
        await steps()
        assert hearer.heard == []
        cast(hearer.pid, "next")
        await steps()
        assert hearer.heard == ["next"]


async def test_stop_ends_a_plain_process_after_the_messages_before_it() -> None:
    async with quick_node():
        hearer = Hearer()
        cast(hearer.pid, 1)
        await stop(hearer.pid, ("shutdown", "x"), timeout=1)
        assert hearer.heard == [1]


async def test_message_counts_as_processed_when_the_next_one_is_asked_for() -> None:
    async with quick_node():
        log: list[str] = []

        class Token:
            deadline = None

            def processed(self) -> None:
                log.append("processed")

        async def body() -> None:
            await receive(timeout=None)
            log.append("first in hand")
            await receive(timeout=None)
            log.append("second in hand")

        pid = spawn(body)
        for _ in range(2):
            process_of(pid).mailbox.put(("cast", None, Token()))
        await wait_exit(pid, timeout=1)
        assert log == ["first in hand", "processed", "second in hand", "processed"]


async def test_process_that_feeds_itself_lets_other_tasks_run() -> None:
    async with quick_node():
        count = 0

        async def body() -> None:
            nonlocal count
            while True:
                cast(self_pid(), 1)
                await receive(timeout=None)
                count += 1

        spawn(body)
        await asyncio.sleep(0)
        assert 0 < count <= 256


async def test_receive_in_a_server_is_refused_and_the_message_left_to_it() -> None:
    async with quick_node():

        class Impatient(GenServer):
            async def handle_call(self, request, sender):
                with pytest.raises(ReceiveError) as caught:
                    await receive(timeout=0)
                return str(caught.value)

        pid = await start(Impatient)
        assert await call(pid, "question") == (
            "receive() in Impatient <test.1>: expected to be the mailbox's one reader, got a server, whose loop reads it\n"
            "Fix: handle the message in handle_info(), or receive it in a process of its own, made by spawn()."
        )


async def test_second_reader_is_refused_and_the_first_goes_on() -> None:
    async with quick_node():

        async def body() -> object:
            first = asyncio.create_task(receive(timeout=None))
            await asyncio.sleep(0)
            with pytest.raises(ReceiveError) as caught:
                await receive(timeout=None)
            cast(self_pid(), "for the first")
            return str(caught.value), await first

        text, heard = await run_in_process(body)
        assert text == (
            "receive() in body <test.1>: expected to be the mailbox's one reader, "
            "got another task of the process that waits for a message already\n"
            "Fix: receive in one task, and give the others a process of their own."
        )
        assert heard == "for the first"


async def test_receive_belongs_to_processes() -> None:
    async with quick_node():
        with pytest.raises(
            NotInProcessError, match=r"^receive\(\): expected to run inside a process, got code outside"
        ):
            await receive(timeout=None)


async def test_receive_refuses_a_wrong_timeout() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(lambda: receive(timeout=-1))
        assert str(caught.value) == (
            "receive(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"
        )


async def test_self_pid_is_the_pid_that_spawn_returned() -> None:
    async with quick_node():
        pids: list[Pid] = []

        async def body() -> None:
            pids.append(self_pid())

        pid = spawn(body)
        await wait_exit(pid, timeout=1)
        assert pids == [pid]
        with pytest.raises(NotInProcessError, match=r"^self_pid\(\): "):
            self_pid()


async def test_waiting_process_costs_no_timer() -> None:
    async with quick_node() as node:
        spawn(sleeper)
        await steps()
        assert node.wheel._timer is None
