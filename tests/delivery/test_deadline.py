# SPDX-License-Identifier: MIT
"""The deadline of a send is known where it is handled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import stanchion as st
from stanchion.errors import NotInProcessError
from stanchion.testing import advance

STEADY = st.Backoff(initial=1, factor=1, jitter=0)


class Clockwatcher(st.GenServer):
    """Keeps what it is told of the time that is left, and takes a message at the second try."""

    def init(self, look: Callable[[st.MessageInfo], object]) -> None:
        self.look = look
        self.seen: list[object] = []

    def handle_call(self, request: object, sender: st.Sender) -> object:
        return self.seen

    async def handle_cast(self, message: object) -> object:
        if isinstance(message, float):
            await asyncio.sleep(message)
        info = st.message_info()
        assert info is not None
        self.seen.append(self.look(info))
        return st.Reject("once more") if info.attempt == 1 else None


async def test_receiver_sees_the_same_deadline_in_each_attempt(node):
    pid = await st.start(Clockwatcher, lambda info: info.deadline)
    now = node.clock.monotonic()
    await st.send_supervised(pid, "hello", deadline=10, backoff=STEADY)
    assert await st.call(pid, "seen") == [now + 10, now + 10]


async def test_receiver_sees_how_much_is_left(node):
    pid = await st.start(Clockwatcher, lambda info: info.remaining())
    await st.send_supervised(pid, "hello", deadline=10, backoff=STEADY)
    await st.send_supervised(pid, "hello", deadline=10, ordered=True, backoff=STEADY)
    assert await st.call(pid, "seen") == [10.0, 9.0, 10.0, 9.0]


async def test_nothing_is_left_when_the_deadline_has_passed(node):
    pid = await st.start(Clockwatcher, lambda info: info.remaining())
    assert not await st.send_supervised(pid, 3.0, deadline=2, on_error="ignore")
    await advance(5)
    assert await st.call(pid, "seen") == [0.0]


async def test_there_is_no_deadline_when_the_sender_has_none(node):
    pid = await st.start(Clockwatcher, lambda info: (info.deadline, info.remaining()))
    await st.send_supervised(pid, "hello", deadline=None, backoff=STEADY)
    assert await st.call(pid, "seen") == [(None, None), (None, None)]


async def test_what_is_left_is_not_known_outside_of_processes(node):
    kept: list[st.MessageInfo] = []
    pid = await st.start(Clockwatcher, kept.append)
    await st.send_supervised(pid, "hello", backoff=STEADY)
    with pytest.raises(NotInProcessError) as caught:
        kept[0].remaining()
    assert str(caught.value).startswith("MessageInfo.remaining(): expected")
