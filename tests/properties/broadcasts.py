# SPDX-License-Identifier: MIT
"""Broadcasts that every mailbox accepts or none, whatever runs between. Run with one seed, it checks itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any
from unittest.mock import patch

import stanchion as st
from stanchion.delivery import _attempt, _sending
from stanchion.kernel import Envelope, MailboxPolicy, Process, Refusal
from stanchion.testing import SeededLoop, advance, start_supervised

OVERFLOWS = ("reject", "drop_newest", "drop_oldest", "block")
QUICK = st.Backoff(initial=0.1, factor=1, jitter=1)

Logs = dict[str, Counter[object]]
"""What each receiver began to handle, and how often, over all its lives."""

Puts = list[tuple[object, bool]]
"""Each message that was put into a mailbox, and whether it was taken, in order."""


class Slow(st.GenServer):
    """Takes its time for each message, and crashes on some."""

    def init(self, log: Counter[object], draw: Random) -> None:
        self.log = log
        self.draw = draw

    async def handle_cast(self, message: object) -> None:
        self.log[message] += 1
        await asyncio.sleep(self.draw.choice([0, 0, 0.01, 0.2]))
        if self.draw.random() < 0.02:
            raise RuntimeError("by chance")


async def broadcasts_are_atomic() -> None:
    """A broadcast is put into every mailbox, one right after the other, and taken by all; or it is put into none."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SeededLoop)
    puts: Puts = []

    def enqueue(node: st.Node, process: Process, message: object, *rest: Any) -> tuple[Envelope, Refusal | None]:
        envelope, refusal = _attempt.enqueue(node, process, message, *rest)
        puts.append((message, refusal is None))
        return envelope, refusal

    with patch.object(_sending, "enqueue", enqueue):
        await _broadcasts(loop.random, puts)


async def _broadcasts(draw: Random, puts: Puts) -> None:
    logs: Logs = {f"receiver-{number}": Counter() for number in range(draw.randint(2, 4))}
    for name, log in logs.items():
        policy = MailboxPolicy(draw.randint(1, 3), draw.choice(OVERFLOWS))
        await start_supervised(st.child_spec(Slow, log, draw, name=name, mailbox=policy))
    wanted = {number: [name for name in logs for _ in range(draw.choice([1, 1, 1, 2]))] for number in range(4)}
    tasks = [asyncio.create_task(_broadcast(number, refs, draw, logs)) for number, refs in wanted.items()]
    tasks += [asyncio.create_task(_meddle(name, draw)) for name in logs]
    tasks += [asyncio.create_task(_send(name, draw)) for name in logs]
    await asyncio.gather(*tasks)
    for number, refs in wanted.items():
        if (number, True) in puts or (number, False) in puts:
            first = next(place for place, put in enumerate(puts) if put[0] == number)
            assert puts[first : first + len(refs)] == [(number, True)] * len(refs)


async def _broadcast(number: int, refs: list[str], draw: Random, logs: Logs) -> None:
    """Send one, and check its report against what the receivers saw."""
    await asyncio.sleep(draw.choice([0, 0.05, 0.3]))
    sending = asyncio.create_task(
        st.broadcast_supervised(
            refs,
            number,
            strategy="all_or_nothing",
            timeout=draw.choice([0.1, 5]),
            retries=draw.choice([0, 3, 8]),
            backoff=QUICK,
            on_error="ignore",
        )
    )
    if draw.random() < 0.2:
        await asyncio.sleep(draw.choice([0, 0.1]))
        sending.cancel()
        await asyncio.wait([sending])
        return
    report = await sending
    aborted = [delivery for delivery in report.deliveries if delivery.reason is st.Reason.ABORTED]
    await advance(10)  # what was taken is handled by now
    if aborted:
        assert not any(report.confirmed)
        assert all(delivery.outcome == "rejected" for delivery in report.deliveries)
        assert not any(log[number] for log in logs.values())
    for delivery in report.confirmed:
        name = delivery.recipient
        assert isinstance(name, str)
        assert logs[name][number]
    for name, log in logs.items():
        if all(d.outcome == "rejected" for d in report.deliveries if d.recipient == name):
            assert not log[number]


async def _meddle(name: str, draw: Random) -> None:
    """Fill a mailbox with casts, and kill who reads it now and then."""
    for _ in range(10):
        st.cast(name, "noise")
        await asyncio.sleep(draw.choice([0, 0.01, 0.1]))
        pid = st.whereis(name)
        if pid is not None and draw.random() < 0.1:
            st.exit(pid, "kill")


async def _send(name: str, draw: Random) -> None:
    """Compete for the places in a mailbox."""
    for number in range(5):
        await st.send_supervised(name, ("alone", number), retries=1, timeout=1, backoff=QUICK, on_error="ignore")
        await asyncio.sleep(draw.choice([0, 0.1]))
