# SPDX-License-Identifier: MIT
"""The lines of a file or of standard input, read without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Final

_CHUNK: Final = 65536


async def read_lines(path: str, limit: int) -> AsyncIterator[tuple[int, bytes | None]]:
    """Yield each line with its number, from 1; a line longer than ``limit`` bytes is yielded as None.

    Args:
        path: A file, or ``-`` for standard input.
        limit: The longest line, in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    number, rest, too_long = 1, b"", False
    async for chunk in _chunks(path):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield number, None if too_long or len(line) > limit else line
            number, too_long = number + 1, False
        if len(rest) > limit:  # the rest of this line is of no use, however much of it there is
            rest, too_long = b"", True
    if rest or too_long:
        yield number, None if too_long else rest


async def _chunks(path: str) -> AsyncIterator[bytes]:
    """Yield what a thread reads; it reads on when that is taken.

    A daemon thread of its own: a terminal or a pipe may never answer, and must not hold up the end of the program.
    """
    loop = asyncio.get_running_loop()
    source = sys.stdin.fileno() if path == "-" else await asyncio.to_thread(os.open, Path(path), os.O_RDONLY)
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=1)

    def pump() -> None:
        chunk: bytes | OSError = b"more"
        while chunk and not isinstance(chunk, OSError):
            try:
                chunk = os.read(source, _CHUNK)
            except OSError as error:
                chunk = error
            try:
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            except (RuntimeError, CancelledError):  # the loop is closed, or closing
                return

    threading.Thread(target=pump, name=f"read {path}", daemon=True).start()
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk
    if path != "-":
        os.close(source)
