# SPDX-License-Identifier: MIT
"""Commands that change letters: find them, say how many, ask, and only then do it.

What was counted is what is changed: letters that come to fit while the question stands are left alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from stanchion.cli._exit_codes import FAILED, USAGE, CommandError
from stanchion.cli._find import letter_of, pages
from stanchion.cli._people import hint
from stanchion.dead_letters import STATES, DeadLetter, DeadLetterQueue, LetterFilter, State
from stanchion.errors import DeadLetterError, StoreError

_TOGETHER: Final = 500  # changes at once: the queue commits them in groups


class Chosen(NamedTuple):
    """The letters that a command is about to change.

    Attributes:
        ids: Which ones.
        states: How many of them are in each state.
        left_out: How many fit the filter and cannot be changed so.
    """

    ids: list[str]
    states: Counter[State]
    left_out: int = 0

    @property
    def text(self) -> str:
        """How many, and in which states."""
        parts = ", ".join(f"{self.states[state]} {state}" for state in STATES if self.states[state])
        return f"{count_text(len(self.ids))} ({parts})"


def count_text(count: int) -> str:
    """Return ``1 letter`` or ``7 letters``."""
    return f"{count} letter" if count == 1 else f"{count} letters"


async def named(queue: DeadLetterQueue, ids: Sequence[str]) -> Chosen:
    """Return the letters with these ids; when one cannot be found, none is changed."""
    async with queue:
        letters = {letter.id: letter for letter in [await letter_of(queue, id) for id in ids]}
    return Chosen(list(letters), Counter(letter.state for letter in letters.values()))


async def fitting(queue: DeadLetterQueue, wanted: LetterFilter, can_be: Callable[[DeadLetter], bool] | None) -> Chosen:
    """Return the letters that fit a filter."""
    chosen, left_out = Chosen([], Counter()), 0
    async with queue:
        async for letters, _ in pages(queue, wanted):
            able = [letter for letter in letters if can_be is None or can_be(letter)]
            chosen.ids.extend(letter.id for letter in able)
            chosen.states.update(letter.state for letter in able)
            left_out += len(letters) - len(able)
    return chosen._replace(left_out=left_out)


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
        done: For each changed letter its id, and what the change returned.
        failed: For each other one its id, and why not.
        stopped: The failure of the store that ended it early.
    """

    done: list[tuple[str, object]]
    failed: list[tuple[str, str]]
    stopped: StoreError | None


async def change(
    queue: DeadLetterQueue, ids: Sequence[str], verb: Callable[[DeadLetterQueue, str], Awaitable[object]]
) -> Changed:
    """Change each letter; one that cannot be changed does not keep the others from it."""
    done: list[tuple[str, object]] = []
    failed: list[tuple[str, str]] = []
    stopped: StoreError | None = None
    async with queue:
        for start in range(0, len(ids), _TOGETHER):
            some = ids[start : start + _TOGETHER]
            answers = await asyncio.gather(*(verb(queue, id) for id in some), return_exceptions=True)
            for id, answer in zip(some, answers, strict=True):
                if isinstance(answer, StoreError):
                    stopped = answer
                elif isinstance(answer, DeadLetterError):
                    failed.append((id, _in_commands(str(answer))))
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    done.append((id, answer))
            if stopped is not None:
                break
    return Changed(done, failed, stopped)
