# SPDX-License-Identifier: MIT
"""A mailbox with a limit: what it takes, and what becomes of the rest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import InvalidOptionError
from stanchion.kernel import (
    CAST,
    Deadline,
    Envelope,
    Exit,
    LimitedMailbox,
    MailboxPolicy,
    Node,
    exit,
    link,
    receive,
    spawn,
    trap_exit,
    wait_exit,
)
from stanchion.server import cast
from stanchion.telemetry import DROPPED
from tests.kernel.helpers import Events, Hearer, process_of, quick_node, sleeper, steps


class Waiting:
    """A token that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.deadline: Deadline | None = None

    def abandoned(self, reason: object, *, handled: bool, crashed: bool = False) -> None:
        self.told.append(f"abandoned: {reason}, {handled=}")

    def processed(self) -> None:
        self.told.append("processed")

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        raise AssertionError("never refused here")

    def displaced(self) -> None:
        self.told.append("displaced")

    def overdue(self) -> None:
        raise AssertionError("never overdue here")


def envelope(message: object) -> Envelope:
    return (CAST, message, Waiting())


def mailbox(limit: int | None, overflow: Any = "reject", *, system_first: bool = False) -> LimitedMailbox:
    node = Node()
    node.loop = asyncio.get_running_loop()
    return LimitedMailbox(node, MailboxPolicy(limit, overflow, system_first=system_first))


def messages(box: LimitedMailbox) -> list[object]:
    return [message for _, message, _ in box.queue]


def filled(box: LimitedMailbox, count: int) -> list[Envelope]:
    """Put so many messages, numbered from 1."""
    envelopes = [envelope(number) for number in range(1, count + 1)]
    assert [box.put(one) for one in envelopes] == [None] * count
    return envelopes


# --- the option ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((0,), {}), "MailboxPolicy(limit): expected a whole number >= 1, got 0"),
        (
            ((9, "drop_old"), {}),
            (
                "MailboxPolicy(overflow): expected one of 'reject', 'drop_newest', 'drop_oldest', 'block', got 'drop_old'\n"
                "Fix: write 'drop_oldest'."
            ),
        ),
        (
            ((None, "block"), {}),
            (
                "MailboxPolicy(limit): expected a whole number >= 1 with overflow='block', got None, with which no mailbox "
                "is ever full\nFix: write MailboxPolicy(100, 'block'), say."
            ),
        ),
        (((9,), {"system_first": 1}), "MailboxPolicy(system_first): expected True or False, got 1"),
    ],
)
def test_policy_refuses_what_it_does_not_know(arguments: tuple[Any, Any], text: str) -> None:
    args, options = arguments
    with pytest.raises(InvalidOptionError) as caught:
        MailboxPolicy(*args, **options)
    assert str(caught.value) == text


def test_policy_shows_what_it_says() -> None:
    assert repr(MailboxPolicy(9, "block")) == "MailboxPolicy(9, 'block', system_first=False)"


# --- the limit -------------------------------------------------------------------------------------


async def test_full_mailbox_rejects_until_there_is_room() -> None:
    box = mailbox(2)
    filled(box, 2)
    assert (box.put(envelope(3)), box.overflows) == ("overflow", 1)
    box.queue.popleft()
    assert (box.put(envelope(4)), messages(box), box.overflows) == (None, [2, 4], 1)


async def test_system_messages_come_in_beyond_the_limit_and_take_no_place() -> None:
    box = mailbox(2)
    box.put_system(envelope("signal"))
    filled(box, 2)
    box.put_system(envelope("signal"))
    assert box.put(envelope(3)) == "overflow"
    assert messages(box) == ["signal", 1, 2, "signal"]
    assert (box.queue[0][1], box.queue[-1][1]) == ("signal", "signal")
    assert [message for _, message, _ in reversed(box.queue)] == ["signal", 2, 1, "signal"]
    assert [box.queue.popleft()[1] for _ in range(2)] == ["signal", 1]
    assert (box.put(envelope(4)), messages(box)) == (None, [2, "signal", 4])


async def test_mailbox_is_a_plain_queue_again_when_neither_a_signal_nor_a_sender_in_line_is_left() -> None:
    box = mailbox(2, "block")
    filled(box, 2)
    queue = box.queue
    box.put_system(envelope("signal"))
    box.line_up(envelope(3))
    plain = []
    while box.queue:
        message = box.queue.popleft()[1]
        plain.append((message, type(box.queue) is type(queue)))
    assert plain == [(1, False), (2, False), ("signal", True), (3, True)]
    filled(box, 2)
    box.line_up(envelope(3))
    box.line_up(envelope(4))
    plain = []
    while box.queue:
        message = box.queue.popleft()[1]
        plain.append((message, type(box.queue) is type(queue)))
    assert plain == [(1, False), (2, True), (3, True), (4, True)]


async def test_withdrawn_messages_leave_their_places() -> None:
    box = mailbox(2)
    box.put_system(signal := envelope("signal"))
    first, second = filled(box, 2)
    assert box.withdraw(signal)
    assert box.put(envelope(3)) == "overflow"
    assert box.withdraw(first)
    assert not box.withdraw(first)
    assert (box.put(envelope(4)), messages(box)) == (None, [2, 4])
    assert box.withdraw(second)


async def test_closed_mailbox_takes_nothing_and_lets_nobody_stand_in_line() -> None:
    box = mailbox(1, "block")
    box.closed = True
    box.put_system(envelope("signal"))
    assert (box.put(envelope(1)), box.line_up(envelope(1)), box.refusal_of(1)) == ("noproc", False, "noproc")
    assert not box.queue


async def test_reader_wakes_for_a_message_and_for_a_signal() -> None:
    box = mailbox(2)
    for put in (box.put, box.put_system):
        waiter = box.wait()
        put(envelope(1))
        assert waiter.done()


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        ("reject", [None, "overflow", "overflow"]),
        ("block", [None, "overflow", "overflow"]),
        ("drop_newest", [None, "drop_newest", "drop_newest"]),
        ("drop_oldest", [None, None, "overflow"]),
    ],
)
async def test_refusal_of_tells_what_so_many_puts_would_meet(overflow: str, expected: list[object]) -> None:
    box = mailbox(2, overflow)
    box.put_system(envelope("signal"))
    filled(box, 1)
    assert [box.refusal_of(count) for count in (1, 2, 3)] == expected


# --- drop_newest, drop_oldest ----------------------------------------------------------------------


async def test_mailbox_that_drops_the_newest_refuses_it_for_good() -> None:
    box = mailbox(1, "drop_newest")
    filled(box, 1)
    assert (box.put(envelope(2)), messages(box), box.overflows) == ("drop_newest", [1], 1)


@pytest.mark.parametrize("signals", [0, 2])
async def test_mailbox_that_drops_the_oldest_takes_the_new_one_and_tells_the_other_sender(signals: int) -> None:
    box = mailbox(2, "drop_oldest")
    for _ in range(signals):
        box.put_system(envelope("signal"))
    envelopes = [*filled(box, 2), envelope(3), envelope(4)]
    assert [box.put(one) for one in envelopes[2:]] == [None, None]
    assert messages(box) == [*["signal"] * signals, 3, 4]
    await steps()
    assert [one[2].told for one in envelopes] == [["displaced"], ["displaced"], [], []]  # type: ignore[union-attr]
    assert box.overflows == 2


async def test_dropped_casts_are_events_that_say_why() -> None:
    async with quick_node() as node:
        events = Events(node, DROPPED)
        for overflow in ("reject", "drop_newest", "drop_oldest", "block"):
            pid = spawn(sleeper, mailbox=MailboxPolicy(1, overflow))
            cast(pid, "first")
            cast(pid, "second")
            await steps()
        assert events.all("reason") == ["overflow", "drop_newest", "drop_oldest", "overflow"]
        assert events.all("message") == ["second", "second", "first", "second"]


async def test_who_hears_of_a_dropped_message_may_send_to_the_same_mailbox() -> None:
    async with quick_node() as node:
        pid = spawn(sleeper, mailbox=MailboxPolicy(2, "drop_oldest"))

        def handler(event: object, measurements: object, metadata: Any) -> None:
            if metadata["message"] == 1:
                cast(pid, "again")

        node.telemetry.attach(DROPPED, handler)
        for number in (1, 2, 3):
            cast(pid, number)
        await steps()
        assert [message for _, message, _ in process_of(pid).mailbox.queue] == [3, "again"]


# --- block -----------------------------------------------------------------------------------------


async def test_senders_in_line_come_in_one_by_one_and_nobody_overtakes_them() -> None:
    box = mailbox(1, "block")
    filled(box, 1)
    placed: list[int] = []
    assert [box.put(envelope(2)), box.line_up(envelope(2), lambda: placed.append(2))] == ["overflow", True]
    assert box.line_up(envelope(3))
    assert (box.in_line, messages(box), placed) == (2, [1], [])
    assert box.queue.popleft()[1] == 1
    assert (box.put(envelope(4)), messages(box), placed) == ("overflow", [2], [2])
    assert [box.queue.popleft()[1] for _ in range(2)] == [2, 3]
    assert (box.in_line, box.put(envelope(5))) == (0, None)


async def test_withdrawn_message_makes_room_for_the_first_in_line() -> None:
    box = mailbox(1, "block")
    (first,) = filled(box, 1)
    box.line_up(envelope(2))
    box.withdraw(first)
    assert (messages(box), box.in_line) == ([2], 0)


async def test_sender_leaves_the_line() -> None:
    box = mailbox(1, "block")
    (first,) = filled(box, 1)
    second, third = envelope(2), envelope(3)
    box.line_up(second)
    box.line_up(third)
    assert [box.leave_line(first), box.leave_line(second), box.leave_line(second)] == [False, True, False]
    assert [box.withdraw(third), box.in_line, messages(box)] == [True, 0, [1]]


async def test_system_message_that_is_read_lets_nobody_in() -> None:
    box = mailbox(1, "block")
    box.put_system(envelope("signal"))
    filled(box, 1)
    box.line_up(envelope(2))
    assert box.queue.popleft()[1] == "signal"
    assert (messages(box), box.in_line) == ([1], 1)


@pytest.mark.parametrize("overflow", ["reject", "drop_newest", "drop_oldest"])
async def test_only_a_mailbox_that_blocks_has_a_line(overflow: str) -> None:
    box = mailbox(1, overflow)
    filled(box, 1)
    assert (box.line_up(envelope(2)), box.in_line) == (False, 0)


async def test_senders_in_line_hear_of_the_exit_after_those_in_the_mailbox() -> None:
    async with quick_node():
        pid = spawn(sleeper, mailbox=MailboxPolicy(1, "block"))
        box = process_of(pid).mailbox
        inside, outside = envelope(1), envelope(2)
        box.put(inside)
        box.line_up(outside)
        box.line_up((CAST, 3, None))
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert [one[2].told for one in (inside, outside)] == [["abandoned: killed, handled=False"]] * 2  # type: ignore[union-attr]


# --- system_first ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 2])
async def test_system_messages_come_first_in_their_order_where_the_policy_says_so(limit: int | None) -> None:
    box = mailbox(limit, system_first=True)
    filled(box, 2)
    for signal in ("a", "b"):
        box.put_system(envelope(signal))
    assert messages(box) == ["a", "b", 1, 2]
    assert [message for _, message, _ in reversed(box.queue)] == ["b", "a", 2, 1]
    assert [box.queue.popleft()[1] for _ in range(4)] == ["a", "b", 1, 2]


async def test_process_hears_of_an_exit_before_the_messages_that_were_there() -> None:
    async with quick_node():
        other = spawn(sleeper)
        hearer = Hearer(trap_exit, lambda: link(other), mailbox=MailboxPolicy(system_first=True))
        await steps()
        for number in range(2):
            cast(hearer.pid, number)
        exit(other, "kill")
        process_of(hearer.pid).mailbox.put_system(("info", Exit(other, "killed"), None))
        await steps()
        assert hearer.heard == [Exit(other, "killed"), 0, 1, Exit(other, "killed")]


async def test_crashing_order_comes_before_all_others() -> None:
    box = mailbox(9)
    box.put_system(envelope("signal"))
    filled(box, 1)
    box.queue.appendleft(envelope("first"))
    assert messages(box) == ["first", "signal", 1]
    assert box.queue.popleft()[1] == "first"


async def test_process_reads_a_limited_mailbox_as_any_other() -> None:
    async with quick_node():
        got: list[object] = []

        async def body() -> None:
            while len(got) < 3:
                got.append(await receive(timeout=None))

        pid = spawn(body, mailbox=2)
        process_of(pid).mailbox.put_system(("info", "signal", None))
        cast(pid, 1)
        cast(pid, 2)
        cast(pid, 3)
        await wait_exit(pid, timeout=1)
        assert got == ["signal", 1, 2]
