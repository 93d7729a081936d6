# SPDX-License-Identifier: MIT
"""What the error of a call whose time is up says: which limit it had, what the target was doing, what is known."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from stanchion.errors import CallExitError, CallTimeoutError
from stanchion.kernel import Node, Pid, Ref, deadline, exit, receive, spawn, wait_exit, whereis
from stanchion.server import NO_REPLY, Continue, GenServer, Reply, Stop, call, cast, multi_call, start, suspend
from stanchion.testing import wait_quiet
from stanchion.timeouts import TimeoutPolicy
from tests.kernel.helpers import quick_node, run_in_process, sleeper
from tests.server.servers import By, returns


class Clerk(GenServer):
    """Does what it is asked for, a string, in its own time: a number is seconds."""

    def init(self) -> None:
        self.senders: list[Any] = []

    async def handle_call(self, request: Any, sender: Any) -> Any:
        self.senders.append(sender)
        if request == "put off":
            return NO_REPLY
        return await asyncio.sleep(request)

    async def handle_cast(self, message: Any) -> None:
        await asyncio.sleep(message)


async def timed_out(pid: Ref, request: Any, **options: Any) -> CallTimeoutError:
    with pytest.raises(CallTimeoutError) as caught:
        await call(pid, request, **options)
    return caught.value


async def test_error_says_who_called_and_that_the_request_is_in_hand(node: Node) -> None:
    pid = await start(Clerk, name="clerk")

    async def customer() -> CallTimeoutError:
        return await timed_out(pid, 60)

    error = await run_in_process(customer)
    assert str(error) == (
        f"call to {pid!r} by body <test.2>: expected a reply to 60 within 5 s, got none; the request is being handled\n"
        "Limit: default = 5 s (code).\n"
        f"Target: Clerk {pid!r} has had 60 in hand for 5.01 s; no message waits in its mailbox.\n"
        "Fix: if the handler may take longer, pass timeout=; if it waits for this caller, that is a deadlock: "
        "use cast, or reply later."
    )
    assert (error.outcome, error.handled, error.waits_for) == ("in_hand", True, None)


async def test_error_says_that_the_request_waits_and_behind_what(node: Node) -> None:
    pid = await start(Clerk)
    cast(pid, 60)
    cast(pid, 1)
    await asyncio.sleep(2)
    error = await timed_out(pid, 0, timeout=3)
    assert str(error) == (
        f"call to {pid!r}: expected a reply to 0 within 3 s, got none; "
        "the request waits for its turn, and may yet be handled\n"
        "Limit: timeout=3.\n"
        f"Target: Clerk {pid!r} has had 60 in hand for 5.01 s; 2 messages wait in its mailbox.\n"
        "Fix: have it do less in one callback, share the work among several processes, or pass a longer timeout=."
    )


async def test_error_says_that_the_reply_was_put_off(node: Node) -> None:
    pid = await start(Clerk)
    error = await timed_out(pid, "put off", timeout=3)
    assert str(error) == (
        f"call to {pid!r}: expected a reply to 'put off' within 3 s, got none; "
        "the request was taken, and the reply put off\n"
        "Limit: timeout=3.\n"
        f"Target: Clerk {pid!r} has no message in hand; no message waits in its mailbox.\n"
        "Fix: have it call reply() in every case, or pass a longer timeout= if that takes longer."
    )


async def test_error_says_what_the_deadline_cut(node: Node) -> None:
    pid = await start(Clerk)
    with pytest.raises(CallTimeoutError) as caught:
        async with deadline(2):
            await call(pid, 60, timeout=None)
    assert caught.value.rule == "timeout=None"
    assert str(caught.value.cut_by).startswith("the deadline of 2 s set at ")
    assert "\nLimit: what was left of the deadline of 2 s set at " in str(caught.value)
    assert "; without it: timeout=None.\n" in str(caught.value)
    assert str(caught.value).endswith("\nFix: give the deadline more seconds, or do less under it.")


async def test_timeout_that_is_nearer_than_the_deadline_is_not_cut(node: Node) -> None:
    pid = await start(Clerk)
    async with deadline(20):
        error = await timed_out(pid, 60, timeout=2)
    assert (error.rule, error.cut_by) == ("timeout=2", None)


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (TimeoutPolicy(5.0, services={Clerk: 0.01}), f"service '{__name__}.Clerk' = 0.01 s (code)"),
        (TimeoutPolicy(0.01, factor=2.0), "default = 0.01 s (code), times 2"),
        (TimeoutPolicy(0.001, minimum=0.01), "default = 0.001 s (code), raised to the minimum of 0.01 s"),
        (TimeoutPolicy(5.0, maximum=0.01), "default = 5 s (code), cut to the maximum of 0.01 s"),
    ],
)
async def test_error_says_which_rule_gave_the_limit(node: Node, policy: TimeoutPolicy, rule: str) -> None:
    async with quick_node(clock=node.clock, timeouts=policy):
        error = await timed_out(await start(Clerk, timeout=1), 60)
        assert error.rule == rule


async def test_error_of_a_plain_process_says_what_it_received_last(node: Node) -> None:
    pid = spawn(sleeper)
    error = await timed_out(pid, "anybody?", timeout=1)
    assert error.doing == f"sleeper {pid!r} has no message in hand; 1 message waits in its mailbox"
    exit(pid, "kill")


async def test_error_says_that_the_target_is_in_its_init(node: Node) -> None:
    class Slow(GenServer):
        async def init(self) -> None:
            await asyncio.sleep(3)

    starting = asyncio.create_task(start(Slow, name="slow"))
    await wait_quiet()
    error = await timed_out("slow", 1, timeout=1)
    assert error.doing == f"Slow {whereis('slow')!r} has been in its init() for 1.01 s; 1 message waits in its mailbox"
    await starting


async def test_error_says_that_the_target_is_in_its_terminate(node: Node) -> None:
    class Slow(By):
        async def terminate(self, reason: Any) -> None:
            await asyncio.sleep(3)

    pid = await start(Slow, name="slow")
    error = await timed_out("slow", returns(Reply(1, then=Stop("normal"))), timeout=1)
    assert error.doing == f"Slow {pid!r} has been in its terminate() for 1.01 s; no message waits in its mailbox"
    assert error.outcome == "in_hand"


async def test_error_says_that_the_target_is_in_what_its_init_left_for_later(node: Node) -> None:
    class Slow(GenServer):
        def init(self) -> Continue:
            return Continue("load")

        async def handle_continue(self, arg: Any) -> None:
            await asyncio.sleep(3)

    pid = await start(Slow)
    error = await timed_out(pid, 1, timeout=1)
    assert error.doing == f"Slow {pid!r} has had Continue('load') in hand for 1.01 s; 1 message waits in its mailbox"


async def test_error_says_that_the_target_does_not_end_although_it_was_told_to(node: Node) -> None:
    async def body() -> None:
        await receive(timeout=None)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(2)

    pid = spawn(body)
    calling = asyncio.create_task(timed_out(pid, "anybody?", timeout=1))
    await wait_quiet()
    exit(pid, "kill")
    error = await calling
    assert error.doing == f"body {pid!r} was told to exit, and has not ended; no message waits in its mailbox"


async def test_error_says_that_the_target_is_suspended(node: Node) -> None:
    pid = await start(Clerk)
    await suspend(pid)
    error = await timed_out(pid, 0, timeout=1)
    assert error.doing == f"Clerk {pid!r} is suspended; 1 message waits in its mailbox"


async def test_error_says_no_time_where_none_was_taken(node: Node) -> None:
    """The clock is not read for each of several casts that wait."""
    pid = await start(Clerk)
    cast(pid, 1)
    cast(pid, 60)
    error = await timed_out(pid, 0, timeout=3)
    assert error.doing == f"Clerk {pid!r} has had 60 in hand; 1 message waits in its mailbox"


async def test_two_that_wait_for_each_other_are_called_a_deadlock(node: Node) -> None:
    pids: list[Pid] = []

    class Asks(GenServer):
        async def handle_call(self, request: Any, sender: Any) -> Any:
            if request == "go":
                return str(await timed_out(pids[1], "ask back", timeout=2))
            return await call(pids[0], "deadlock", timeout=10) if request == "ask back" else None

    pids += [await start(Asks, name="first"), await start(Asks, name="second")]
    text = await call(pids[0], "go")
    await asyncio.sleep(1)  # until they are done with each other
    assert text == (
        f"call to {pids[1]!r} by Asks {pids[0]!r}: expected a reply to 'ask back' within 2 s, got none; "
        "the request is being handled\n"
        "Limit: timeout=2.\n"
        f"Target: Asks {pids[1]!r} has had 'ask back' in hand for 2.01 s; no message waits in its mailbox.\n"
        f"Deadlock: the target waits for Asks {pids[0]!r}.\n"
        "Fix: have one of them use cast, or return NO_REPLY and reply later."
    )


async def test_deadlock_is_found_through_others(node: Node) -> None:
    pids: list[Pid] = []

    class Asks(GenServer):
        def init(self, number: int) -> None:
            self.number = number

        async def handle_call(self, request: Any, sender: Any) -> Any:
            if self.number == 0 and request == "go":
                return await timed_out(pids[1], "on", timeout=2)
            return await call(pids[self.number + 1 - 3], "on", timeout=10) if self.number else None

    pids += [await start(Asks, number) for number in range(3)]
    error = await call(pids[0], "go")
    await asyncio.sleep(1)  # until they are done with each other
    assert isinstance(error, CallTimeoutError)
    assert error.waits_for == f"Asks {pids[2]!r}, which waits for Asks {pids[0]!r}"


async def test_search_for_a_deadlock_has_an_end(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.kernel._doing._LOOKED_AT", 10)
    clerk = await start(Clerk)
    errors: list[CallTimeoutError] = []

    async def body() -> None:
        errors.append(await timed_out(clerk, 60, timeout=2))

    caller = spawn(body)
    cast(caller, "what nobody waits for")
    for _ in range(20):
        spawn(_calls, caller)
    await wait_exit(caller, timeout=5)
    assert errors[0].waits_for is None


async def _calls(pid: Pid) -> None:
    with suppress(CallExitError):
        await call(pid, "anybody?")


async def test_multi_call_says_the_rule_of_the_first_that_is_there(node: Node) -> None:
    pids = [await start(Clerk), await start(By)]
    error = dict((await multi_call(pids, 60)).failures)[pids[0]]
    assert isinstance(error, CallTimeoutError)
    assert error.rule == "default = 5 s (code)"
