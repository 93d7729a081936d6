# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.kernel import LimitedMailbox, exit, wait_exit
from stanchion.server import IGNORE, call, send, start, stop
from stanchion.supervisor import Supervisor, child_spec, supervisor_spec
from stanchion.telemetry import CHILD_RESTART
from tests.supervisor.servers import (
    InitBy,
    Recorder,
    crash,
    end_of,
    hang,
    pid_of,
    process_of,
    quick_node,
    recorder,
    states,
)

CRASH = ValueError("crash")


@pytest.mark.parametrize(
    ("restart", "reason", "after"),
    [
        ("permanent", CRASH, {"a": "running"}),
        ("permanent", "normal", {"a": "running"}),
        ("permanent", "shutdown", {"a": "running"}),
        ("transient", CRASH, {"a": "running"}),
        ("transient", "killed", {"a": "running"}),
        ("transient", "normal", {"a": "stopped"}),
        ("transient", "shutdown", {"a": "stopped"}),
        ("transient", ("shutdown", "done"), {"a": "stopped"}),
        ("temporary", CRASH, {}),
        ("temporary", "normal", {}),
    ],
)
async def test_child_that_exits_is(restart, reason, after):
    log = []
    async with quick_node():
        supervisor = await start(Supervisor, [recorder(log, "a", restart=restart)])
        await end_of("a", reason)
        assert await states(supervisor) == after
        assert log.count("+a") == (2 if after == {"a": "running"} else 1)


async def test_child_is_restarted_with_its_name_and_arguments():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a", mailbox=7)])
        before = pid_of("a")
        await crash("a")
        await states(supervisor)
        after = pid_of("a")
        assert after is not before
        mailbox = process_of(after).mailbox
        assert isinstance(mailbox, LimitedMailbox)
        assert mailbox.policy.limit == 7


async def test_killed_child_is_restarted():
    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(hang, name="a", restart="transient")])
        before = pid_of("a")
        exit(before, "kill")
        await wait_exit(before, timeout=5)
        assert await states(supervisor) == {"a": "running"}


async def test_supervisor_gives_up_when_its_children_crash_too_often(caplog):
    log = []
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [recorder(log, "a"), recorder(log, "b")], "one_for_one", 2, 60.0, name="s")
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        for _ in range(2):
            await crash("a")
            await states(supervisor)
        assert not ended.done()
        await crash("b")
        assert await ended == "shutdown"
        assert log[-2:] == ["-b", "-a"]
    told = [record.getMessage() for record in caplog.records if record.name == "stanchion.supervisor"]
    assert told == [
        "Supervisor <shop.1 s> restarts child 'a': restart 1 of 2 within 60 s; reason: ValueError('crash of a')",
        "Supervisor <shop.1 s> restarts child 'a': restart 2 of 2 within 60 s; reason: ValueError('crash of a')",
        (
            "Supervisor <shop.1 s> gives up: child 'b' needs restart 3, and allowed are 2 within 60 s; "
            "last reason: ValueError('crash of b')"
        ),
    ]


async def test_supervisor_gives_up_at_the_first_crash_when_no_restart_is_allowed():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a")], "one_for_one", 0)
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await crash("a")
        assert await ended == "shutdown"


async def test_supervisor_above_restarts_one_that_gave_up():
    log = []
    async with quick_node():
        inner = supervisor_spec([recorder(log, "a")], max_restarts=0, name="inner")
        outer = await start(Supervisor, [inner])
        before = pid_of("inner")
        await crash("a")
        await wait_exit(before, timeout=5)
        assert await states(outer) == {"inner": "running"}
        assert await states(pid_of("inner")) == {"a": "running"}
        assert log == ["+a", "-a", "+a"]


async def test_each_restart_is_an_event():
    seen = []
    async with quick_node("shop") as node:
        node.telemetry.attach(CHILD_RESTART, lambda event, numbers, details: seen.append((numbers, details)))
        supervisor = await start(Supervisor, [recorder([], "a")], name="s")
        await end_of("a", "normal")
        await end_of_restart(supervisor)
        await end_of("a", "shutdown")
        await end_of_restart(supervisor)
        common = {"node": "shop", "pid": supervisor, "name": "s", "child_id": "a"}
        assert seen == [
            ({"restarts": 1, "attempt": 1, "delay": 0.0}, {**common, "reason": "normal"}),
            ({"restarts": 2, "attempt": 2, "delay": 0.0}, {**common, "reason": "shutdown"}),
        ]


async def end_of_restart(supervisor):
    assert await states(supervisor) == {"a": "running"}


def failing(times: int, failure: Exception):
    """Return an init that succeeds, then fails so many times, then succeeds again."""
    calls = []

    def init():
        calls.append(1)
        if 1 < len(calls) <= 1 + times:
            raise failure

    return init, calls


async def test_failed_restart_is_tried_again_and_counts(caplog):
    init, calls = failing(2, OSError("port in use"))
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [child_spec(InitBy, init, name="a")], name="s")
        await stop("a")
        while (await states(supervisor))["a"] != "running":
            pass
        assert len(calls) == 4
    told = [record.getMessage() for record in caplog.records if record.name == "stanchion.supervisor"]
    failed = "start of child 'a' of Supervisor <shop.1 s>: expected init to finish, got OSError('port in use')"
    assert told == [
        "Supervisor <shop.1 s> restarts child 'a': restart 1 of 3 within 5 s; reason: 'normal'",
        failed,
        "Supervisor <shop.1 s> restarts child 'a': restart 2 of 3 within 5 s; reason: OSError('port in use')",
        failed,
        "Supervisor <shop.1 s> restarts child 'a': restart 3 of 3 within 5 s; reason: OSError('port in use')",
    ]


async def test_supervisor_gives_up_when_restarts_keep_failing():
    init, calls = failing(99, OSError("port in use"))
    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(InitBy, init, name="a")])
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await stop("a")
        assert await ended == "shutdown"
        assert len(calls) == 4


async def test_supervisor_hears_what_else_came_between_two_failed_restarts():
    # OTP's supervisor returns to its loop for the same reason: try_again_restart.
    async with quick_node():
        init, calls = failing(99, OSError("port in use"))

        def fail_and_ask_to_stop():
            if len(calls) == 1:
                asyncio.get_running_loop().call_soon(asking.append, asyncio.ensure_future(stop(supervisor)))
            init()

        asking: list[asyncio.Task[None]] = []
        supervisor = await start(Supervisor, [child_spec(InitBy, fail_and_ask_to_stop, name="a")], "one_for_one", 1000)
        ended = asyncio.ensure_future(wait_exit(supervisor, timeout=5))
        await stop("a")
        assert await ended == "normal"
        await asking[0]
        assert len(calls) < 10


async def test_restart_that_hangs_counts_as_failed():
    calls = []

    async def hang_at_the_second():
        calls.append(1)
        if len(calls) == 2:
            await hang()

    async with quick_node(exit_grace=0.05):
        supervisor = await start(Supervisor, [child_spec(InitBy, hang_at_the_second, name="a", timeout=0.01)])
        await stop("a")
        while (await states(supervisor))["a"] != "running":
            pass
        assert len(calls) == 3


async def test_child_that_is_ignored_at_its_restart_stays_stopped():
    calls = []

    def ignore_at_the_second():
        calls.append(1)
        return IGNORE if len(calls) == 2 else None

    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(InitBy, ignore_at_the_second, name="a")])
        await stop("a")
        assert await states(supervisor) == {"a": "stopped"}


async def test_supervisor_says_so_when_it_has_no_clause_for_a_message():
    async with quick_node():
        supervisor = await start(Supervisor, [recorder([], "a")])
        send(supervisor, "hello")
        with pytest.raises(Exception, match=r"expected Supervisor.handle_call\(\) to know the request, got 'hello'"):
            await call(supervisor, "hello")
        assert await states(supervisor) == {"a": "running"}


async def test_restarted_child_answers_at_once():
    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(Recorder, [], "a", name="a")])
        await crash("a")
        await states(supervisor)
        assert pid_of("a").alive


async def test_child_that_ends_the_program_is_not_restarted(caplog):
    async with quick_node():
        supervisor = await start(Supervisor, [child_spec(hang, name="a")])
        exit(pid_of("a"), SystemExit(3))
        await wait_exit(pid_of("a"), timeout=5)
        assert await states(supervisor) == {"a": "stopped"}
    assert not caplog.messages
