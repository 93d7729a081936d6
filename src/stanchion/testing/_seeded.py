# SPDX-License-Identifier: MIT
"""Seeded scheduling: the order in which ready processes run is drawn, and the same seed draws it again.

asyncio runs ready tasks in the order in which they became ready, always. So a program may rely on an order that
nothing promises, and a test never shows it. Here each step of a task is drawn from all that are ready.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from bisect import insort
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, TypeVarTuple, Unpack, cast
from weakref import WeakKeyDictionary

from stanchion._validate import whole_number
from stanchion.errors import InvalidOptionError
from stanchion.testing._virtual_time import VirtualTimeLoop

_Ts = TypeVarTuple("_Ts")


class SeededLoop(VirtualTimeLoop):
    """A ``VirtualTimeLoop`` that draws from a seed which of the ready tasks takes the next step.

    A process, too, is a task. Everything else keeps its order: callbacks of the loop run as they were scheduled, and
    messages of one sender to one receiver arrive as they were sent. Threads and real input are beyond the seed.

    Attributes:
        seed: The seed.
        random: For the choices of the test itself, and of the faults that it injects. It comes from the seed, too, and
            does not change the order of the tasks.

    Example:
        >>> import asyncio
        >>> from functools import partial
        >>> async def main():
        ...     log = []
        ...     async def note(word):
        ...         log.append(word)
        ...     await asyncio.gather(*map(note, "abcde"))
        ...     return "".join(log)
        >>> def run(seed):
        ...     with asyncio.Runner(loop_factory=partial(SeededLoop, seed)) as runner:
        ...         return runner.run(main())
        >>> run(1), run(2), run(1)
        ('adebc', 'becad', 'adebc')
    """

    def __init__(self, seed: int) -> None:
        """Make a loop.

        Args:
            seed: A whole number; the same one gives the same order, in each Python process and version.

        Raises:
            InvalidOptionError: ``seed`` is none.
        """
        super().__init__()
        try:
            self.seed = whole_number("SeededLoop(seed)", seed)
        except InvalidOptionError:
            self.close()
            raise
        # Seeded by texts, so that the two have nothing in common.
        self.random = Random(f"choices {seed}")
        self._order = Random(f"order {seed}")
        # Tasks in the order of their making. What is drawn depends on these numbers alone, and so not on the order in
        # which a set of tasks, TaskGroup's say, happens to be walked through.
        self._numbers: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        self._next_number = itertools.count().__next__
        # The steps that are ready, sorted. For each one there is one call of _run_any_step in the loop's own queue.
        self._steps: list[_Step] = []
        self._no_context = contextvars.Context()

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Have a callback run in a coming turn of the loop; a task's step in the place of any that is ready."""
        task = _task_of(callback)
        if task is None or context is None:  # a step always has one
            return super().call_soon(callback, *args, context=context)
        number = self._numbers.get(task)
        if number is None:
            number = self._numbers[task] = self._next_number()
        insort(self._steps, _Step(number, self._next_number(), callback, args, context))
        # In a context of its own, for a context cannot be entered twice.
        return super().call_soon(self._run_any_step, context=self._no_context)

    def _run_any_step(self) -> None:
        step = self._steps.pop(self._order.randrange(len(self._steps)))
        step.context.run(step.callback, *step.args)


class _Step(NamedTuple):
    """One step that a task is ready to take."""

    task: int
    arrival: int  # unique, so that sorting looks no further
    callback: Callable[..., object]
    args: tuple[Any, ...]
    context: contextvars.Context


def _task_of(callback: object) -> asyncio.Task[Any] | None:
    """Return the task whose step a callback is; None for any other callback, a task's public method among them."""
    task: object = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task) and not hasattr(asyncio.Task, getattr(callback, "__name__", "__step")):
        return cast("asyncio.Task[Any]", task)  # type: ignore[redundant-cast]  # pyright sees a Task[Unknown]
    return None
