# SPDX-License-Identifier: MIT
"""Running the user's ``on_exhausted`` hook, apart from everything that it could disturb."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from stanchion.dead_letters._letter import DeadLetter

_log = logging.getLogger("stanchion.dead_letters")

ExhaustedHook: TypeAlias = Callable[[DeadLetter], Awaitable[None] | None]
"""Called with each letter that will not be redelivered any more unless a person says so."""

_CLOSE_GRACE: Final = 5.0


class HookRunner:
    """Calls the hook in a task for each letter: one that raises or hangs harms no other.

    The tasks run in the context that the runner was made in.
    """

    __slots__ = ("_context", "_hook", "_tasks")

    def __init__(self, hook: ExhaustedHook | None) -> None:
        self._hook = hook
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, letter: DeadLetter) -> None:
        """Begin to call the hook, if there is one."""
        if self._hook is not None:
            task = asyncio.get_running_loop().create_task(
                self._call(self._hook, letter), name="dead-letters-on-exhausted", context=self._context.copy()
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Return when no hook runs; those that take longer than 5 s are cancelled.

        One that goes on for 5 s more although it was cancelled is left behind.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_GRACE)
        for task in self._tasks:
            _log.error("on_exhausted runs for more than %g s after the queue closed, and is cancelled", _CLOSE_GRACE)
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_GRACE)
        for _ in self._tasks:
            _log.error("on_exhausted runs on although it was cancelled, and is left behind")

    async def _call(self, hook: ExhaustedHook, letter: DeadLetter) -> None:
        try:
            result = hook(letter)
            if inspect.isawaitable(result):
                await result
        except Exception:  # noqa: BLE001 - the hook is users' code
            _log.exception("on_exhausted raised for dead letter %s", letter.id)
