# SPDX-License-Identifier: MIT
"""What people read: tables as wide as the terminal, and as wide as they like in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stanchion.cli._json import text_of
from stanchion.cli._payload import as_json, message_of
from stanchion.cli._times import clock_text, distance
from stanchion.dead_letters import STATES, DeadLetter, State, Stats

_COLOURS: Final[dict[State, str]] = {
    "waiting": "yellow",
    "retrying": "cyan",
    "exhausted": "red",
    "delivered": "green",
    "discarded": "dim",
}
_ROOMY: Final = 130  # columns for the whole table
_NARROW: Final = 80  # below it, a letter takes two lines
_UNLIMITED: Final = 10_000
# The columns that must not be cut, each with the two spaces behind it; what is left is for names and reasons.
_FIXED: Final = 36 + 9 + len("59 min") + 5 * 2
_FIXED_ROOMY: Final = 36 + 9 + len("TRIES") + 19 + len("in 59 min") + 8 * 2


def console() -> Console:
    """Return what prints to stdout: no markup, no guessed colours, and no cut lines where nobody watches."""
    out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = _UNLIMITED
    return out


def hint(text: str) -> None:
    """Say something beside the result."""
    print(visible(text), file=sys.stderr)


def visible(text: str, *, keep: str = "\n") -> str:
    """Return text with its control characters shown: what was stored must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def _cell(text: str | None, style: str = "") -> Text:
    return Text(visible(text or "", keep=""), style)


def _state(state: State) -> Text:
    return Text(state, _COLOURS.get(state, ""))


# --- listings --------------------------------------------------------------------------------------


class LetterTable:
    """Prints a listing page by page, under one heading."""

    def __init__(self, now: float) -> None:
        self._out = console()
        self._now = now
        self._first = True

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Print more letters."""
        if letters and self._out.width < _NARROW:
            for letter in letters:
                self._print_narrow(letter)
        elif letters:
            self._out.print(self._table(letters, roomy=self._out.width >= _ROOMY))
        self._first = self._first and not letters

    def _table(self, letters: Sequence[DeadLetter], *, roomy: bool) -> Table:
        table = _plain_table(show_header=self._first)
        table.add_column("ID", min_width=36, no_wrap=True)
        table.add_column("STATE", min_width=9, no_wrap=True)
        names = ("RECIPIENT", "TYPE", "REASON") if roomy else ("RECIPIENT", "REASON")
        texts = [_names(letter, roomy=roomy) for letter in letters]
        needed = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
        for name, width in zip(
            names, _shares(needed, self._out.width - (_FIXED_ROOMY if roomy else _FIXED)), strict=True
        ):
            table.add_column(name, width=width, no_wrap=True, overflow="ellipsis")
        for name in ("TRIES", "ADDED", "NEXT") if roomy else ("AGE",):
            table.add_column(name, no_wrap=True, justify="right" if name == "TRIES" else "left")
        for letter, cells in zip(letters, texts, strict=True):
            times = [str(letter.attempt_count), clock_text(letter.created_at), self._next(letter)]
            if not roomy:
                times = [distance(letter.created_at, self._now).removesuffix(" ago")]
            table.add_row(_cell(letter.id), _state(letter.state), *map(Text, cells), *times)
        return table

    def _print_narrow(self, letter: DeadLetter) -> None:
        self._out.print(_cell(letter.id), no_wrap=True, overflow="ignore", crop=False)
        line = Text("  ").append_text(_state(letter.state)).append("  ")
        line.append_text(_cell(f"{letter.recipient}  {letter.reason}  {distance(letter.created_at, self._now)}"))
        self._out.print(line, no_wrap=True, overflow="ellipsis")

    def _next(self, letter: DeadLetter) -> str:
        due = letter.due_at
        if due is None:
            return "-"
        if letter.state == "retrying":
            return "now"
        return "due" if due <= self._now else distance(due, self._now)


def _names(letter: DeadLetter, *, roomy: bool) -> list[str]:
    """Return what a row says in the columns that may be cut."""
    names = [letter.recipient, letter.message_type, letter.reason] if roomy else [letter.recipient, letter.reason]
    return [visible(name, keep="") for name in names]


def _shares(needed: list[int], room: int) -> list[int]:
    """Return the widths of columns that share the room: none takes more than it needs, the long ones are cut."""
    widths = list(needed)
    by_need = sorted(range(len(needed)), key=needed.__getitem__)
    for position, column in enumerate(by_need):
        widths[column] = min(needed[column], room // (len(needed) - position))
        room -= widths[column]
    return widths


def _plain_table(*, show_header: bool = True) -> Table:
    return Table(box=None, show_header=show_header, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def show_stats(stats: Stats, now: float) -> None:
    """Print how many letters there are in each state."""
    out = console()
    table = _plain_table()
    table.add_column("STATE")
    table.add_column("LETTERS", justify="right")
    for state in STATES:
        table.add_row(_state(state), str(getattr(stats, state)))
    table.add_row("total", str(stats.total), style="bold")
    out.print(table)
    if stats.next_due is not None:
        out.print(
            "The next is due now." if stats.next_due <= now else f"The next is due {distance(stats.next_due, now)}."
        )


# --- one letter ------------------------------------------------------------------------------------


def show_letter(letter: DeadLetter, lineage: tuple[DeadLetter, ...], now: float) -> None:
    """Print all that is known about a letter, and the letters that it replays or that replay it."""
    out = console()
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True, style="bold")
    facts.add_column(overflow="fold")
    for name, value in _facts(letter, now):
        facts.add_row(name, value if isinstance(value, Text) else Text(visible(value)))
    out.print(facts)
    if letter.attempts:
        _heading(out, "Attempts that failed" + _not_kept(letter))
        out.print(_attempts(letter))
    if trace := next((attempt.traceback for attempt in reversed(letter.attempts) if attempt.traceback), None):
        _heading(out, "Where the recipient crashed last")
        _block(out, visible(trace))
    if len(lineage) > 1:
        _heading(out, "Replays")
        out.print(_lineage(lineage))
    if letter.metadata:
        _heading(out, "Metadata")
        _block(out, text_of(as_json(letter.metadata), indent=2))
    message, problem = message_of(letter)
    if problem is None:
        _heading(out, "Message")
        _block(out, text_of(message, indent=2))
    else:
        _heading(out, "Message, as its preview")
        _block(out, visible(letter.preview))
        _block(out, visible(f"({problem})"))


def _facts(letter: DeadLetter, now: float) -> Iterable[tuple[str, str | Text]]:
    def at(unix: float) -> str:
        return f"{clock_text(unix, offset=True)}, {distance(unix, now)}"

    yield "id", letter.id
    yield "state", _state(letter.state)
    lasting = "" if letter.redeliverable else " (cannot be found again: replay it to a name)"
    yield "recipient", letter.recipient + lasting
    yield "type", f"{letter.message_type}, version {letter.version}" if letter.replayable else letter.message_type
    yield "reason", letter.reason
    if letter.error:
        yield "error", letter.error
    again = f", {letter.redeliveries} of them redeliveries since it was added or retried" if letter.redeliveries else ""
    yield "tries", f"{letter.attempt_count} failed{again}"
    yield "added", at(letter.created_at)
    yield "changed", at(letter.updated_at)
    if letter.state == "waiting" and letter.next_attempt_at is not None:
        yield "next try", at(letter.next_attempt_at)
    if letter.claimed_by and letter.claimed_until is not None:
        yield "claimed", f"by {letter.claimed_by} until {at(letter.claimed_until)}"
    for name in ("message_id", "trace_id", "span_id", "replay_of", "note"):
        value: str | None = getattr(letter, name)
        if value:
            yield name.replace("_", " "), value


def _not_kept(letter: DeadLetter) -> str:
    missing = letter.attempt_count - len(letter.attempts)
    return f" ({missing} in the middle are not kept)" if missing > 0 else ""


def _attempts(letter: DeadLetter) -> Table:
    table = _plain_table()
    table.add_column("AT", no_wrap=True)
    table.add_column("REASON", no_wrap=True)
    table.add_column("ERROR", overflow="fold")
    for attempt in letter.attempts:
        table.add_row(clock_text(attempt.at), _cell(attempt.reason), Text(visible(attempt.error or "")))
    return table


def _lineage(lineage: tuple[DeadLetter, ...]) -> Table:
    table = _plain_table()
    for name in ("ID", "REPLAY OF", "STATE", "RECIPIENT"):
        table.add_column(name, no_wrap=True)
    for letter in lineage:
        table.add_row(_cell(letter.id), _cell(letter.replay_of or "-"), _state(letter.state), _cell(letter.recipient))
    return table


def _heading(out: Console, text: str) -> None:
    out.print()
    out.print(Text(text, "bold"))


def _block(out: Console, text: str) -> None:
    out.print(Text(text), soft_wrap=True)
