# SPDX-License-Identifier: MIT
"""Random machines, against a model of gen_statem's event queue that fits on one screen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stanchion.testing import VirtualTimeLoop
from tests.state_machine.random_machines import Action, Result, run


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


class Model:
    """What is to happen, with the words of gen_statem's documentation and lists in place of everything else."""

    def __init__(self, results: list[Result], *, enter: bool) -> None:
        self.results = list(results)
        self.enter = enter
        self.state = "a"
        self.queue: list[str] = []
        self.postponed: list[str] = []
        self.timers: dict[str, tuple[float, int, int]] = {}  # kind: (when, number, content)
        self.zero: list[tuple[str, int]] = []
        self.now = 0.0
        self.number = 0
        self.trace: list[str] = []

    def run(self, first: list[Action], messages: list[int]) -> list[str]:
        timeouts = [action for action in first if action[0] == "timeout"]
        inserted = [f"internal {action[1]}" for action in first if action[0] == "insert"]
        if self.enter:
            timeouts += self.entered("a")
        self.arrange(inserted, timeouts, changed=False)
        self.drain()
        for message in messages:
            self.handle(f"cast {message}")
            self.drain()
        while self.timers:
            kind = min(self.timers, key=self.timers.__getitem__)
            self.now, _, content = self.timers.pop(kind)
            self.handle(f"{kind} {content}")
            self.drain()
        return self.trace

    def drain(self) -> None:
        while self.queue or self.zero:
            if self.queue:
                self.handle(self.queue.pop(0))
            else:
                kind, content = self.zero.pop(0)
                self.handle(f"{kind} {content}")

    def call(self, event: str) -> Result:
        self.trace.append(f"{self.state} {event}")
        return self.results.pop(0) if self.results else ("keep", "", [])

    def handle(self, event: str) -> None:
        kind, to, actions = self.call(event)
        old = self.state
        changed = kind == "next" and to != old
        if changed:
            self.state = to
        timeouts = [action for action in actions if action[0] == "timeout"]
        if self.enter and (changed or kind == "repeat"):
            timeouts += self.entered(old)
        if ("postpone",) in actions:
            self.postponed.append(event)
        self.arrange([f"internal {action[1]}" for action in actions if action[0] == "insert"], timeouts, changed)

    def entered(self, old: str) -> list[Action]:
        timeouts: list[Action] = []
        kind = "repeat"
        while kind == "repeat":
            kind, _, actions = self.call(f"enter {old}")
            timeouts += [action for action in actions if action[0] == "timeout"]
        return timeouts

    def arrange(self, inserted: list[str], timeouts: list[Action], changed: bool) -> None:
        if changed:
            self.queue = self.postponed + self.queue
            self.postponed = []
            self.cancel("state_timeout")
        self.cancel("timeout")
        self.queue = inserted + self.queue
        for index, (_, kind, seconds, content) in enumerate(timeouts):
            if kind in [later[1] for later in timeouts[index + 1 :]]:
                continue
            if seconds == "update" and kind in self.timers:
                self.timers[kind] = (*self.timers[kind][:2], content)
            elif seconds == "update" and kind in [one for one, _ in self.zero]:
                self.zero = [(one, content if one == kind else its) for one, its in self.zero]
            else:
                self.cancel(kind)
                if seconds in (0, "update"):
                    self.zero.append((kind, content))
                elif seconds is not None:
                    self.number += 1
                    self.timers[kind] = (self.now + seconds, self.number, content)

    def cancel(self, kind: str) -> None:
        self.timers.pop(kind, None)
        self.zero = [(one, content) for one, content in self.zero if one != kind]


TIMEOUTS = st.tuples(
    st.just("timeout"),
    st.sampled_from(["state_timeout", "timeout", "timeout(x)", "timeout(y)"]),
    st.sampled_from([0, 1, 2, None, "update"]),
    st.integers(0, 9),
)
INSERTS = st.tuples(st.just("insert"), st.integers(0, 9))
ACTIONS = st.lists(st.one_of(st.just(("postpone",)), INSERTS, TIMEOUTS), max_size=4)
RESULTS = st.tuples(st.sampled_from(["keep", "next", "next", "repeat"]), st.sampled_from("abc"), ACTIONS)


@given(
    results=st.lists(RESULTS, max_size=20),
    first=st.lists(st.one_of(INSERTS, TIMEOUTS), max_size=3),
    messages=st.lists(st.integers(0, 9), max_size=6),
    enter=st.booleans(),
)
@settings(max_examples=200)
async def test_machine_handles_events_in_the_order_of_the_model(
    results: list[Result], first: list[Action], messages: list[int], enter: bool
) -> None:
    model = Model(results, enter=enter)
    expected = model.run(first, messages)
    assert await run(results, first, messages, enter=enter, wait=1000) == expected
