# SPDX-License-Identifier: MIT
"""One message to many: the three strategies and the report."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.errors import DeliveryError, InvalidOptionError
from stanchion.testing import advance
from tests.delivery.servers import Address, Flaky, Log, Recorder

STEADY = st.Backoff(initial=1, factor=2, jitter=0)
QUIET = {"on_error": "ignore", "backoff": STEADY}


async def full(limit: int = 1) -> st.Pid:
    """Start a recorder that is busy for ten seconds and whose mailbox is full."""
    pid = await st.start(Recorder, mailbox=limit)
    st.cast(pid, ("sleep", 10))
    await asyncio.sleep(0.01)
    for _ in range(limit):
        st.cast(pid, "waits")
    return pid


@pytest.mark.parametrize("strategy", ["all_or_nothing", "best_effort", "at_least_one"])
async def test_broadcast_reaches_everybody(node, strategy):
    pids = [await st.start(Recorder) for _ in range(3)]
    report = await st.broadcast_supervised(pids, "hello", strategy=strategy)
    assert report
    assert [delivery.recipient for delivery in report.deliveries] == pids
    assert report.confirmed == report.deliveries
    assert report.failed == ()
    assert [await st.call(pid, Log()) for pid in pids] == [["hello"], ["hello"], ["hello"]]


async def test_best_effort_reports_the_one_that_failed(node):
    good = await st.start(Recorder)
    report = await st.broadcast_supervised([good, "nobody"], "hello", retries=0, **QUIET)
    assert not report
    assert [delivery.outcome for delivery in report.deliveries] == ["confirmed", "rejected"]
    assert repr(report) == "<BroadcastReport best_effort: 1 of 2 confirmed in 0.000 s>"


async def test_at_least_one_is_content_with_one(node):
    good = await st.start(Recorder)
    report = await st.broadcast_supervised(["nobody", good], "hello", strategy="at_least_one", retries=0, **QUIET)
    assert report
    assert len(report.failed) == 1


async def test_at_least_one_fails_when_nobody_confirms(node):
    report = await st.broadcast_supervised(["a", "b"], "hello", strategy="at_least_one", retries=0, **QUIET)
    assert not report


async def test_all_or_nothing_gives_it_to_nobody_when_one_is_full(node):
    good, busy = await st.start(Recorder), await full()
    report = await st.broadcast_supervised([good, busy], "hello", strategy="all_or_nothing", retries=1, **QUIET)
    assert not report
    assert [str(delivery.reason) for delivery in report.deliveries] == ["aborted", "overflow"]
    assert [delivery.outcome for delivery in report.deliveries] == ["rejected", "rejected"]
    assert await st.call(good, Log()) == []
    await advance(20)
    assert await st.call(busy, Log()) == [("sleep", 10), "waits"]


async def test_all_or_nothing_gives_it_to_nobody_when_one_is_gone(node):
    good, gone = await st.start(Recorder), await st.start(Recorder)
    await st.stop(gone)
    report = await st.broadcast_supervised([good, gone], "hello", strategy="all_or_nothing", **QUIET)
    assert [delivery.attempts for delivery in report.deliveries] == [1, 1]  # a pid never comes back
    assert [str(delivery.reason) for delivery in report.deliveries] == ["aborted", "noproc"]
    assert report.deliveries[0].reason_text == "aborted: another recipient could not take the message"
    assert await st.call(good, Log()) == []


async def test_all_or_nothing_is_accepted_later_when_there_is_room_again(node):
    good, busy = await st.start(Recorder), await full()
    report = await st.broadcast_supervised([good, busy], "hello", strategy="all_or_nothing", retries=5, **QUIET)
    assert report
    # refused at 0, 1, 3 and 7 seconds; at 15 the mailbox is empty
    assert [delivery.attempts for delivery in report.deliveries] == [5, 5]
    assert await st.call(good, Log()) == ["hello"]


async def test_all_or_nothing_needs_two_places_when_one_is_named_twice(node):
    pid = await st.start(Recorder, name="server", mailbox=1)
    report = await st.broadcast_supervised([pid, "server"], "hello", strategy="all_or_nothing", retries=0, **QUIET)
    assert [str(delivery.reason) for delivery in report.deliveries] == ["overflow", "overflow"]
    assert await st.call(pid, Log()) == []


async def test_all_or_nothing_delivers_again_to_one_that_failed_after_acceptance(node):
    good, flaky = await st.start(Recorder), await st.start(Flaky, 2)
    report = await st.broadcast_supervised([good, flaky], "hello", strategy="all_or_nothing", **QUIET)
    assert [delivery.attempts for delivery in report.deliveries] == [1, 3]
    assert await st.call(good, Log()) == ["hello"]


async def test_broadcast_to_nobody_is_kept_except_for_at_least_one(node):
    assert await st.broadcast_supervised([], "hello", strategy="best_effort")
    assert await st.broadcast_supervised([], "hello", strategy="all_or_nothing")
    assert not await st.broadcast_supervised([], "hello", strategy="at_least_one")


async def test_broadcast_raises_the_first_failure_after_all_are_known(node):
    good = await st.start(Recorder)
    with pytest.raises(DeliveryError) as caught:
        await st.broadcast_supervised(["nobody", good], "hello", retries=0, on_error="raise")
    assert caught.value.delivery.recipient == "nobody"
    assert await st.call(good, Log()) == ["hello"]


async def test_broadcast_tells_the_mistake_when_the_strategy_is_unknown(node):
    with pytest.raises(InvalidOptionError) as caught:
        await st.broadcast_supervised([], "hello", strategy="all_or_none")
    assert str(caught.value) == (
        "broadcast_supervised(strategy): expected one of 'all_or_nothing', 'best_effort', 'at_least_one', "
        "got 'all_or_none'\nFix: write 'all_or_nothing'."
    )


@pytest.mark.parametrize(("refs", "fix"), [("server", True), (None, False)])
async def test_broadcast_tells_the_mistake_when_the_refs_are_no_list(node, refs, fix):
    with pytest.raises(InvalidOptionError) as caught:
        await st.broadcast_supervised(refs, "hello")
    tail = "\nFix: put the ref into a list, or use send_supervised()." if fix else ""
    assert str(caught.value) == (
        f"broadcast_supervised(refs): expected an iterable of pids and registered names, got {refs!r}{tail}"
    )


async def test_broadcast_gives_it_to_nobody_when_one_ref_is_wrong(node):
    good = await st.start(Recorder)
    with pytest.raises(InvalidOptionError):
        await st.broadcast_supervised([good, 42], "hello")
    assert await st.call(good, Log()) == []


class Fading(Address):
    """An address that fails from the second look on."""

    looks = 0

    def whereis(self) -> st.Pid | None:
        self.looks += 1
        if self.looks > 1:
            raise OSError("directory is gone")
        return super().whereis()


async def test_broadcast_reports_everybody_when_an_address_fails_after_it_began(node):
    good, lost = await st.start(Recorder), Fading(await st.start(Recorder))
    report = await st.broadcast_supervised([good, lost], ("sleep", 1), retries=0, **QUIET)
    assert [delivery.outcome for delivery in report.deliveries] == ["confirmed", "rejected"]
    assert report.deliveries[1].reason_text == "noproc: OSError('directory is gone')"


async def test_all_or_nothing_gives_it_to_nobody_when_an_address_fails(node):
    good, lost = await st.start(Recorder), Fading(await st.start(Recorder))
    report = await st.broadcast_supervised([good, lost], "hello", strategy="all_or_nothing", retries=1, **QUIET)
    assert [delivery.reason_text for delivery in report.deliveries] == [
        "aborted: another recipient could not take the message",
        "noproc: OSError('directory is gone')",
    ]
    assert await st.call(good, Log()) == []


@pytest.mark.parametrize("steps", range(4))
async def test_all_or_nothing_takes_everything_back_when_it_is_cancelled(node, steps):
    busy = [await st.start(Recorder) for _ in range(3)]
    for pid in busy:
        st.cast(pid, ("sleep", 10))
    await advance(0.1)
    sending = asyncio.create_task(st.broadcast_supervised(busy, "hello", strategy="all_or_nothing"))
    for _ in range(steps):
        await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await advance(60)
    assert ["hello" in await st.call(pid, Log()) for pid in busy] == [False, False, False]


async def test_so_many_recipients_are_under_way_at_once(node):
    pids = [await st.start(Recorder) for _ in range(5)]
    report = await st.broadcast_supervised(pids, ("sleep", 2), concurrency=2)
    assert sorted(delivery.elapsed for delivery in report.deliveries) == [2.0, 2.0, 4.0, 4.0, 6.0]


async def test_recipient_is_given_nothing_when_the_deadline_passes_before_its_turn(node):
    pids = [await st.start(Recorder) for _ in range(2)]
    report = await st.broadcast_supervised(pids, ("sleep", 3), concurrency=1, deadline=2, **QUIET)
    begun, waited = sorted(report.deliveries, key=lambda delivery: -delivery.attempts)
    assert (begun.outcome, begun.attempts) == ("unknown", 1)
    assert (waited.outcome, waited.attempts) == ("rejected", 0)
    await advance(5)
    assert await st.call(waited.recipient, Log()) == []


async def test_broadcast_tells_the_mistake_when_nobody_may_be_under_way(node):
    with pytest.raises(InvalidOptionError) as caught:
        await st.broadcast_supervised([], "hello", concurrency=0)
    assert str(caught.value) == "broadcast_supervised(concurrency): expected a whole number >= 1, got 0"


async def test_broadcast_with_a_key_is_handled_once_by_each(node):
    pids = [await st.start(Recorder) for _ in range(2)]
    for strategy in ("best_effort", "all_or_nothing"):
        report = await st.broadcast_supervised(pids, "pay", idempotency_key="order-17", strategy=strategy)
        assert {delivery.message_id for delivery in report.deliveries} == {"order-17"}
    assert [delivery.duplicate for delivery in report.deliveries] == [True, True]
    assert [await st.call(pid, Log()) for pid in pids] == [["pay"], ["pay"]]


async def test_report_groups_the_failures_by_reason(node):
    pid = await st.start(Recorder, name="server")
    report = await st.broadcast_supervised(["a", pid, "b"], "crash", retries=0, poison_after=1, **QUIET)
    first, second, third = report.deliveries
    assert report.failures() == {st.Reason.NOPROC: (first, third), st.Reason.POISON: (second,)}
    assert str(report) == (
        "best_effort: 0 of 3 confirmed in 0.000 s\n"
        "  noproc, 2: 'a' (rejected), 'b' (rejected)\n"
        "  poison, 1: <test.1 server> (unknown)"
    )


async def test_report_names_ten_recipients_under_a_reason_and_counts_the_others(node):
    report = await st.broadcast_supervised([str(number) for number in range(12)], "hello", retries=0, **QUIET)
    assert str(report).endswith(" '8' (rejected), '9' (rejected), and 2 more")


async def test_report_of_a_broadcast_that_all_confirmed_has_no_failures(node):
    pid = await st.start(Recorder)
    report = await st.broadcast_supervised([pid], "hello")
    assert (report.failures(), str(report)) == ({}, "best_effort: 1 of 1 confirmed in 0.000 s")
