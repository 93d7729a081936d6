# SPDX-License-Identifier: MIT
"""The errors of kernel and server: their place in the tree, their fields, their texts."""

from __future__ import annotations

import pytest

import stanchion.errors
from stanchion.errors import (
    BadReturnError,
    CallError,
    CallExitError,
    CallOverflowError,
    CallSelfError,
    CallTimeoutError,
    ChildStartError,
    DeadlineExceededError,
    InvalidOptionError,
    NameTakenError,
    NodeStateError,
    NoNodeError,
    NotInProcessError,
    ReceiveError,
    StanchionError,
    StartError,
    StopExitError,
    StopTimeoutError,
    UnhandledRequestError,
)


def test_every_error_of_the_module_is_public_and_in_one_tree() -> None:
    classes = {
        name: value
        for name, value in vars(stanchion.errors).items()
        if isinstance(value, type) and value.__module__ == "stanchion.errors"
    }
    assert sorted(classes) == stanchion.errors.__all__
    assert all(issubclass(value, StanchionError) for value in classes.values())


def test_tree_in_the_docstring_names_every_error() -> None:
    drawn = stanchion.errors.__doc__
    assert drawn is not None
    assert [name for name in stanchion.errors.__all__ if name not in drawn] == []


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (InvalidOptionError("x", expected="y", got="z"), ValueError),
        (CallTimeoutError(target="t", request="r", timeout=1), TimeoutError),
        (CallTimeoutError(target="t", request="r", timeout=1), CallError),
        (CallExitError(target="t", request="r", reason="noproc", handled=False), CallError),
        (CallOverflowError(target="t", request="r", limit=1), CallError),
        (CallSelfError(target="t", request="r"), CallError),
        (StopTimeoutError("t", timeout=1), TimeoutError),
        (ChildStartError("id", supervisor="s", reason="normal"), StartError),
    ],
)
def test_errors_can_be_caught_as(error: StanchionError, also: type[BaseException]) -> None:
    assert isinstance(error, also)
    assert isinstance(error, StanchionError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidOptionError("Node(name)", expected="a word", got="''"), "Node(name): expected a word, got ''"),
        (
            InvalidOptionError("Node(name)", expected="a word", got="''", fix="write one."),
            "Node(name): expected a word, got ''\nFix: write one.",
        ),
        (
            NoNodeError("start()"),
            (
                "start(): expected a running node, got none in this context\n"
                "Fix: run it inside `async with stanchion.Node():`, or inside a process, or pass a pid."
            ),
        ),
        (
            NodeStateError("shop", operation="start of Clerk", expected="a running node", got="stopped"),
            (
                "start of Clerk on node 'shop': expected a running node, got one that is stopped\n"
                "Fix: make a new Node for each `async with`, and start processes inside the block."
            ),
        ),
        (
            NotInProcessError("monitor()"),
            (
                "monitor(): expected to run inside a process, got code outside of all processes\n"
                "Fix: call it from a GenServer callback or from a function started by stanchion.spawn()."
            ),
        ),
        (
            NotInProcessError("monitor()", ended="Clerk <shop.1>"),
            (
                "monitor(): expected to run inside a process, got code that outlived its process Clerk <shop.1>\n"
                "Fix: let the process wait for the tasks that it starts, or give them a process of their own."
            ),
        ),
        (
            ReceiveError("Clerk <shop.1>", got="another reader", fix="read once."),
            "receive() in Clerk <shop.1>: expected to be the mailbox's one reader, got another reader\nFix: read once.",
        ),
        (
            NameTakenError("clerk", "<shop.1 clerk>"),
            (
                "name 'clerk': expected a free name, got one held by <shop.1 clerk>\n"
                "Fix: choose another name, or stop the process that holds it first."
            ),
        ),
        (
            CallTimeoutError(target="<shop.1>", request="'r'", timeout=2.5),
            (
                "call to <shop.1>: expected a reply to 'r' within 2.5 s, got none; "
                "the request may have been handled, or may yet be\n"
                "Fix: if the handler may take longer, pass timeout=; if it waits for this caller, that is a deadlock: "
                "use cast, or reply later."
            ),
        ),
        (
            CallTimeoutError(
                target="<shop.1>",
                request="'r'",
                timeout=0.5,
                caller="Clerk <shop.2>",
                rule="default = 5 s (built-in)",
                cut_by="the deadline of 2 s set at shop.py:12",
                outcome="expired",
                doing="Shop <shop.1> has had 'q' in hand for 0.4 s; 1 message waits in its mailbox",
            ),
            (
                "call to <shop.1> by Clerk <shop.2>: expected a reply to 'r' within 0.5 s, got none; "
                "the request was not handled, and will not be\n"
                "Limit: what was left of the deadline of 2 s set at shop.py:12; without it: default = 5 s (built-in).\n"
                "Target: Shop <shop.1> has had 'q' in hand for 0.4 s; 1 message waits in its mailbox.\n"
                "Fix: give the deadline more seconds, or do less under it."
            ),
        ),
        (
            DeadlineExceededError(seconds=2.0, site="shop.py:12"),
            (
                "deadline of 2 s at shop.py:12: expected the block to end in time, got no end; it was "
                "cancelled where it waited, and messages that it sent and nobody has begun with are not begun any more\n"
                "Fix: give the scope more seconds, or do less in it."
            ),
        ),
        (
            CallExitError(target="'clerk'", request="'r'", reason="noproc", handled=False),
            "call to 'clerk': expected a reply to 'r', got no such process (noproc)",
        ),
        (
            CallExitError(target="<shop.1>", request="'r'", reason="killed", handled=False),
            "call to <shop.1>: expected a reply to 'r', got its exit with reason 'killed'; the request was not handled",
        ),
        (
            CallExitError(target="<shop.1>", request="'r'", reason=("shutdown", 1), handled=True, fix="wait."),
            "call to <shop.1>: expected a reply to 'r', got its exit with reason ('shutdown', 1)\nFix: wait.",
        ),
        (
            CallOverflowError(target="<shop.1>", request="'r'", limit=10),
            (
                "call to <shop.1>: expected room in its mailbox for 'r', got a full one (10 messages)\n"
                "Fix: call again later, slow the callers down, or start the process with a larger mailbox=."
            ),
        ),
        (
            CallSelfError(target="<shop.1>", request="'r'"),
            (
                "call to <shop.1>: expected another process, got the calling process itself with 'r'\n"
                "Fix: call the method directly, or cast to yourself and go on."
            ),
        ),
        (
            StopTimeoutError("<shop.1>", timeout=5.0),
            (
                "stop of <shop.1>: expected its end within 5 s, got none; the order stays in its mailbox\n"
                "Fix: pass a longer timeout=, or end it at once with exit(pid, 'kill')."
            ),
        ),
        (
            StopExitError("<shop.1>", expected="normal", reason=ValueError("x")),
            "stop of <shop.1>: expected its exit with reason 'normal', got ValueError('x')",
        ),
        (
            UnhandledRequestError(target="<shop.1>", request="'r'", callback="Clerk.handle_call"),
            (
                "call to <shop.1>: expected Clerk.handle_call() to know the request, got 'r'\n"
                "Fix: add a clause for it to Clerk.handle_call(), or send what it knows."
            ),
        ),
        (
            BadReturnError("Clerk.handle_cast", expected="None", got="3"),
            "Clerk.handle_cast(): expected None as its return value, got 3",
        ),
        (
            BadReturnError("Clerk.handle_cast", expected="None", got="3", fix="return nothing."),
            "Clerk.handle_cast(): expected None as its return value, got 3\nFix: return nothing.",
        ),
        (
            StartError("Clerk <shop.1>", reason=ValueError("x")),
            "start of Clerk <shop.1>: expected init to finish, got ValueError('x')",
        ),
        (
            StartError("Clerk <shop.1>", reason="timeout", fix="wait."),
            "start of Clerk <shop.1>: expected init to finish, got 'timeout'\nFix: wait.",
        ),
        (
            StartError("Clerk", reason="timeout", timeout=0.0, rule="timeout=None", cut_by="the deadline of 2 s"),
            (
                "start of Clerk: expected init to finish within 0 s, got 'timeout', and nothing was started\n"
                "Limit: what was left of the deadline of 2 s; without it: timeout=None.\n"
                "Fix: give the deadline more seconds, or do less under it."
            ),
        ),
        (
            ChildStartError("a", supervisor="S <shop.1>", reason="timeout", timeout=5.0, rule="r", doing="d"),
            (
                "start of child 'a' of S <shop.1>: expected init to finish within 5 s, got 'timeout'\n"
                "Limit: r.\n"
                "Target: d.\n"
                "Fix: give its child_spec() a longer timeout=, or have it start faster."
            ),
        ),
    ],
)
def test_error_says(error: StanchionError, text: str) -> None:
    assert str(error) == text


def test_errors_carry_their_data() -> None:
    option = InvalidOptionError("x", expected="y", got="z", fix="f")
    assert (option.subject, option.expected, option.got, option.fix) == ("x", "y", "z", "f")
    state = NodeStateError("shop", operation="start", expected="e", got="stopped")
    assert (state.node, state.operation, state.state) == ("shop", "start", "stopped")
    exited = CallExitError(target="t", request="r", reason="killed", handled=True)
    assert (exited.target, exited.request, exited.reason, exited.handled) == ("t", "r", "killed", True)
    late = CallTimeoutError(target="t", request="r", timeout=1.5)
    assert late.timeout == 1.5
    full = CallOverflowError(target="t", request="r", limit=3)
    assert full.limit == 3
    held = NameTakenError("clerk", "<shop.1>")
    assert (held.name, held.holder) == ("clerk", "<shop.1>")
    outside = NotInProcessError("link()", ended="x")
    assert (outside.operation, outside.ended) == ("link()", "x")
    assert NoNodeError("link()").operation == "link()"
    assert ReceiveError("p", got="g", fix="f").process == "p"
    slow = StopTimeoutError("t", timeout=1.0)
    assert (slow.target, slow.timeout) == ("t", 1.0)
    crashed = StopExitError("t", expected="normal", reason="killed")
    assert (crashed.target, crashed.expected, crashed.reason) == ("t", "normal", "killed")
    unknown = UnhandledRequestError(target="t", request="r", callback="S.a")
    assert (unknown.target, unknown.request) == ("t", "r")
    wrong = BadReturnError("S.init", expected="e", got="g")
    assert (wrong.callback, wrong.got) == ("S.init", "g")
    start = StartError("S", reason="normal")
    assert (start.what, start.reason) == ("S", "normal")
