# SPDX-License-Identifier: MIT
"""Which letters replay which."""

from __future__ import annotations

from typing import Final

from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter
from stanchion.dead_letters._store import Store

_PAGE: Final = 1000


async def lineage(store: Store, letter: DeadLetter) -> tuple[DeadLetter, ...]:
    """Return the letter that all began with, every replay of it, and of those, oldest first."""
    # Imported letters may say anything, a circle even: no letter is taken twice.
    first, above = letter, {letter.id}
    while first.replay_of is not None and first.replay_of not in above:
        above.add(first.replay_of)
        replayed = await store.get(first.replay_of)
        if replayed is None:
            break
        first = replayed
    found = {first.id: first}
    # One that was purged is still the one that others replay.
    parents = [first.id] if first.replay_of is None else [first.id, first.replay_of]
    while parents:
        for replay in await _replays(store, parents.pop()):
            if replay.id not in found:
                found[replay.id] = replay
                parents.append(replay.id)
    return tuple(sorted(found.values(), key=lambda letter: letter.id))


async def _replays(store: Store, id: str) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    cursor: str | None = None
    while True:
        page = await store.page(LetterFilter(replay_of=id), cursor=cursor, limit=_PAGE, newest_first=False)
        found += page
        if len(page) < _PAGE:
            return found
        cursor = page[-1].id
