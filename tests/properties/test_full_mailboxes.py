# SPDX-License-Identifier: MIT
"""Senders of every kind at one small mailbox, under random orders of sends, handling, signals and cancellations."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

import stanchion as st
from stanchion.telemetry import DEAD_LETTER, DROPPED
from tests.kernel.helpers import Events, process_of, quick_node

KINDS = ("cast", "call", "processed", "enqueued", "credit")

POLICIES = some.builds(
    st.MailboxPolicy,
    some.integers(1, 3),
    some.sampled_from(["reject", "drop_newest", "drop_oldest", "block"]),
    system_first=some.booleans(),
)
STEPS = some.lists(
    some.one_of(
        some.tuples(some.sampled_from(KINDS), some.integers(0, 1)),
        some.tuples(some.sampled_from(["handle", "cancel", "signal", "turn"]), some.integers(0, 9)),
    ),
    min_size=10,
    max_size=40,
)


class Slow(st.GenServer):
    """Handles one message for each permit."""

    def init(self, seen: list[Any], permits: asyncio.Semaphore) -> None:
        self.seen, self.permits = seen, permits

    async def handle_cast(self, message: Any) -> None:
        await self.permits.acquire()
        self.seen.append(message)

    async def handle_call(self, request: Any, sender: st.Sender) -> Any:
        await self.handle_cast(request)
        return request

    def handle_info(self, message: Any) -> None:
        self.seen.append(message)


class Crowd:
    """Sends, and what became of each one."""

    def __init__(self, pid: st.Pid) -> None:
        self.pid = pid
        self.sent: dict[tuple[int, int], str] = {}
        self.tasks: dict[tuple[int, int], asyncio.Task[Any]] = {}
        self.credits = [st.credits(pid, window=2, timeout=None) for _ in range(2)]

    async def send(self, kind: str, sender: int) -> None:
        """Send one more message, and let it arrive."""
        message = (sender, len(self.sent))
        self.sent[message] = kind
        if kind == "cast":
            st.cast(self.pid, message)
            return
        options: dict[str, Any] = {"timeout": None, "deadline": None, "retries": 0, "on_error": "ignore"}
        work: Any
        if kind == "call":
            work = st.call(self.pid, message, timeout=None)
        elif kind == "credit":
            work = self.credits[sender].cast(message)
        else:
            work = st.send_supervised(self.pid, message, ack=kind, **options)
        self.tasks[message] = asyncio.create_task(work)
        await asyncio.sleep(0)

    def fate(self, message: tuple[int, int]) -> str:
        """Say what its sender knows: handled, lost, taken back, or untold."""
        task = self.tasks.get(message)
        if task is None or task.cancelled():
            return "untold"
        error, kind = task.exception(), self.sent[message]
        if error is not None:
            assert isinstance(error, st.StanchionError)
            return "untold" if getattr(error, "handled", False) else "lost"
        outcome = task.result()
        if kind in ("call", "processed"):
            known = outcome if kind == "processed" else True
            return "handled" if known else ("untold" if outcome.outcome == "unknown" else "lost")
        return "untold" if outcome else "lost"


@given(POLICIES, STEPS, some.booleans())
async def test_each_message_has_one_fate_and_nobody_hangs(
    policy: st.MailboxPolicy, steps: list[tuple[str, int]], killed: bool
) -> None:
    async with quick_node() as node:
        events = Events(node, DROPPED, DEAD_LETTER)
        seen: list[Any] = []
        permits = asyncio.Semaphore(0)
        pid = await st.start(Slow, seen, permits, mailbox=policy)
        crowd = Crowd(pid)
        signals = 0
        for what, number in steps:
            if what in KINDS:
                await crowd.send(what, number)
            elif what == "handle":
                permits.release()
            elif what == "signal":
                process_of(pid).mailbox.put_system(("info", f"signal {signals}", None))
                signals += 1
            elif what == "cancel" and crowd.tasks:
                list(crowd.tasks.values())[number % len(crowd.tasks)].cancel()
            else:
                await asyncio.sleep(0)
        in_hand = None
        if killed:
            handling = process_of(pid).handling
            in_hand = None if handling is None else handling[1]
            st.exit(pid, "kill")
            await st.wait_exit(pid, timeout=5)
        else:
            for _ in range(len(steps) + 1):
                permits.release()
        async with asyncio.timeout(5):
            await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
            if not killed:
                await st.stop(pid)

        told = events.all("message")
        handled = [message for message in seen if not isinstance(message, str)]
        assert len(handled) == len(set(handled))
        assert not set(handled) & set(told)
        assert len(told) == len(set(told))
        if not killed:
            assert [message for message in seen if isinstance(message, str)] == [f"signal {n}" for n in range(signals)]
        for message, kind in crowd.sent.items():
            fate = crowd.fate(message)
            if fate != "untold":
                assert (message in handled) == (fate == "handled")
            elif message not in crowd.tasks or not crowd.tasks[message].cancelled():
                # Where nobody was told, an event tells.
                assert message in handled or message in told or message == in_hand, (message, kind)
        for sender in range(2):
            numbers = [number for who, number in handled if who == sender]
            plain = [number for number in numbers if crowd.sent[sender, number] != "credit"]
            credited = [number for number in numbers if crowd.sent[sender, number] == "credit"]
            assert plain == sorted(plain)
            assert credited == sorted(credited)  # these wait for a credit before they are sent
