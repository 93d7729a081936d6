# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

from stanchion.kernel import CAST, Envelope, Mailbox
from stanchion.kernel._mailbox import CLOSED_MAILBOX
from tests.kernel.helpers import steps


def envelope(message: object) -> Envelope:
    return (CAST, message, None)


def mailbox(limit: int = 3) -> Mailbox:
    return Mailbox(asyncio.get_running_loop(), limit)


async def test_mailbox_takes_messages_up_to_its_limit() -> None:
    box = mailbox(limit=2)
    assert [box.put(envelope(number)) for number in range(3)] == [None, None, "overflow"]
    assert [message for _, message, _ in box.queue] == [0, 1]


async def test_closed_mailbox_refuses_and_keeps_what_it_has() -> None:
    box = mailbox()
    box.put(envelope("before"))
    box.closed = True
    assert box.put(envelope("after")) == "noproc"
    box.put_system(envelope("signal"))
    assert [message for _, message, _ in box.queue] == ["before"]


async def test_system_messages_come_in_beyond_the_limit() -> None:
    box = mailbox(limit=1)
    box.put(envelope(1))
    box.put_system(envelope("signal"))
    assert [message for _, message, _ in box.queue] == [1, "signal"]


async def test_refusal_of_tells_what_so_many_puts_would_meet() -> None:
    box = mailbox(limit=2)
    assert [box.refusal_of(1), box.refusal_of(2), box.refusal_of(3)] == [None, None, "overflow"]
    box.closed = True
    assert box.refusal_of(1) == "noproc"


async def test_reader_wakes_for_a_message_and_for_a_signal() -> None:
    box = mailbox()
    for put in (box.put, box.put_system):
        waiter = box.wait()
        assert box.waited_on
        put(envelope(1))
        assert waiter.done()
        assert not box.waited_on


async def test_reader_that_stopped_waiting_is_not_woken() -> None:
    box = mailbox()
    box.wait().cancel()
    assert not box.waited_on
    assert box.put(envelope(1)) is None


async def test_withdrawn_message_is_gone_and_a_read_one_is_not_found() -> None:
    box = mailbox()
    first, second = envelope(1), envelope(2)
    box.put(first)
    box.put(second)
    assert box.withdraw(second)
    assert not box.withdraw(second)
    assert list(box.queue) == [first]


async def test_withdraw_finds_the_very_message_and_no_equal_one() -> None:
    box = mailbox()
    first, equal = envelope((1, 2)), envelope((1, 2))
    box.put(first)
    assert first == equal
    assert not box.withdraw(equal)


async def test_mailbox_of_the_dead_refuses_everybody() -> None:
    assert CLOSED_MAILBOX.put(envelope(1)) == "noproc"
    CLOSED_MAILBOX.put_system(envelope(1))
    assert not CLOSED_MAILBOX.queue
    await steps(1)
