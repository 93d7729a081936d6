# SPDX-License-Identifier: MIT
"""Sends with retries under random deadlines, scopes and recipients: none is begun too late, and each ends in time."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

import stanchion as st
from stanchion.kernel import current_node
from stanchion.testing import advance, run_isolated, start_supervised

TICK = 1 / 128
# Time is added up in another order than here.
CLOSE = 1e-6

SECONDS = some.floats(0.0, 6.0).map(lambda value: round(value, 2))
LIMITS = some.none() | SECONDS
DEEDS = some.lists(some.tuples(some.sampled_from(["take", "reject", "crash"]), SECONDS), min_size=1, max_size=8)
OPTIONS = some.fixed_dictionaries(
    {
        "timeout": LIMITS,
        "deadline": LIMITS,
        "retries": some.integers(0, 6),
        "ack": some.sampled_from(["processed", "enqueued"]),
        "ordered": some.booleans(),
        "backoff": some.builds(
            st.Backoff, initial=some.floats(0.01, 3.0), factor=some.floats(1.0, 3.0), jitter=some.floats(0.0, 0.5)
        ),
    }
)


class Erratic(st.GenServer):
    """Does one deed after the other, each of which takes its time."""

    def init(self, deeds: list[tuple[str, float]], begun: list[float]) -> None:
        self.deeds, self.begun = deeds, begun

    async def handle_cast(self, message: Any) -> Any:
        self.begun.append(current_node("test").clock.monotonic())
        deed, seconds = self.deeds.pop(0) if self.deeds else ("take", 0.0)
        await asyncio.sleep(seconds)
        if deed == "crash":
            raise ZeroDivisionError
        return st.Reject("not now") if deed == "reject" else None


class Watched(st.Via):
    """An address that keeps when it was looked up, as each attempt does."""

    def __init__(self) -> None:
        self.looked_up: list[float] = []

    def whereis(self) -> st.Pid | None:
        self.looked_up.append(current_node("test").clock.monotonic())
        return st.whereis("erratic")

    def register(self, pid: st.Pid) -> None: ...

    def unregister(self, pid: st.Pid) -> None: ...


@settings(max_examples=60, deadline=None)
@given(deeds=DEEDS, busy=SECONDS, scope=LIMITS, options=OPTIONS, seed=some.integers(0, 3))
def test_no_attempt_begins_after_the_deadline_and_the_outcome_comes_with_it(deeds, busy, scope, options, seed):
    async def program() -> None:
        begun: list[float] = []
        node, address = current_node("test"), Watched()
        await start_supervised(Erratic, deeds, begun, name="erratic")
        if busy:
            deeds.insert(0, ("take", busy))
            st.cast("erratic", "in the way")
            await advance(0)
        began = node.clock.monotonic()
        until = began + min((limit for limit in (scope, options["deadline"]) if limit is not None), default=3e9)
        if scope is None:
            delivery = await st.send_supervised(address, "hello", on_error="ignore", **options)
        else:
            async with st.deadline(scope):
                delivery = await st.send_supervised(address, "hello", on_error="ignore", **options)
        ended = node.clock.monotonic()
        assert ended <= until + TICK + CLOSE
        assert abs(delivery.elapsed - (ended - began)) <= CLOSE
        assert delivery.attempts <= options["retries"] + 1
        assert all(at <= until for at in address.looked_up)
        if scope == 0:
            assert (delivery.outcome, delivery.attempts) == ("rejected", 0)
        handled = len(begun)
        await advance(100)
        if delivery.outcome == "rejected":
            assert len(begun) == handled  # nothing of it comes later
        if scope is not None:
            assert all(at < began + scope for at in begun[1 if busy else 0 :])

    run_isolated(program, seed=seed, debug=False)
