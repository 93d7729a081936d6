# SPDX-License-Identifier: MIT
"""Each way in which a supervised send can end."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from stanchion.testing import advance
from tests.delivery.servers import Flaky, Log, Recorder, Seen

STEADY = st.Backoff(initial=1, factor=2, jitter=0)


async def test_send_is_confirmed_when_the_handler_returned(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "hello")
    assert (delivery.outcome, delivery.attempts, bool(delivery)) == (st.Outcome.CONFIRMED, 1, True)
    assert (delivery.reason, delivery.exit_reason, delivery.reason_text) == (None, None, "")
    assert await st.call(pid, Log()) == ["hello"]


async def test_send_is_confirmed_before_it_is_handled_when_ack_is_enqueued(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 60), ack="enqueued")
    assert delivery.outcome == "confirmed"
    assert delivery.elapsed == 0


async def test_send_is_rejected_at_once_when_the_pid_is_gone(node):
    pid = await st.start(Recorder)
    await st.stop(pid)
    delivery = await st.send_supervised(pid, "hello", on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "noproc", 1)


async def test_send_is_retried_when_the_name_is_not_there_yet(node):
    sending = asyncio.create_task(st.send_supervised("late", "hello", backoff=STEADY))
    await advance(2)
    pid = await st.start(Recorder, name="late")
    delivery = await sending
    assert (delivery.outcome, delivery.attempts, delivery.elapsed) == ("confirmed", 3, 3.0)
    assert await st.call(pid, Log()) == ["hello"]


async def test_send_is_rejected_when_nobody_takes_the_name(node):
    delivery = await st.send_supervised("nobody", "hello", retries=2, backoff=STEADY, on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "noproc", 3)
    assert delivery.elapsed == 3.0  # 1 + 2


async def test_send_is_rejected_when_the_mailbox_stays_full(node):
    pid = await st.start(Recorder, mailbox=1)
    st.cast(pid, ("sleep", 500))
    await advance(0.1)
    st.cast(pid, "waits")
    delivery = await st.send_supervised(pid, "hello", backoff=STEADY, on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "overflow", 4)


async def test_send_is_unknown_when_the_handler_takes_too_long(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 60), timeout=2, retries=0, on_error="ignore")
    assert (delivery.outcome, delivery.reason) == ("unknown", "timeout")
    assert 2 <= delivery.elapsed < 2.1


async def test_send_is_rejected_and_never_handled_when_it_waited_too_long_in_the_mailbox(node):
    pid = await st.start(Recorder)
    st.cast(pid, ("sleep", 10))
    await advance(0.1)
    delivery = await st.send_supervised(pid, "hello", timeout=2, retries=0, on_error="ignore")
    assert (delivery.outcome, delivery.reason) == ("rejected", "timeout")
    await advance(10)
    assert await st.call(pid, Log()) == [("sleep", 10)]


async def test_send_is_unknown_when_the_receiver_crashed_on_it(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "crash", on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "down", 1)
    assert isinstance(delivery.exit_reason, ZeroDivisionError)
    assert delivery.reason_text == "down: ZeroDivisionError('told to')"


async def test_send_is_rejected_when_the_receiver_exits_before_it_began(node):
    pid = await st.start(Recorder)
    st.cast(pid, ("sleep", 10))
    await advance(0.1)
    sending = asyncio.create_task(st.send_supervised(pid, "hello", on_error="ignore"))
    await advance(0.1)
    st.exit(pid, "kill")
    delivery = await sending
    assert (delivery.outcome, delivery.reason, delivery.exit_reason) == ("rejected", "down", "killed")


async def test_send_is_confirmed_by_the_next_process_when_the_first_one_crashed(node):
    log: list[object] = []
    first = await st.start(Recorder, log, name="server")
    st.cast(first, ("sleep", 10))
    await advance(0.1)
    sending = asyncio.create_task(st.send_supervised("server", "hello", backoff=STEADY))
    await advance(0.1)
    st.exit(first, "kill")
    await st.wait_exit(first, timeout=1)
    await st.start(Recorder, log, name="server")
    delivery = await sending
    assert (delivery.outcome, delivery.attempts) == ("confirmed", 2)
    assert log == [("sleep", 10), "hello"]


async def test_send_stays_unknown_when_a_later_attempt_is_rejected(node):
    pid = await st.start(Recorder, name="server")
    sending = asyncio.create_task(st.send_supervised("server", "crash", retries=1, on_error="ignore"))
    await st.wait_exit(pid, timeout=1)
    delivery = await sending
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "noproc", 2)


async def test_send_is_retried_when_the_handler_rejects(node):
    pid = await st.start(Flaky, 2)
    delivery = await st.send_supervised(pid, "hello", backoff=STEADY)
    assert (delivery.outcome, delivery.attempts, delivery.elapsed) == ("confirmed", 3, 3.0)


async def test_send_is_refused_when_the_handler_rejects_for_good(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "reject for good", on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "refused", 1)
    assert delivery.reason_text == "refused: never"


async def test_send_is_invalid_when_the_receiver_has_no_clause_for_it(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "unknown", on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.attempts) == ("rejected", "invalid", 1)
    assert delivery.reason_text == "invalid: Recorder.handle_cast() has no clause for it"


async def test_send_gives_up_when_the_deadline_is_near(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "reject", retries=99, deadline=10, backoff=STEADY, on_error="ignore")
    # attempts at 0, 1, 3 and 7 seconds; the next one would be at 15
    assert (delivery.outcome, delivery.attempts, delivery.elapsed) == ("rejected", 4, 7.0)


async def test_send_waits_no_longer_than_the_deadline_when_the_timeout_is_longer(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 60), timeout=50, deadline=3, on_error="ignore")
    assert (delivery.outcome, delivery.attempts) == ("unknown", 1)
    assert 3 <= delivery.elapsed < 3.1


async def test_second_attempt_waits_for_what_the_deadline_leaves(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 60), timeout=5, deadline=8, backoff=STEADY, on_error="ignore")
    assert (delivery.outcome, delivery.attempts) == ("unknown", 2)
    assert 8 <= delivery.elapsed < 8.1


async def test_send_waits_as_long_as_it_takes_when_nothing_limits_it(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, ("sleep", 4000), timeout=None, deadline=None)
    assert (delivery.outcome, delivery.elapsed) == ("confirmed", 4000.0)


async def test_message_is_taken_back_when_its_sender_is_cancelled(node):
    pid = await st.start(Recorder)
    st.cast(pid, ("sleep", 10))
    await advance(0.1)
    sending = asyncio.create_task(st.send_supervised(pid, "hello"))
    await advance(0.1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await st.call(pid, Log(), timeout=60) == [("sleep", 10)]


async def test_receiver_sees_the_same_id_and_the_attempt_in_each_attempt(node):
    pid = await st.start(Flaky, 1)
    delivery = await st.send_supervised(pid, "hello", metadata={"tenant": "a"})
    first, second = await st.call(pid, Seen())
    assert first.message_id == second.message_id == delivery.message_id
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.metadata == second.metadata == {"tenant": "a"}


async def test_receiver_sees_no_info_when_the_message_is_a_plain_cast(node):
    pid = await st.start(Recorder)
    st.cast(pid, "info")
    assert await st.call(pid, Log()) == ["info", None]


async def test_receiver_sees_the_info_when_the_ack_is_enqueued(node):
    pid = await st.start(Recorder)
    await st.send_supervised(pid, "info", ack="enqueued")
    _, info = await st.call(pid, Log())
    assert (info.attempt, info.metadata) == (1, {})
    assert repr(info) == f"MessageInfo({info.message_id!r}, attempt=1, metadata={{}})"


async def test_plain_process_confirms_when_it_asks_for_the_next_message(new_node):
    async def worker() -> None:
        await st.receive(timeout=None)
        await asyncio.sleep(3)
        await st.receive(timeout=None)

    async with new_node():
        pid = st.spawn(worker)
        delivery = await st.send_supervised(pid, "one")
        assert (delivery.outcome, delivery.elapsed) == ("confirmed", 3.0)
        delivery = await st.send_supervised(pid, "two")
        assert delivery.outcome == "confirmed"


async def test_delivery_tells_what_happened_in_its_repr(node):
    delivery = await st.send_supervised("nobody", "hello", retries=0, on_error="ignore")
    assert repr(delivery) == (
        f"<Delivery {delivery.message_id} to 'nobody': rejected (noproc) after 1 attempts in 0.000 s>"
    )


async def test_late_ack_is_no_error_when_the_sender_has_given_up(node):
    pid = await st.start(Recorder)
    assert not await st.send_supervised(pid, ("sleep", 5), timeout=1, retries=0, on_error="ignore")
    await advance(10)
    assert not await st.send_supervised(pid, ("sleep", 5), timeout=1, retries=0, on_error="ignore")
    st.exit(pid, "kill")
    assert await st.wait_exit(pid, timeout=1) == "killed"


async def test_send_is_unknown_when_the_handler_rejects_what_it_may_have_done(node):
    pid = await st.start(Recorder)
    delivery = await st.send_supervised(pid, "reject, perhaps too late", on_error="ignore")
    assert (delivery.outcome, delivery.reason, delivery.reason_text) == (
        "unknown",
        "refused",
        "refused: nobody knows",
    )
