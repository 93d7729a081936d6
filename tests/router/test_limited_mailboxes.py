# SPDX-License-Identifier: MIT
"""Signals that are cast to a process whose mailbox is full: they wait in the buffer, or stand in line."""

from __future__ import annotations

from typing import Any

import pytest

import stanchion as st
from stanchion.kernel import MailboxPolicy
from stanchion.testing import advance, wait_quiet
from tests.kernel.helpers import process_of
from tests.router.support import numbers, routed, signal, started


@pytest.mark.parametrize("overflow", ["reject", "drop_newest"])
async def test_signals_wait_in_the_buffer_while_the_mailbox_is_full(overflow: Any) -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=MailboxPolicy(1, overflow))
        st.cast(one.pid, signal("cast"))
        await wait_quiet()
        st.cast(one.pid, signal("cast"))
        await numbers(router, 3)
        assert router.subscriptions()[0].buffered == 3
        await advance(0.1)
        assert router.subscriptions()[0].buffered == 3
        one.gate.set()
        await advance(0.1)
        assert one.heard == ["cast", "cast", 0, 1, 2]


async def test_signal_stands_in_line_where_senders_wait_for_the_mailbox() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=MailboxPolicy(1, "block"))
        st.cast(one.pid, signal("cast"))
        await wait_quiet()
        st.cast(one.pid, signal("cast"))
        await numbers(router, 3)
        assert router.subscriptions()[0].buffered == 2
        one.gate.set()
        await wait_quiet()
        assert one.heard == ["cast", "cast", 0, 1, 2]


async def test_buffered_signal_stands_in_line_too() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=MailboxPolicy(1, "block"))
        await numbers(router, 2)
        await wait_quiet()
        st.cast(one.pid, signal("cast"))
        one.gate.set()
        await wait_quiet()
        assert sorted(one.heard, key=str) == [0, 1, "cast"]


async def test_signal_in_line_is_taken_back_by_unsubscribing() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=MailboxPolicy(1, "block"))
        st.cast(one.pid, signal("cast"))
        await wait_quiet()
        st.cast(one.pid, signal("cast"))
        await numbers(router, 2)
        assert router.unsubscribe(one.subscription)
        one.gate.set()
        await wait_quiet()
        assert one.heard == ["cast", "cast"]
        assert router.statistics().dropped == {"unsubscribed": 2}


async def test_signal_that_a_full_mailbox_drops_is_counted() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=MailboxPolicy(1, "drop_oldest"))
        st.cast(one.pid, signal("in hand"))
        await wait_quiet()
        await numbers(router, 1)
        st.cast(one.pid, signal("newer"))
        await wait_quiet()
        assert router.statistics().dropped == {"drop_oldest": 1}
        one.gate.set()
        await wait_quiet()
        assert one.heard == ["in hand", "newer"]


async def test_lane_that_waits_for_a_mailbox_ends_with_its_last_subscription() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=1)
        st.cast(one.pid, signal("in hand"))
        await wait_quiet()
        st.cast(one.pid, signal("waits"))
        await numbers(router, 2)
        assert router.unsubscribe(one.subscription)
        assert router.statistics().dropped == {"unsubscribed": 2}
        assert router._session is not None
        assert router._session.lanes == {}


async def test_mailbox_that_closes_while_the_lane_waits_for_it_gets_no_more() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=1)
        st.cast(one.pid, signal("in hand"))
        await wait_quiet()
        st.cast(one.pid, signal("waits"))
        await numbers(router, 2)
        process_of(one.pid).mailbox.closed = True
        await advance(0.1)
        assert router.subscriptions()[0].buffered == 2


async def test_lane_whose_mailbox_is_full_again_goes_on_trying() -> None:
    async with routed() as router:
        one = await started(router, "**", open=False, mailbox=1)
        await numbers(router, 2)
        st.cast(one.pid, signal("fills"))
        await wait_quiet()
        st.cast(one.pid, signal("fills"))
        one.gate.set()
        await advance(0.2)
        assert sorted(one.heard, key=str) == [0, 1, "fills"] or sorted(one.heard, key=str) == [0, 1, "fills", "fills"]
