# SPDX-License-Identifier: MIT
"""Which letters a command means: named ones, or those that fit a filter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from stanchion.cli._exit_codes import CommandError
from stanchion.cli._times import moment
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, LetterFilter, State
from stanchion.errors import DeadLetterNotFoundError

_PAGE: Final = 1000
_SHOWN: Final = 3


class Filters(NamedTuple):
    """The filter options of a command, as they were written."""

    state: list[str] | None
    recipient: str | None
    reason: str | None
    message_type: str | None
    since: str | None
    until: str | None

    def checked(self, now: float) -> LetterFilter:
        """Return what the queue takes.

        Raises:
            InvalidOptionError: a value is wrong.
        """
        states: tuple[State, ...] = tuple(self.state or ())  # type: ignore[arg-type] # LetterFilter checks them
        return LetterFilter(
            state=states or None,
            recipient=self.recipient,
            reason=self.reason,
            message_type=self.message_type,
            since=None if self.since is None else moment("--since", self.since, now),
            until=None if self.until is None else moment("--until", self.until, now),
        )


async def letter_of(queue: DeadLetterQueue, id: str) -> DeadLetter:
    """Return the letter with this id, or the only one whose id begins so.

    Raises:
        CommandError: there is none, or there are several.
    """
    try:
        return await queue.get(id)
    except DeadLetterNotFoundError:
        id = id.lower()
        # Pages are in the order of ids, and go on behind the cursor: those that begin so come next.
        following = (await queue.list(cursor=id, limit=_SHOWN + 1)).entries
        found = [letter for letter in following if id and letter.id.startswith(id)]
        if not found:
            raise CommandError(
                f"dead letter {id!r}",
                expected="a stored letter with this id",
                got="none",
                fix="stanchion dlq list shows the ids; a purged letter is gone.",
            ) from None
        if len(found) == 1:
            return found[0]
        raise CommandError(
            f"dead letter {id!r}",
            expected="an id, or a beginning that one id has",
            got="the beginning of "
            + ", ".join(letter.id for letter in found[:_SHOWN])
            + ", ..." * (len(found) > _SHOWN),
            fix="write more of it; letters that were added together differ late.",
        ) from None


async def pages(
    queue: DeadLetterQueue,
    wanted: LetterFilter,
    *,
    cursor: str | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> AsyncIterator[tuple[tuple[DeadLetter, ...], str | None]]:
    """Yield letters in parts, each with the cursor of the next one; ``limit`` letters in all, None for every one."""
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = await queue.list(wanted, cursor=cursor, limit=size, newest_first=newest_first)
        yield page.entries, page.next_cursor
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
        left = None if left is None else left - len(page.entries)
