# SPDX-License-Identifier: MIT
"""A thread that does one thing after the other, for what would block the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Lane:
    """One thread with one connection: calls run in the order in which they were made.

    A call whose caller is cancelled runs to its end all the same.
    """

    __slots__ = ("_thread",)

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what ``call`` returns, from the thread."""
        loop = asyncio.get_running_loop()
        # Without the shield, cancelling would take a call that has not begun out of the thread's queue.
        return await asyncio.shield(loop.run_in_executor(self._thread, lambda: call(*args, **kwargs)))

    def end(self, *, wait: bool = False) -> None:
        """Let the thread go when it has finished what it was given; with ``wait``, block until then."""
        self._thread.shutdown(wait=wait)
