# SPDX-License-Identifier: MIT
"""Messages with a deadline at a plain process, and what becomes of them when nobody begins with them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import CallTimeoutError
from stanchion.kernel import (
    Down,
    Exit,
    MailboxPolicy,
    Node,
    NodeStatistics,
    Notification,
    deadline,
    exit,
    receive,
    remaining,
    spawn,
    wait_exit,
)
from stanchion.server import call, cast, reply, send, start
from stanchion.telemetry import DEAD_LETTER, DROPPED, MESSAGE_EXPIRED, PROCESS_EXIT
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Events, Hearer, quick_node, sleeper, steps
from tests.server.servers import Counter


class Receiver:
    """A plain process that notes what it receives, and what it has left then; it takes its time over each message."""

    def __init__(self, takes: float = 0.0) -> None:
        self.seen: list[tuple[Any, float | None]] = []
        self.pid = spawn(self._body, takes)

    async def _body(self, takes: float) -> None:
        while True:
            message = await receive(timeout=None)
            self.seen.append((message, remaining()))
            await asyncio.sleep(takes)


async def test_plain_process_has_the_deadline_of_the_message_in_hand(node: Node) -> None:
    receiver = Receiver()
    cast(receiver.pid, "before")
    async with deadline(2):
        cast(receiver.pid, "a cast")
        send(receiver.pid, "a plain send")
    cast(receiver.pid, "after")
    await asyncio.sleep(1)
    assert receiver.seen == [("before", None), ("a cast", 2), ("a plain send", 2), ("after", None)]


async def test_plain_process_does_not_get_a_message_whose_deadline_has_passed(node: Node) -> None:
    events = Events(node, MESSAGE_EXPIRED)
    receiver = Receiver(takes=3)
    cast(receiver.pid, "slow")
    async with deadline(2):
        cast(receiver.pid, "late")
        send(receiver.pid, "late too")
    cast(receiver.pid, "next")
    await asyncio.sleep(5)
    assert receiver.seen == [("slow", None), ("next", None)]
    about = {"node": node.name, "pid": receiver.pid, "name": None}
    assert events.told == [
        (MESSAGE_EXPIRED, {"count": 1, "lateness": 1}, {**about, "kind": "cast", "message": "late"}),
        (MESSAGE_EXPIRED, {"count": 1, "lateness": 1}, {**about, "kind": "info", "message": "late too"}),
    ]
    assert node.statistics() == NodeStatistics(processes=1, messages=0, late_replies=0, expired=2)


async def test_call_to_a_plain_process_that_comes_too_late_to_it_is_known_not_to_have_been_handled(node: Node) -> None:
    async def body() -> None:
        await asyncio.sleep(3)
        await receive(timeout=None)

    pid = spawn(body)
    with pytest.raises(CallTimeoutError) as caught:
        async with deadline(2):
            await call(pid, "late", timeout=None)
    assert (caught.value.outcome, caught.value.handled) == ("expired", False)
    await asyncio.sleep(2)
    assert node.statistics().expired == 1
    exit(pid, "kill")


async def test_plain_process_that_answers_a_call_has_the_callers_deadline(node: Node) -> None:
    async def body() -> None:
        request: Any = await receive(timeout=None)
        reply(request.sender, remaining())

    async with deadline(2):
        assert await call(spawn(body), "how long?") == 2


async def test_nearer_deadline_counts_when_a_message_comes_inside_of_a_scope(node: Node) -> None:
    seen: list[float | None] = []

    async def body() -> None:
        async with deadline(5):
            await receive(timeout=None)
            seen.append(remaining())
            await receive(timeout=None)
            seen.append(remaining())
            await receive(timeout=None)
            seen.append(remaining())
        seen.append(remaining())

    pid = spawn(body)
    await wait_quiet()
    async with deadline(2):
        cast(pid, 1)
    async with deadline(9):
        cast(pid, 2)
    cast(pid, 3)
    await wait_exit(pid, timeout=1)
    assert seen == [2, 5, 5, None]


async def test_deadline_of_a_message_ends_with_it_when_the_next_comes_inside_of_a_scope(node: Node) -> None:
    seen: list[float | None] = []

    async def body() -> None:
        await receive(timeout=None)
        async with deadline(5):
            seen.append(remaining())
            await receive(timeout=None)
        seen.append(remaining())
        await receive(timeout=None)
        seen.append(remaining())

    pid = spawn(body)
    async with deadline(2):
        cast(pid, 1)
    for message in (2, 3):
        cast(pid, message)
    await wait_exit(pid, timeout=1)
    assert seen == [2, 2, None]


@pytest.mark.parametrize("message", [Exit, Down])
def test_news_is_a_notification(message: type) -> None:
    assert issubclass(message, Notification)


async def test_news_has_no_deadline(node: Node) -> None:
    receiver = Receiver(takes=3)
    cast(receiver.pid, "slow")
    async with deadline(2):
        send(receiver.pid, news := Exit(receiver.pid, "normal"))
    await asyncio.sleep(4)
    assert receiver.seen == [("slow", None), (news, None)]


async def test_message_with_a_deadline_that_nobody_saw_is_told_as_any_other(node: Node) -> None:
    events = Events(node, DEAD_LETTER, PROCESS_EXIT)
    pid = spawn(sleeper)
    async with deadline(2):
        cast(pid, "unseen")
    exit(pid, "kill")
    await wait_exit(pid, timeout=1)
    assert [(event, about["reason"]) for event, _, about in events.told] == [
        (DEAD_LETTER, "noproc"),
        (PROCESS_EXIT, "killed"),
    ]


async def test_message_with_a_deadline_in_hand_is_waited_for_by_nobody(node: Node) -> None:
    events = Events(node, DEAD_LETTER, PROCESS_EXIT)
    receiver = Receiver(takes=60)
    async with deadline(2):
        cast(receiver.pid, "in hand")
    await wait_quiet()
    exit(receiver.pid, "kill")
    await wait_exit(receiver.pid, timeout=1)
    assert [(event, about["heard"]) for event, _, about in events.told] == [(PROCESS_EXIT, True)]  # by wait_exit


async def test_message_with_a_deadline_to_nobody_is_told_as_any_other(node: Node) -> None:
    events = Events(node, DEAD_LETTER)
    hearer = Hearer()
    exit(hearer.pid, "kill")
    await wait_exit(hearer.pid, timeout=1)
    async with deadline(2):
        cast(hearer.pid, "to nobody")
        cast("nobody", "to nobody")
    assert events.all("recipient") == [hearer.pid, "nobody"]


async def test_message_with_a_deadline_that_finds_no_room_is_told_as_any_other(node: Node) -> None:
    events = Events(node, DROPPED)
    rejects = spawn(sleeper, mailbox=1)
    drops = spawn(sleeper, mailbox=MailboxPolicy(1, "drop_oldest"))
    await wait_quiet()
    async with deadline(2):
        for pid in (rejects, drops):
            cast(pid, 1)
            cast(pid, 2)
        await wait_quiet()
    assert [(about["message"], about["reason"]) for _, _, about in events.told] == [(2, "overflow"), (1, "drop_oldest")]
    exit(rejects, "kill")
    exit(drops, "kill")


async def test_statistics_count_processes_and_the_messages_that_wait(node: Node) -> None:
    assert node.statistics() == NodeStatistics(processes=0, messages=0, late_replies=0, expired=0)
    pid = spawn(sleeper)
    await start(Counter)
    cast(pid, 1)
    cast(pid, 2)
    assert node.statistics() == NodeStatistics(processes=2, messages=2, late_replies=0, expired=0)
    exit(pid, "kill")


async def test_message_that_is_not_begun_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node():
        hearer = Hearer()
        async with deadline(0):
            cast(hearer.pid, "late")
        await steps()
        assert hearer.heard == []
        assert "message to <test.1> was not handled (its deadline has passed): 'late'" in caplog.text
