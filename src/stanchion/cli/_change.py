# SPDX-License-Identifier: MIT
"""Commands that change letters: find them, say how many, ask, and only then do it.

What was counted is what is changed: letters that come to fit while the question stands are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from stanchion.cli._exit_codes import FAILED, USAGE, CommandError
from stanchion.cli._find import letter_of
from stanchion.cli._people import hint
from stanchion.dead_letters import STATES, BulkResult, DeadLetterQueue, LetterFilter, Selection
from stanchion.errors import BulkError


def count_text(count: int) -> str:
    """Return ``1 letter`` or ``7 letters``."""
    return f"{count} letter" if count == 1 else f"{count} letters"


def selection_text(selection: Selection) -> str:
    """Return how many letters are selected, and in which states."""
    states = selection.states
    parts = ", ".join(f"{states[state]} {state}" for state in STATES if state in states)
    return f"{count_text(selection.count)} ({parts})"


async def named(queue: DeadLetterQueue, ids: Sequence[str]) -> Selection:
    """Return the letters with these ids; when one cannot be found, none is changed."""
    async with queue:
        letters = {letter.id: letter for letter in [await letter_of(queue, id) for id in ids]}
        return await queue.select(letters.values())


async def fitting(queue: DeadLetterQueue, wanted: LetterFilter) -> Selection:
    """Return the letters that fit a filter."""
    async with queue:
        return await queue.select(wanted)


def agree(verb: str, announcement: str, *, yes: bool) -> None:
    """Say what is about to happen, and return when the person says yes.

    Raises:
        CommandError: they do not, or there is nobody to ask.
    """
    hint(announcement)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            f"dlq {verb}",
            expected="--yes where nobody can be asked",
            got="neither --yes nor a terminal; nothing was changed",
            fix="add --yes, or --dry-run to see how many there are.",
            exit_code=USAGE,
        )
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise CommandError(
            f"dlq {verb}", expected="y or yes", got=repr(answer) + "; nothing was changed", exit_code=FAILED
        )


# What the library advises, as one writes it here.
_COMMANDS: Final = {
    'replay(id, recipient="...")': "stanchion dlq replay ID --to NAME",
    "replay(id)": "stanchion dlq replay ID",
    "discard() the letter": "stanchion dlq discard it",
}


def _in_commands(text: str) -> str:
    for call, command in _COMMANDS.items():
        text = text.replace(call, command)
    return text


class Changed(NamedTuple):
    """What became of the letters.

    Attributes:
        done: The ids of those that were changed.
        replayed_as: After a replay, the ids of the new letters.
        failed: For each other one its id, and why not.
        stopped: What ended it early.
    """

    done: tuple[str, ...]
    replayed_as: tuple[str, ...]
    failed: list[tuple[str, str]]
    stopped: BaseException | None


async def change(
    queue: DeadLetterQueue, selection: Selection, verb: Callable[[Selection], Awaitable[BulkResult]]
) -> Changed:
    """Change the letters; one that cannot be changed does not keep the others from it."""
    stopped: BaseException | None = None
    async with queue:
        try:
            result = await verb(selection)
        except BulkError as error:
            result, stopped = error.result, error.__cause__
    failed = [(error.id, _in_commands(str(error))) for error in result.refused]
    failed += [(id, f"dead letter {id!r} changed since it was counted, and was left alone") for id in result.changed]
    return Changed(result.done, result.replayed_as, failed, stopped)
