# SPDX-License-Identifier: MIT
"""Running the user's hooks, apart from everything that they could disturb."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeAlias, TypeVar

from stanchion.dead_letters._letter import DeadLetter

_log = logging.getLogger("stanchion.dead_letters")

ExhaustedHook: TypeAlias = Callable[[DeadLetter], Awaitable[None] | None]
"""Called with each letter that will not be redelivered any more unless a person says so."""

_CLOSE_GRACE: Final = 5.0

_T = TypeVar("_T")


class HookRunner(Generic[_T]):
    """Calls a hook in a task of its own each time: one call that raises or hangs harms no other.

    The tasks run in the context that the runner was made in.
    """

    __slots__ = ("_context", "_hook", "_name", "_tasks")

    def __init__(self, name: str, hook: Callable[[_T], Awaitable[None] | None] | None) -> None:
        self._name = name
        self._hook = hook
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, about: _T, text: str) -> None:
        """Begin to call the hook, if there is one; ``text`` says in the log what it was called about."""
        if self._hook is not None:
            task = asyncio.get_running_loop().create_task(
                self._call(self._hook, about, text), name=f"dead-letters-{self._name}", context=self._context.copy()
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
            _log.error("%s runs for more than %g s after the queue closed, and is cancelled", self._name, _CLOSE_GRACE)
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_GRACE)
        for _ in self._tasks:
            _log.error("%s runs on although it was cancelled, and is left behind", self._name)

    async def _call(self, hook: Callable[[_T], Awaitable[None] | None], about: _T, text: str) -> None:
        try:
            result = hook(about)
            if inspect.isawaitable(result):
                await result
        except Exception:  # noqa: BLE001 - the hook is users' code
            _log.exception("%s raised for %s", self._name, text)
