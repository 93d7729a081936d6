# SPDX-License-Identifier: MIT
"""Live progress: a table that changes, on a terminal with rich; else a line a second."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Final, NamedTuple

_ON_TERMINAL: Final = 0.1
_ELSEWHERE: Final = 1.0

COLUMNS: Final = ("sent", "in hand", "failed", "restarted", "dead-lettered", "redelivered")


class Snapshot(NamedTuple):
    """How far it is.

    Attributes:
        elapsed: Seconds since the start.
        accepted: Events accepted so far.
        subscribers: The numbers of each, by name, in the order of ``COLUMNS``.
    """

    elapsed: float
    accepted: int
    subscribers: Mapping[str, Sequence[int]]

    @property
    def line(self) -> str:
        """All of it in one line."""
        parts = [f"{name}: {_words(numbers)}" for name, numbers in self.subscribers.items()]
        return f"{self.elapsed:4.1f} s  {self.accepted} accepted | {' | '.join(parts)}"


def _words(numbers: Sequence[int]) -> str:
    named = [f"{number} {word}" for number, word in zip(numbers, COLUMNS, strict=True) if number]
    return ", ".join(named) or "nothing yet"


@asynccontextmanager
async def progress(look: Callable[[], Awaitable[Snapshot]]) -> AsyncGenerator[None, None]:
    """Show ``look()`` again and again during the block, and once more at its end."""
    with ExitStack() as stack:
        show = _table(stack) if sys.stdout.isatty() else None
        pause = _ELSEWHERE if show is None else _ON_TERMINAL
        write = _print if show is None else show

        async def tell() -> None:
            while True:
                write(await look())
                await asyncio.sleep(pause)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()
            write(await look())


def _print(snapshot: Snapshot) -> None:
    print(snapshot.line, flush=True)


def _table(stack: ExitStack) -> Callable[[Snapshot], None] | None:
    """Return what shows a snapshot in place of the one before, until ``stack`` closes; None without rich."""
    try:
        from rich.live import Live
        from rich.table import Table
    except ImportError:
        return None
    live = stack.enter_context(Live(auto_refresh=False, transient=True))

    def show(snapshot: Snapshot) -> None:
        table = Table("", *COLUMNS, title=f"{snapshot.elapsed:.1f} s, {snapshot.accepted} events accepted")
        for name, numbers in snapshot.subscribers.items():
            table.add_row(name, *map(str, numbers))
        live.update(table, refresh=True)

    return show
