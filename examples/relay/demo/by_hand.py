# SPDX-License-Identifier: MIT
"""A person who looks after the dead letters, with the queue's own file and nothing else."""

from __future__ import annotations

import stanchion as st
from stanchion.dead_letters import LetterFilter, State


async def letters_in(letters: st.DeadLetterQueue, *states: State) -> list[st.DeadLetter]:
    """Return all letters in these states."""
    found: list[st.DeadLetter] = []
    cursor: str | None = None
    while True:
        page = await letters.list(LetterFilter(state=states), cursor=cursor, limit=1000)
        found += page.entries
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


async def replay_exhausted(url: str) -> int:
    """Replay each letter that waits for a person; return how many there were.

    Done from outside of the relay, as ``stanchion dlq replay --all`` would: the relay finds the new letters.
    """
    async with st.DeadLetterQueue(url) as letters:
        exhausted = await letters.select(LetterFilter(state="exhausted"))
        return len((await exhausted.replay()).done)
