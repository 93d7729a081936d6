# SPDX-License-Identifier: MIT
"""Places in the code: where something was made, and where a task waits.

Who makes a monitor or a timer keeps the code and the offset in it, which takes a tenth of the time that its line would;
who asks pays for that.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Sequence
from types import CodeType, CoroutineType
from typing import Any, Final

Site = tuple[CodeType, int]
"""Where something was made."""

# Folders, each with its separator at the end. As text, for pathlib takes longer to load than all of this station.
_ASYNCIO: Final = asyncio.__file__.removesuffix("__init__.py")
_STANCHION: Final = __file__.rpartition("kernel")[0]


def caller(depth: int = 1) -> Site:
    """Return where the function that calls this was called; with a greater ``depth``, where its caller was, and so on."""
    frame = sys._getframe(depth + 1)
    return frame.f_code, frame.f_lasti


def place_of(site: Site) -> str:
    """Return a site as text: its file and line."""
    code, offset = site
    line = next((line for start, end, line in code.co_lines() if start <= offset < end), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


def task_place(task: asyncio.Task[Any]) -> str | None:
    """Return where a task was made, which asyncio knows in debug mode alone; else None."""
    stack: Sequence[traceback.FrameSummary] = getattr(task, "_source_traceback", None) or ()
    places = [f"{frame.filename}:{frame.lineno}" for frame in stack if not frame.filename.startswith(_ASYNCIO)]
    return places[-1] if places else None


def waits_at(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, from the outermost await to the innermost."""
    places: list[str] = []
    waiting: object = task.get_coro()
    while isinstance(waiting, CoroutineType) and waiting.cr_frame is not None:
        places.append(f"{waiting.cr_frame.f_code.co_filename}:{waiting.cr_frame.f_lineno}")
        waiting = waiting.cr_await
    return " > ".join(places) or "its start"


def stuck_at(task: asyncio.Task[Any]) -> str:
    """Return the innermost place where a task waits in code that is neither Stanchion's nor asyncio's, if it does."""
    places = waits_at(task).split(" > ")
    return next((place for place in reversed(places) if not _is_ours(place)), places[-1])


def _is_ours(place: str) -> bool:
    return place.startswith((_ASYNCIO, _STANCHION))
