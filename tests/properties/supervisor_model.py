# SPDX-License-Identifier: MIT
"""What a supervisor is to do, written down a second time: without processes, in the order of its mailbox.

It follows OTP's supervisor.erl: restart/2, terminate_children/2, do_auto_shutdown/2 and try_again_restart/1; what is
beyond OTP, backoff and budget, follows the documentation.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Restart = Literal["permanent", "transient", "temporary"]
Outcome = Literal["ok", "fail", "ignore"]

FIRST_DELAY, LONGEST_DELAY = 0.31, 3.1  # so that no end of a delay falls on a step's time


class Spec(NamedTuple):
    """One child_spec."""

    label: str
    restart: Restart
    significant: bool
    backoff: bool
    budget: int | None


class Settings(NamedTuple):
    """A supervisor's flags."""

    strategy: str
    auto_shutdown: str
    max_restarts: int
    max_seconds: float


@dataclass
class Child:
    """One child: what its supervisor knows of it."""

    spec: Spec
    has_pid: bool = False
    alive: bool = False
    # Not None while it waits for a start: the retry's failure, or that it waits for its delay.
    waits: Literal["failed", "delayed"] | None = None
    # When its delay is over, and which of those of one time was the first.
    due: tuple[float, int] = (0.0, 0)
    started: float | None = None
    row: int = 0
    restarts: list[float] = field(default_factory=list[float])

    @property
    def state(self) -> str:
        return "restarting" if self.waits else "running" if self.has_pid else "stopped"


class Model:
    """A supervisor: ``log`` has each start (+), end (-), failed (!) and ignored (?) start in order."""

    def __init__(self, settings: Settings, plan: dict[str, list[Outcome]]) -> None:
        self.settings = settings
        self.plan = plan
        self.children: dict[str, Child] = {}
        self.log: list[str] = []
        self.now = 0.0
        self.restarts: list[float] = []
        self.down = False
        self.turns = itertools.count()
        # What is yet to be handled: an abnormal or other exit, a failed start, or the end of a delay.
        self.mailbox: deque[tuple[Child, Literal["crash", "exit", "failed", "delayed"]]] = deque()

    @property
    def states(self) -> dict[str, str]:
        return {label: child.state for label, child in self.children.items()}

    # --- what happens to it ----------------------------------------------------------------------

    def begin(self, specs: list[Spec]) -> bool:
        """Start the first children; return whether all of them started."""
        for spec in specs:
            if self.add(spec) == "fail":
                self.stop(list(self.children.values()))
                return False
        return True

    def add(self, spec: Spec) -> Outcome:
        child = Child(spec)
        outcome = self.start(child)
        if outcome == "ok" or (outcome == "ignore" and spec.restart != "temporary"):
            self.children[spec.label] = child
        return outcome

    def end(self, labels: list[str], *, abnormal: bool) -> None:
        """Have processes end in this order, before the supervisor hears of any."""
        for label in labels:
            child = self.children[label]
            child.alive = False
            self.log.append(f"-{label}")
            self.mailbox.append((child, "crash" if abnormal else "exit"))
        self.settle()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while not self.down:
            waiting = [child for child in self.children.values() if child.waits == "delayed" and child.due[0] <= end]
            if not waiting:
                break
            self.now = min(child.due for child in waiting)[0]
            over = [child for child in waiting if child.due[0] == self.now]
            self.mailbox.extend((child, "delayed") for child in sorted(over, key=lambda child: child.due))
            self.settle()
        self.now = end

    def terminate(self, label: str) -> None:
        child = self.children[label]
        self.stop([child])
        self.forget_temporary([child])

    def restart_by_hand(self, label: str) -> Outcome:
        child = self.children[label]
        child.row, child.restarts = 0, []
        return self.start(child)

    def delete(self, label: str) -> None:
        del self.children[label]

    # --- what it does ----------------------------------------------------------------------------

    def settle(self) -> None:
        """Handle the mailbox until it is empty."""
        while self.mailbox and not self.down:
            child, what = self.mailbox.popleft()
            if what == child.waits == "failed":
                self.restart(child)
            elif what == child.waits == "delayed":
                self.start_group(self.stop_group(child))
            elif what in ("crash", "exit") and child.has_pid and not child.alive:
                child.has_pid = False
                kind = child.spec.restart
                if kind == "permanent" or (kind == "transient" and what == "crash"):
                    self.restart(child)
                else:
                    self.forget_temporary([child])
                    self.shut_down_after(child)

    def restart(self, child: Child) -> None:
        window = self.restarts if child.spec.budget is None else child.restarts
        allowed = self.settings.max_restarts if child.spec.budget is None else child.spec.budget
        window[:] = [at for at in window if at >= self.now - self.settings.max_seconds] + [self.now]
        quiet = LONGEST_DELAY if child.spec.backoff else self.settings.max_seconds
        if child.started is not None and self.now - child.started >= quiet:
            child.row = 0
        child.row += 1
        if len(window) > allowed:
            if child.spec.budget is None:
                self.go_down()
            else:
                self.leave(child)
            return
        group = self.stop_group(child)
        if child.spec.backoff:
            delay = min(FIRST_DELAY * 2 ** (child.row - 1), LONGEST_DELAY)
            child.waits, child.due = "delayed", (self.now + delay, next(self.turns))
        else:
            self.start_group(group)

    def leave(self, child: Child) -> None:
        failed, child.waits = child.waits == "failed", None
        if not self.shut_down_after(child) and failed:
            group = self.group_of(child)
            self.start_group([one for one in group[group.index(child) + 1 :] if not one.has_pid])

    def shut_down_after(self, child: Child) -> bool:
        mode = self.settings.auto_shutdown
        everybody = list(self.children.values())
        active = [one for one in everybody if one.state != "stopped"]
        active += [one for waits in everybody if waits.waits == "delayed" for one in self.group_of(waits)]
        left = any(one.spec.significant for one in active)
        if child.spec.significant and (mode == "any_significant" or not left):
            self.go_down()
        return self.down

    def go_down(self) -> None:
        self.down = True
        self.stop(list(self.children.values()))

    def group_of(self, child: Child) -> list[Child]:
        everybody = list(self.children.values())
        at = everybody.index(child)
        return {"one_for_one": [child], "one_for_all": everybody, "rest_for_one": everybody[at:]}[
            self.settings.strategy
        ]

    def stop_group(self, child: Child) -> list[Child]:
        group = self.group_of(child)
        self.stop(group)
        self.forget_temporary(group)
        return [one for one in group if one.spec.restart != "temporary"]

    def start_group(self, group: list[Child]) -> None:
        for child in group:
            if self.start(child) == "fail":
                child.waits = "failed"
                self.mailbox.append((child, "failed"))
                return

    def start(self, child: Child) -> Outcome:
        label = child.spec.label
        planned = self.plan.get(label)
        outcome = planned.pop(0) if planned else "ok"
        child.has_pid = child.alive = outcome == "ok"
        child.started = self.now if outcome == "ok" else None
        self.log.append({"ok": "+", "fail": "!", "ignore": "?"}[outcome] + label)
        return outcome

    def stop(self, group: list[Child]) -> None:
        for child in reversed(group):
            if child.alive:
                self.log.append(f"-{child.spec.label}")
            child.has_pid = child.alive = False
            child.waits = None

    def forget_temporary(self, group: list[Child]) -> None:
        for child in group:
            if child.spec.restart == "temporary" and not child.has_pid:
                del self.children[child.spec.label]
