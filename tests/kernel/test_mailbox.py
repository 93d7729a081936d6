# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from stanchion.kernel import CAST, Envelope, Mailbox
from stanchion.kernel._indexed_queue import IndexedQueue
from stanchion.kernel._mailbox import CLOSED_MAILBOX
from tests.kernel.helpers import steps


def envelope(message: object) -> Envelope:
    return (CAST, message, None)


def mailbox() -> Mailbox:
    return Mailbox(asyncio.get_running_loop())


async def test_mailbox_takes_whatever_comes_in_order() -> None:
    box = mailbox()
    assert [box.put(envelope(number)) for number in range(3)] == [None, None, None]
    assert [message for _, message, _ in box.queue] == [0, 1, 2]
    assert box.refusal_of(1_000_000) is None


async def test_closed_mailbox_refuses_and_keeps_what_it_has() -> None:
    box = mailbox()
    box.put(envelope("before"))
    box.closed = True
    assert box.put(envelope("after")) == "noproc"
    assert box.refusal_of(1) == "noproc"
    box.put_system(envelope("signal"))
    assert [message for _, message, _ in box.queue] == ["before"]


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


def searched(box: Mailbox) -> Mailbox:
    """Have the next withdrawal make an index."""
    for _ in range(32):
        assert not box.withdraw(envelope("unknown"))
    assert type(box.queue) is deque
    return box


@pytest.mark.parametrize("prepare", [lambda box: box, searched])
async def test_withdrawn_message_is_gone_and_a_read_one_is_not_found(prepare: Callable[[Mailbox], Mailbox]) -> None:
    box = prepare(mailbox())
    first, second = envelope(1), envelope(2)
    box.put(first)
    box.put(second)
    assert box.withdraw(second)
    assert not box.withdraw(second)
    assert list(box.queue) == [first]


@pytest.mark.parametrize("prepare", [lambda box: box, searched])
async def test_mailbox_keeps_its_order_when_some_are_withdrawn_and_others_come(
    prepare: Callable[[Mailbox], Mailbox],
) -> None:
    box = prepare(mailbox())
    envelopes = [envelope(number) for number in range(6)]
    for one in envelopes[:4]:
        box.put(one)
    box.withdraw(envelopes[0])
    box.withdraw(envelopes[2])
    for one in envelopes[4:]:
        box.put(one)
    box.withdraw(envelopes[4])
    assert (box.queue[0], box.queue[-1], list(reversed(box.queue))) == (
        envelopes[1],
        envelopes[5],
        [envelopes[5], envelopes[3], envelopes[1]],
    )
    assert [box.queue.popleft() for _ in range(3)] == [envelopes[1], envelopes[3], envelopes[5]]
    assert not box.queue


async def test_mailbox_with_an_index_is_as_quick_as_before_once_as_many_were_read_as_are_left() -> None:
    box = searched(mailbox())
    envelopes = [envelope(number) for number in range(6)]
    for one in envelopes:
        box.put(one)
    box.withdraw(envelopes[0])
    queues = []
    while box.queue:
        queues.append((type(box.queue), box.queue.popleft()))
    assert queues == [
        (IndexedQueue, envelopes[1]),
        (IndexedQueue, envelopes[2]),
        (IndexedQueue, envelopes[3]),
        (deque, envelopes[4]),
        (deque, envelopes[5]),
    ]
    searched(box)  # as often as before


async def test_nobody_stands_in_line_for_a_mailbox_without_a_limit() -> None:
    box = mailbox()
    first = envelope(1)
    assert not box.line_up(first)
    assert not box.leave_line(first)
    assert box.close_line() == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_mailbox_from_which_thousands_are_withdrawn_is_not_searched_for_each(seed: int) -> None:
    class Counted(tuple[object, ...]):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

    box = mailbox()
    looked = 0
    envelopes = [Counted(envelope(number)) for number in range(20_000)]
    for one in envelopes:
        box.put(one)  # type: ignore[arg-type]

    class Counting(deque[Envelope]):
        def __iter__(self) -> Iterator[Envelope]:
            nonlocal looked
            looked += len(self)
            return super().__iter__()

    box.queue = Counting(box.queue)
    random.Random(seed).shuffle(envelopes)
    assert all(box.withdraw(one) for one in envelopes)  # type: ignore[arg-type]
    assert looked <= 33 * 20_000
    assert not box.queue


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
