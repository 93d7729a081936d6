# SPDX-License-Identifier: MIT
"""Cron lines as people write them: checked, so that a mistake is told with its place, and put into numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from stanchion._validate import cut, nearest
from stanchion.errors import CronError, InvalidOptionError

ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Lines that have a name."""

_LONGEST: Final = 1000
_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS: Final = {name: n for n, name in enumerate(_MONTH_NAMES, 1)}
_DAYS: Final = {name: n for n, name in enumerate(_DAY_NAMES)}
_DAYS_IN_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Field(NamedTuple):
    """One field of a line.

    Attributes:
        name: What it is called.
        a: How one value of it is called, with its article.
        low: The lowest value.
        high: The highest.
        names: Names for values.
    """

    name: str
    a: str
    low: int
    high: int
    names: dict[str, int]


_SECOND: Final = Field("second", "a second", 0, 59, {})
_MINUTE: Final = Field("minute", "a minute", 0, 59, {})
_HOUR: Final = Field("hour", "an hour", 0, 23, {})
_DAY: Final = Field("day of month", "a day", 1, 31, {})
_MONTH: Final = Field("month", "a month", 1, 12, _MONTHS)
_WEEKDAY: Final = Field("day of week", "a day of the week", 0, 7, _DAYS)
_FIVE: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)
_FIELDS: Final = "5 fields (minute, hour, day of month, month, day of week), or 6 with the second before them"
# Where a step begins anew.
_LARGER: Final = {"second": "minute", "minute": "hour", "hour": "day"}


def cron_line(subject: str, line: object) -> str:
    """Return a line in one form: its fields one space apart, names and aliases as they are.

    Raises:
        CronError: it is malformed; the error says which field, where, and what was expected there.
        InvalidOptionError: it is no text, or longer than any line can be.
    """
    if not isinstance(line, str) or len(line) > _LONGEST:
        expected = f"a cron line, as text of at most {_LONGEST} characters"
        raise InvalidOptionError(subject, expected=expected, got=cut(line))
    _Line(subject, line).expanded()
    return " ".join(line.split())


def expanded(line: str) -> tuple[str, ...]:
    """Return the six fields of a line, in numbers; that of the second is 0 where the line has five.

    Raises:
        CronError: it is malformed.
    """
    return _Line("cron(line)", line).expanded()


class _Line:
    """A line that is read; positions are in its text as it was written."""

    def __init__(self, subject: str, text: str) -> None:
        self._subject: Final = subject
        self._text: Final = text

    def expanded(self) -> tuple[str, ...]:
        text = self._text
        if text.lstrip().startswith("@"):
            text = self._alias(text.strip())
        words = [(found.group().lower(), found.start()) for found in re.finditer(r"\S+", text)]
        if len(words) not in (5, 6):
            raise self._count_error(words)
        fields = _FIVE if len(words) == 5 else (_SECOND, *_FIVE)
        read = [self._field(field, word, position) for field, (word, position) in zip(fields, words, strict=True)]
        self._comes_ever(read[-3:], words[-3:])
        return tuple(numbers for numbers, _ in (read if len(words) == 6 else [("0", {0}), *read]))

    def _alias(self, word: str) -> str:
        if word.lower() in ALIASES:
            return ALIASES[word.lower()]
        fix: str | None
        if word.lower() == "@reboot":
            fix = "do what is due at each start where things start: in init() of a server, say."
        elif word.lower().startswith("@every"):
            fix = "use every(), with the interval in seconds."
        else:
            guess = nearest(word, ALIASES)
            fix = f"write {guess!r}." if guess else None
        raise self._error(None, self._text.index("@"), "one of " + ", ".join(ALIASES), cut(word), fix)

    def _count_error(self, words: Sequence[tuple[str, int]]) -> CronError:
        guess = nearest("@" + words[0][0], ALIASES) if len(words) == 1 else None
        fix = f"write {guess!r}." if guess else None
        if len(words) == 7:
            fix = "leave the year out: a cron line has none."
        position = words[6][1] if len(words) > 6 else len(self._text.rstrip())
        return self._error(None, position, _FIELDS, str(len(words)), fix)

    def _comes_ever(self, read: Sequence[tuple[str, set[int]]], words: Sequence[tuple[str, int]]) -> None:
        (days, day), (_, months), (weekdays, _) = read
        # Where neither begins with a star, days of the month and of the week are due alike.
        both = days.startswith("*") or weekdays.startswith("*")
        longest = max(_DAYS_IN_MONTH[month] for month in months)
        if both and min(day) > longest:
            word, position = words[0]
            expected = f"a day that its months have, up to {longest},"
            raise self._error(_DAY, position, expected, repr(word), "this line would never be due.")

    def _field(self, field: Field, word: str, position: int) -> tuple[str, set[int]]:
        items: list[str] = []
        values: set[int] = set()
        for item in word.split(","):
            numbers, some = self._item(field, item, position)
            items.append(numbers)
            values.update(some)
            position += len(item) + 1
        return ",".join(items), values

    def _item(self, field: Field, item: str, position: int) -> tuple[str, Sequence[int]]:
        special = self._special(field, item, position)
        if special is not None:
            return special, (1,)  # each month has one
        base, slash, steps = item.partition("/")
        step = self._step(field, steps, position + len(base) + 1) if slash else 1
        if base == "*":
            return (f"*/{step}" if slash else "*"), range(field.low, field.high + 1, step)
        first, dash, last = base.partition("-")
        low = self._value(field, first or base, position)
        if not dash:
            return (f"{low}/{step}" if slash else f"{low}"), range(low, field.high + 1, step) if slash else (low,)
        high = self._value(field, last, position + len(first) + 1)
        if field is _WEEKDAY and high == 0 < low:
            high = 7  # a week may end on Sunday
        if high < low:
            raise self._backwards(field, first, last, position)
        # cronsim takes a step after a range of one for one that goes on to the end.
        return (f"{low}-{high}/{step}" if low < high else f"{low}"), range(low, high + 1, step)

    def _special(self, field: Field, item: str, position: int) -> str | None:
        if field is _DAY and item in ("l", "lw"):
            return item
        if field is not _WEEKDAY:
            return None
        day, hash_, which = item.partition("#")
        if hash_:
            number = self._value(field, day, position)
            if which not in ("1", "2", "3", "4", "5"):
                where = position + len(day) + 1
                raise self._error(field, where, "which one of the month, from 1 to 5,", _shown(which), None)
            return f"{number}#{which}"
        if item.endswith("l"):
            return f"{self._value(field, item[:-1], position)}l"
        return None

    def _step(self, field: Field, steps: str, position: int) -> int:
        step = _number(steps)
        if step is not None and 1 <= step <= field.high:
            return step
        larger = _LARGER.get(field.name)
        fix = (
            f"a step begins anew each {larger}: use every() for an interval that is longer."
            if step and larger
            else None
        )
        raise self._error(field, position, f"a step from 1 to {field.high}", _shown(steps), fix)

    def _value(self, field: Field, text: str, position: int) -> int:
        number = field.names.get(text, _number(text))
        if number is not None and field.low <= number <= field.high:
            return number
        raise self._error(field, position, _expected(field), _shown(text), _fix(field, text, number))

    def _backwards(self, field: Field, first: str, last: str, position: int) -> CronError:
        if field is _WEEKDAY:
            top, bottom = ("6", "0") if first.isdigit() else ("sat", "sun")
        else:
            top, bottom = str(field.high), str(field.low)
        expected = "a range that begins before it ends"
        fix = f"write '{first}-{top},{bottom}-{last}' where it goes on from the beginning."
        return self._error(field, position, expected, repr(f"{first}-{last}"), fix)

    def _error(self, field: Field | None, position: int, expected: str, got: str, fix: str | None) -> CronError:
        name = None if field is None else field.name
        return CronError(self._subject, self._text, field=name, position=position, expected=expected, got=got, fix=fix)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None


def _shown(text: str) -> str:
    return cut(text) if text else "nothing"


def _expected(field: Field) -> str:
    names = list(field.names)
    also = f" or {names[0]} to {names[-1]}" if names else ", L or LW" if field is _DAY else ""
    return f"{field.a} from {field.low} to {field.high}{also}"


def _fix(field: Field, text: str, number: int | None) -> str | None:
    if text == "?":
        return "write '*'."
    if field is _HOUR and number == 24:
        return "write 0 for midnight, which begins the day."
    if text in _DAYS:
        return "the day of the week is the last field."
    if text in _MONTHS:
        return "the month is the last field but one."
    guess = text[:3] if text[:3] in field.names else nearest(text, field.names) if text else None
    return f"write {guess!r}." if guess else None
