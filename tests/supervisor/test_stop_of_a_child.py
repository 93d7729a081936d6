# SPDX-License-Identifier: MIT
"""What a supervisor says of a child that does not end as it is told to. As shutdown/1 of OTP 25's supervisor."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.kernel import ProcessExit, exit, trap_exit, unlink, wait_exit
from stanchion.server import GenServer, start
from stanchion.supervisor import Supervisor, child_spec, count_children, terminate_child
from tests.supervisor.servers import hang, pid_of, quick_node, states

ERROR = "Supervisor <shop.1 s>: child 'a' was told to stop, and exited with "


class Ends(GenServer):
    """Ends with a reason of its own when it is told to stop."""

    def init(self, reason):
        trap_exit()
        self.reason = reason

    def terminate(self, reason):
        raise self.reason if isinstance(self.reason, Exception) else ProcessExit(self.reason)


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "stanchion.supervisor"]


async def stop_one(spec, before=None) -> None:
    async with quick_node("shop"):
        supervisor = await start(Supervisor, [spec], name="s")
        if before is not None:
            await before()
        await terminate_child(supervisor, "a")


@pytest.mark.parametrize(
    ("restart", "reason", "told_of"),
    [
        ("permanent", "shutdown", False),
        ("permanent", "normal", True),
        ("permanent", ("shutdown", 1), True),
        ("transient", "normal", False),
        ("transient", ("shutdown", 1), False),
        ("temporary", "normal", False),
        ("transient", "killed", True),
    ],
)
async def test_other_reason_is_an_error_unless_a_child_that_may_end_ends_well(caplog, restart, reason, told_of):
    await stop_one(child_spec(Ends, reason, name="a", restart=restart))
    assert told(caplog) == ([f"{ERROR}{reason!r}"] if told_of else [])


async def test_crash_while_stopping_is_told(caplog):
    await stop_one(child_spec(Ends, ValueError("no"), name="a", restart="temporary"))
    assert told(caplog) == [f"{ERROR}ValueError('no')"]


async def test_brutal_kill_is_as_told(caplog):
    await stop_one(child_spec(Ends, "normal", name="a", shutdown="brutal_kill"))
    assert told(caplog) == []


async def test_kill_of_somebody_else_is_no_shutdown(caplog):
    async def kill():
        exit(pid_of("a"), "kill")

    await stop_one(child_spec(hang, name="a"), kill)
    assert told(caplog) == [f"{ERROR}'killed'"]


async def test_child_that_ended_before_is_told_with_its_own_reason(caplog):
    async with quick_node("shop"):
        specs = [child_spec(hang, name="b"), child_spec(hang, name="a")]
        supervisor = await start(Supervisor, specs, "one_for_all", name="s")
        await asyncio.sleep(0)
        ends = [wait_exit(pid_of(name), timeout=5) for name in "ba"]
        for name in "ba":
            exit(pid_of(name), "kill")
        await asyncio.gather(*ends)
        assert await states(supervisor) == {"b": "running", "a": "running"}
    assert told(caplog) == [
        "Supervisor <shop.1 s> restarts child 'b': restart 1 of 3 within 5 s; reason: 'killed'",
        f"{ERROR}'killed'",
    ]


async def test_child_that_unlinked_itself_is_stopped_all_the_same(caplog):
    class Unlinks(GenServer):
        def init(self, reached):
            trap_exit()
            unlink(pid_of("s"))
            reached.set()

    reached = asyncio.Event()
    async with quick_node("shop") as node:
        supervisor = await start(Supervisor, [child_spec(Unlinks, reached, name="a")], name="s")
        await terminate_child(supervisor, "a")
        assert await states(supervisor) == {"a": "stopped"}
        assert list(node.processes) == [supervisor.id]
    assert told(caplog) == []


async def test_end_of_a_child_that_unlinked_itself_is_not_heard(caplog):
    # As in OTP: it hears by the link alone. count_children looks who is alive.
    async def unlinks():
        unlink(pid_of("s"))
        await hang()

    async with quick_node("shop"):
        supervisor = await start(Supervisor, [child_spec(unlinks, name="a")], name="s")
        await asyncio.sleep(0)
        pid = pid_of("a")
        exit(pid, "kill")
        await wait_exit(pid, timeout=5)
        assert await states(supervisor) == {"a": "running"}
        assert (await count_children(supervisor)).active == 0
        await terminate_child(supervisor, "a")
        assert await states(supervisor) == {"a": "stopped"}
    assert told(caplog) == [f"{ERROR}'noproc'"]


async def test_exit_signal_that_a_child_sends_to_its_supervisor_is_not_its_exit():
    # OTP takes it for one, and starts a second process beside the first.
    async def signals():
        exit(pid_of("s"), "normal")
        await hang()

    async with quick_node("shop"):
        supervisor = await start(Supervisor, [child_spec(signals, name="a")], name="s")
        before = pid_of("a")
        await asyncio.sleep(0)
        assert await states(supervisor) == {"a": "running"}
        assert pid_of("a") is before
