# SPDX-License-Identifier: MIT
"""Probe: expecting and refusing messages. Source: assert_receive and refute_receive of ExUnit."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import ANY

import pytest

import stanchion as st
from stanchion.errors import CallExitError, CallTimeoutError, InvalidOptionError, NameTakenError
from stanchion.server import get_state, get_status, replace_state, resume, suspend
from stanchion.testing import ANYTHING, Probe, start_supervised, wait_quiet
from tests.testing.servers import Counter


async def test_expect_returns_what_comes_and_takes_it(node):
    probe = Probe()
    st.cast(probe.pid, "first")
    st.send(probe.pid, "second")
    assert await probe.expect() == "first"
    assert probe.messages == ["second"]


async def test_expect_waits_for_its_message(node):
    probe = Probe("mailer")
    st.send_after("mailer", "late", 0.9)
    assert await probe.expect("late") == "late"


@pytest.mark.parametrize(
    "what", [3, int, lambda message: message == 3, ANY, ANYTHING], ids=["value", "class", "function", "any", "anything"]
)
async def test_expect_knows_its_message_by(node, what):
    probe = Probe()
    st.cast(probe.pid, 3)
    assert await probe.expect(what) == 3


async def test_expect_leaves_what_does_not_match_in_its_order(node):
    probe = Probe()
    for message in ("a", 1, "b", 2):
        st.cast(probe.pid, message)
    await wait_quiet()
    assert await probe.expect(2) == 2
    assert probe.messages == ["a", 1, "b"]


async def test_expect_compares_what_is_within_a_value(node):
    probe = Probe()
    st.cast(probe.pid, ("saved", 17))
    assert await probe.expect(("saved", ANY)) == ("saved", 17)


async def test_expect_takes_one_of_two_equal_messages(node):
    probe = Probe()
    message = ["twice"]
    st.cast(probe.pid, message)
    st.cast(probe.pid, message)
    await wait_quiet()
    await probe.expect(message)
    assert probe.messages == [message]


async def test_expect_without_any_message_says_so(node):
    probe = Probe("mailer")
    with pytest.raises(AssertionError) as caught:
        await probe.expect("hello", timeout=0.5)
    assert str(caught.value) == "Probe <test.1 mailer>: expected 'hello' within 0.5 s, got no message"


async def test_expect_shows_what_came_instead(node):
    probe = Probe()
    st.cast(probe.pid, 1)
    st.cast(probe.pid, "two")
    with pytest.raises(AssertionError) as caught:
        await probe.expect(Counter)
    assert str(caught.value) == ("Probe <test.1>: expected a Counter within 1 s, got these messages:\n  1\n  'two'")
    assert probe.messages == [1, "two"]


async def test_expect_tells_what_arrived_just_after(node):
    probe = Probe()
    st.send_after(probe.pid, "hello", 1.01)
    with pytest.raises(AssertionError) as caught:
        await probe.expect(str)
    assert str(caught.value) == (
        "Probe <test.1>: expected a str within 1 s, got no message\n"
        "It arrived just after: 'hello'\n"
        "Fix: pass a longer timeout=, if that is in time."
    )


async def test_expect_at_once_looks_at_what_has_come(node):
    probe = Probe()
    st.send_after(probe.pid, "hello", 0)
    with pytest.raises(AssertionError, match="within 0 s, got no message\nIt arrived just after: 'hello'"):
        await probe.expect(timeout=0)
    assert await probe.expect(timeout=0) == "hello"


async def test_expect_names_the_function_that_decides(node):
    def is_even(message):
        return message % 2 == 0

    probe = Probe()
    with pytest.raises(AssertionError, match=r"expected what is_even in .*test_probe.py:\d+ accepts within 1 s"):
        await probe.expect(is_even)


async def test_expect_says_that_the_probe_has_ended(node):
    probe = Probe()
    st.exit(probe.pid, "kill")
    with pytest.raises(AssertionError, match="got no message\nThe probe has ended"):
        await probe.expect()


async def test_refuse_passes_when_nothing_comes(node):
    probe = Probe()
    before = node.clock.monotonic()
    await probe.refuse(within=60)
    assert node.clock.monotonic() == before + 60


async def test_refuse_at_once_looks_at_what_has_come(node):
    probe = Probe()
    st.send_after(probe.pid, "later", 0)
    await probe.refuse(within=0)


async def test_refuse_lets_other_messages_be(node):
    probe = Probe()
    st.cast(probe.pid, "something")
    await probe.refuse(int)
    assert probe.messages == ["something"]


async def test_refuse_fails_on_what_has_come(node):
    probe = Probe()
    st.cast(probe.pid, 7)
    await wait_quiet()
    with pytest.raises(AssertionError) as caught:
        await probe.refuse(within=0)
    assert str(caught.value) == "Probe <test.1>: expected not to receive a message within 0 s, got the cast 7 after 0 s"


async def test_refuse_fails_on_what_comes_and_says_when(node):
    probe = Probe()
    st.send_after(probe.pid, "boo", 0.25)
    with pytest.raises(AssertionError) as caught:
        await probe.refuse("boo")
    assert (
        str(caught.value) == "Probe <test.1>: expected not to receive 'boo' within 1 s, got the info 'boo' after 0.25 s"
    )


async def test_reply_answers_the_call_that_was_expected(node):
    probe = Probe()
    calls = [asyncio.create_task(st.call(probe.pid, number)) for number in range(3)]
    await probe.expect(1)
    probe.reply("one")
    assert await calls[1] == "one"
    assert not calls[0].done()
    for number in (0, 2):
        await probe.expect(number)
        probe.reply(number)
    assert await asyncio.gather(*calls) == [0, "one", 2]


async def test_caller_hears_of_the_probes_end(node):
    probe = Probe()
    call = asyncio.create_task(st.call(probe.pid, "anybody?"))
    await probe.expect()
    st.exit(probe.pid, "kill")
    with pytest.raises(CallExitError):
        await call


async def test_caller_that_nobody_answers_times_out(node):
    with pytest.raises(CallTimeoutError):
        await st.call(Probe().pid, "anybody?", timeout=60)


async def test_supervised_send_is_confirmed_when_it_comes(node):
    probe = Probe()
    assert await st.send_supervised(probe.pid, "hello")
    assert probe.messages == ["hello"]


async def test_supervised_send_that_is_held_waits_for_the_test(node):
    probe = Probe(ack="hold")
    sends = [asyncio.create_task(st.send_supervised(probe.pid, word, on_error="ignore")) for word in "ab"]
    await probe.expect("a")
    assert not sends[0].done()
    probe.accept()
    assert await sends[0]
    await probe.expect("b")
    probe.reject("no room")
    delivery = await sends[1]
    assert (delivery.outcome, delivery.reason_text) == ("rejected", "refused: no room")
    assert probe._process.deferred == {}


async def test_supervised_send_that_is_held_ends_with_the_probe(node):
    probe = Probe(ack="hold")
    send = asyncio.create_task(st.send_supervised(probe.pid, "hello", retries=0, on_error="ignore"))
    await probe.expect()
    st.exit(probe.pid, "kill")
    assert (await send).reason is st.Reason.DOWN


@pytest.mark.parametrize(
    ("verb", "arguments", "expected"),
    [("reply", [1], "a call"), ("accept", [], "a supervised send"), ("reject", ["no"], "a supervised send")],
)
async def test_settling_what_is_none_is_refused(node, verb, arguments, expected):
    probe = Probe()
    with pytest.raises(InvalidOptionError) as caught:
        getattr(probe, verb)(*arguments)
    assert str(caught.value) == f"Probe.{verb}(): expected {expected} that expect() returned before, got nothing"
    st.cast(probe.pid, "hello")
    await probe.expect()
    with pytest.raises(InvalidOptionError, match="got the cast 'hello'"):
        getattr(probe, verb)(*arguments)


async def test_reply_to_a_supervised_send_is_refused(node):
    probe = Probe(ack="hold")
    send = asyncio.create_task(st.send_supervised(probe.pid, "hello"))
    await probe.expect()
    with pytest.raises(InvalidOptionError, match=r"Probe.reply\(\): expected a call .*, got the cast 'hello'"):
        probe.reply(1)
    probe.accept()
    await send


async def test_call_is_not_accepted(node):
    probe = Probe()
    call = asyncio.create_task(st.call(probe.pid, "hello?"))
    await probe.expect()
    with pytest.raises(InvalidOptionError, match=r"expected a supervised send .*, got the call 'hello\?'"):
        probe.accept()
    probe.reply(None)
    await call


async def test_probe_monitors_and_links_as_a_process_does(node):
    probe, counter = Probe(), await start_supervised(Counter, restart="temporary")
    ref = probe.run(st.monitor, counter, tag="mine")
    probe.run(st.link, counter)
    st.exit(counter, "kill")
    assert await probe.expect(st.Down) == (ref, counter, "killed", "mine")
    assert await probe.expect(st.Exit) == (counter, "killed")
    with pytest.raises(st.StanchionError):
        st.self_pid()


def test_anything_shows_its_name():
    assert repr(ANYTHING) == "ANYTHING"


async def test_probe_runs_no_coroutine_function(node):
    function: Any = wait_quiet
    with pytest.raises(InvalidOptionError) as caught:
        Probe().run(function)
    assert str(caught.value).startswith("Probe.run(function): expected a plain function, got <function wait_quiet at")
    assert caught.value.fix == "spawn() a process that does what has to wait."


async def test_probe_has_the_name_it_is_given(node):
    probe = Probe("mailer")
    assert st.whereis("mailer") is probe.pid
    with pytest.raises(NameTakenError):
        Probe("mailer")


async def test_probe_stops_when_it_is_told_to(node):
    probe, other = Probe(), Probe()
    await st.stop(probe.pid)
    st.exit(other.pid, "shutdown")
    assert await st.wait_exit(other.pid, timeout=1) == "shutdown"
    assert not probe.pid.alive


async def test_receive_does_not_read_a_probes_mailbox(node):
    probe = Probe()
    with pytest.raises(st.StanchionError, match="a server, whose loop reads it"):
        await probe.run(asyncio.ensure_future, st.receive(timeout=0))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Probe(ack="never"), "Probe(ack): expected one of 'accept', 'hold', got 'never'"),
        (lambda: Probe(""), "start of Probe: name: expected a name (a string that is not empty), got ''"),
    ],
)
async def test_wrong_options_are_refused(node, make, text):
    with pytest.raises(InvalidOptionError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(("verb", "option"), [("expect", "timeout"), ("refuse", "within")])
async def test_durations_must_be_such(node, verb, option):
    with pytest.raises(InvalidOptionError) as caught:
        await getattr(Probe(), verb)(**{option: -1})
    assert str(caught.value).startswith(f"Probe.{verb}({option}): expected seconds >= 0")


async def test_probe_is_a_server_to_the_functions_of_sys(node):
    probe = Probe("warehouse")
    assert await get_state("warehouse") == {}
    await replace_state("warehouse", lambda _: {"stock": 3})
    assert await get_state("warehouse") == {"stock": 3}
    assert (await get_status("warehouse")).label == "Probe"
    assert probe.messages == []


async def test_suspended_probe_takes_no_message_until_it_is_resumed(node):
    probe = Probe()
    await suspend(probe.pid)
    st.cast(probe.pid, "hello")
    await probe.refuse()
    await resume(probe.pid)
    assert await probe.expect() == "hello"


async def test_suspended_probe_stops_when_it_is_told_to(node):
    probe = Probe()
    await suspend(probe.pid)
    await st.stop(probe.pid)
    assert not probe.pid.alive
