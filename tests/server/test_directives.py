# SPDX-License-Identifier: MIT
"""What callbacks return to steer their server, and what they must not return."""

from __future__ import annotations

import pytest

from stanchion.errors import BadReturnError, CallExitError, InvalidOptionError
from stanchion.kernel import wait_exit
from stanchion.server import (
    HELD,
    IGNORE,
    NO_REPLY,
    TIMEOUT,
    UNHANDLED,
    Continue,
    GenServer,
    Reject,
    Reply,
    Stop,
    Timeout,
    call,
    cast,
    send,
    start,
)
from stanchion.telemetry import PROCESS_EXIT
from stanchion.timeouts import POLICY
from tests.kernel.helpers import Events, quick_node, steps
from tests.server.servers import By, returns

STEER = "None, Continue(...), Timeout(...) or Stop(...)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NO_REPLY, "NO_REPLY"),
        (UNHANDLED, "UNHANDLED"),
        (IGNORE, "IGNORE"),
        (POLICY, "POLICY"),
        (Continue(), "Continue(None)"),
        (Continue("x" * 300), "Continue('" + "x" * 198 + "…)"),
        (Stop(), "Stop('normal')"),
        (Stop(("shutdown", 1)), "Stop(('shutdown', 1))"),
        (Timeout(1.5), "Timeout(1.5)"),
        (Timeout(60), "Timeout(60)"),
        (TIMEOUT, "TIMEOUT"),
        (HELD, "HELD"),
        (Reply(1, then=Stop()), "Reply(1, then=Stop('normal'))"),
        (Reject("full"), "Reject('full', retry=True)"),
        (Reject("late", retry=False, handled=True), "Reject('late', retry=False, handled=True)"),
    ],
)
def test_directives_show_how_they_are_written(value: object, text: str) -> None:
    assert repr(value) == text


def test_directives_can_be_matched() -> None:
    def matched(directive: object) -> object:
        match directive:
            case Reply(value, Continue(arg)):
                return value, arg
            case Reject(detail, retry):
                return detail, retry
            case Stop(reason):
                return reason
            case _:
                return None

    assert matched(Reply("value", then=Continue("arg"))) == ("value", "arg")
    assert matched(Reject("detail", retry=False)) == ("detail", False)
    assert matched(Stop("shutdown")) == "shutdown"


def test_reply_refuses_another_then() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Reply(1, then=NO_REPLY)
    assert str(caught.value) == (
        "Reply(then): expected Continue(...), Timeout(...) or Stop(...), got NO_REPLY\n"
        "Fix: to reply and go on, return the value itself."
    )


def test_stop_refuses_what_is_no_reason() -> None:
    with pytest.raises(InvalidOptionError, match=r"^Stop\(reason\): expected an exit reason .*, got 'done'"):
        Stop("done")


@pytest.mark.parametrize("value", [Continue(1), Timeout(5)])
async def test_handle_call_that_forgets_the_reply_is_told_how_to_write_it(value: object) -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallExitError) as caught:
            await call(pid, returns(value))
        assert str(caught.value.reason) == (
            "By.handle_call(): expected a reply, NO_REPLY, Reply(...), Stop(...) or UNHANDLED as its return value, "
            f"got {value!r}\nFix: return Reply(value, then={value!r}), or Reply(NO_REPLY, then={value!r})."
        )


@pytest.mark.parametrize("value", [IGNORE, Reject("no")])
async def test_handle_call_that_returns_something_else_ends_the_server(value: object) -> None:
    async with quick_node():
        pid = await start(By)
        with pytest.raises(CallExitError) as caught:
            await call(pid, returns(value))
        assert isinstance(caught.value.reason, BadReturnError)
        assert str(caught.value.reason) == (
            "By.handle_call(): expected a reply, NO_REPLY, Reply(...), Stop(...) or UNHANDLED as its return value, "
            f"got {value!r}"
        )


@pytest.mark.parametrize("value", [0, True, "done", NO_REPLY, IGNORE, Reply(1, then=Stop()), [Stop()]])
async def test_handle_cast_that_returns_something_else_ends_the_server(value: object) -> None:
    async with quick_node():
        pid = await start(By)
        cast(pid, returns(value))
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, BadReturnError)
        assert str(reason) == (
            "By.handle_cast(): expected None, Continue(...), Timeout(...), Stop(...), Reject(...) or UNHANDLED "
            f"as its return value, got {value!r}\nFix: return None; only handle_call answers."
        )
        assert (reason.callback, reason.got) == ("By.handle_cast", repr(value))


@pytest.mark.parametrize("value", [42, Reject("no"), NO_REPLY])
async def test_handle_info_that_returns_something_else_ends_the_server(value: object) -> None:
    class Echo(GenServer):
        def handle_info(self, message):
            return message

    async with quick_node():
        pid = await start(Echo)
        send(pid, value)
        reason = await wait_exit(pid, timeout=1)
        assert str(reason) == (
            "Echo.handle_info(): expected None, Continue(...), Timeout(...), Stop(...) or UNHANDLED "
            f"as its return value, got {value!r}\nFix: return None; only handle_call answers."
        )


@pytest.mark.parametrize("value", [42, Reject("no"), NO_REPLY])
async def test_handle_continue_that_returns_something_else_ends_the_server(value: object) -> None:
    class Odd(GenServer):
        def init(self):
            return Continue()

        def handle_continue(self, arg):
            return value

    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        await start(Odd)
        text = f"Odd.handle_continue(): expected {STEER} as its return value, got {value!r}"
        assert [str(reason) for reason in exits.all("reason")] == [text]


async def test_continue_without_handle_continue_says_what_is_missing() -> None:
    class Unfinished(GenServer):
        def init(self):
            return Continue()

    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        await start(Unfinished)
        assert [str(reason) for reason in exits.all("reason")] == [
            (
                f"Unfinished.handle_continue(): expected {STEER} as its return value, got UNHANDLED\n"
                "Fix: write handle_continue(self, arg) in Unfinished, which returned Continue(...)."
            )
        ]


async def test_reply_goes_out_before_its_continue_fails() -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)
        pid = await start(By)
        assert await call(pid, returns(Reply("done", then=Continue(returns(42))))) == "done"
        await steps()
        assert [type(reason) for reason in exits.all("reason")] == [BadReturnError]
