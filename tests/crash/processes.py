# SPDX-License-Identifier: MIT
"""OS processes that are there to be killed.

They are forked from one that has loaded everything and has no threads, no loop and no connections: a new process takes
milliseconds, and has nothing of the one before it but its code.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy import event

Say: TypeAlias = Callable[[bytes], None]
"""Tells the process that forked this one."""

_LONGEST: Final = 30.0
"""Seconds after which a process that says nothing is taken to hang."""


class Kill(NamedTuple):
    """The moment at which a process is to die.

    Attributes:
        when: ``start``: so many seconds after the fork. ``work``: so many after it said that it is at work. ``step``: by
            its own hand, between two steps of its database connections.
        value: Seconds, or the number of the step.
    """

    when: Literal["start", "work", "step"]
    value: float


def any_moment(random: Random) -> Kill:
    """Draw a moment at which a process that works is killed, most of them in the middle of its work."""
    when = random.choices(("start", "work", "step"), (1, 5, 3))[0]
    if when == "start":
        return Kill("start", random.uniform(0, 0.08))
    if when == "work":
        return Kill("work", random.uniform(0, 0.2))
    return Kill("step", int(10 ** random.uniform(0, 2.5)))  # as many within the first ten as within the last hundreds


class Child:
    """A process that runs a coroutine function and ends with it, unless it is killed before.

    Args:
        main: What it runs.
        errors: The file that its standard error goes to.
    """

    def __init__(self, main: Callable[[Say], Coroutine[object, object, None]], errors: Path) -> None:
        heard, said = os.pipe()
        self.started: Final = time.monotonic()
        self.pid: Final = os.fork()
        if self.pid == 0:
            os.close(heard)
            _run(main, said, errors)
        os.close(said)
        self._heard = heard
        self._errors = errors

    def hear(self, seconds: float = _LONGEST) -> bytes:
        """Return what it says next; nothing when it has ended, or the seconds are over."""
        ready, _, _ = select.select([self._heard], [], [], seconds)
        return os.read(self._heard, 1 << 16) if ready else b""

    def result(self) -> bytes:
        """Return all that it said, when it has ended by itself.

        Raises:
            RuntimeError: it failed, or hangs.
        """
        deadline, parts = time.monotonic() + _LONGEST, [b""]
        while part := self.hear(deadline - time.monotonic()):
            parts.append(part)
        if time.monotonic() >= deadline:
            os.kill(self.pid, signal.SIGKILL)
        self._end(expected=0)
        return b"".join(parts)

    def kill(self, kill: Kill, before: Callable[[], object]) -> None:
        """Return when it is dead; it dies by SIGKILL at the moment that was drawn, or soon after.

        Args:
            kill: The moment.
            before: Called right before it is killed.

        Raises:
            RuntimeError: it ended in another way before.
        """
        if kill.when == "start":
            _sleep_until(self.started + kill.value)
        elif self.hear():
            # One that dies by its own hand is not waited for: it may have too little to do to come so far.
            self.hear(kill.value if kill.when == "work" else 0.5)
        elif kill.when == "work":
            self._end_now()
            raise RuntimeError(f"process {self.pid}: expected it to be at work within {_LONGEST:g} s\n{self._said()}")
        before()
        self._end_now()

    def _end_now(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._end(expected=-signal.SIGKILL)

    def _end(self, expected: int) -> None:
        _, status = os.waitpid(self.pid, 0)
        os.close(self._heard)
        code = os.waitstatus_to_exitcode(status)
        if code != expected:
            raise RuntimeError(f"process {self.pid}: expected it to end with {expected}, got {code}\n{self._said()}")

    def _said(self) -> str:
        return self._errors.read_text(encoding="utf-8", errors="replace") if self._errors.exists() else ""


def _run(main: Callable[[Say], Coroutine[object, object, None]], said: int, errors: Path) -> None:
    """Be the process; never returns."""
    code = 1
    try:
        _die_with_parent()
        os.dup2(os.open(errors, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), sys.stderr.fileno())
        asyncio.run(main(lambda text: _write_all(said, text)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # what is registered to run at exit is the forking process's


def _die_with_parent() -> None:
    """Have Linux kill this process when the one that forked it ends, if only by a timeout of the test."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _write_all(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.monotonic()))


def die_at_step(number: int, before: Callable[[], object]) -> None:
    """Have this process kill itself between two steps of its database connections.

    Args:
        number: Which step it does not survive. A statement has two, before it is run and after it; a commit has one,
            right before it.
        before: Called right before it dies.
    """
    steps = itertools.count(1)

    def step(*_: object) -> None:
        if next(steps) == number:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(sa.Engine, name, step)
