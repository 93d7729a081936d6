# SPDX-License-Identifier: MIT
"""What a policy is given, by code, a file or the environment: checked in one place, and refused with its place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, cast

from stanchion._validate import cut, nearest
from stanchion._wildcards import ANY, ONE
from stanchion.errors import InvalidOptionError, TimeoutsConfigError
from stanchion.timeouts._names import path_of
from stanchion.timeouts._rules import BUILT_IN, LONGEST, Rule, RuleKey, RuleKind, Settings

_DEFAULT: Final = Rule("default", None, 5.0, BUILT_IN)
_RULES: Final[dict[str, RuleKind]] = {"services": "service", "operations": "operation", "patterns": "pattern"}
TABLES: Final = (*_RULES, "environments")
NUMBERS: Final = ("default", "factor", "minimum", "maximum", "debugger", "watch")
KEYS: Final = ("default", *TABLES, "factor", "environment", "minimum", "maximum", "debugger", "watch")
"""All that a policy is told, in the order of the docs."""

# Where the limits of others are called by their unit.
_UNITS: Final = {
    "us": 1e-6, "ms": 1e-3, "millis": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip


class Given:
    """A value that a policy is given in code.

    Attributes:
        value: The value.
        source: Who says so, as the rule made of it tells.
    """

    also = ", or a timedelta"  # what seconds may be besides a number

    def __init__(self, value: object, subject: str, source: str = "code") -> None:
        self.value: Final = value
        self.source: Final = source
        self._subject: Final = subject

    def inner(self, key: object, value: object) -> Given:
        """Return what it holds for a key, when it is a table."""
        return Given(value, f"{self._subject}: {cut(key)}", self.source)

    def error(self, expected: str, *, got: str | None = None, fix: str | None = None) -> InvalidOptionError:
        """Return the error for this value."""
        return InvalidOptionError(self._subject, expected=expected, got=got or cut(self.value), fix=fix)


class GivenInFile(Given):
    """A value that stands in a file.

    Args:
        value: The value.
        file: The file, for texts.
        table: The table that the policy's keys stand in; nothing for the file itself.
        place: The keys that lead to the value from there.
    """

    also = ""

    def __init__(self, value: object, file: str, table: str, place: tuple[str, ...]) -> None:
        *tables, last = (*(part for part in (table, *place[:-1]) if part), place[-1])
        where = f"[{'.'.join(tables)}] " if tables else ""
        super().__init__(value, f"{file}: {where}{last}", file)
        self._file: Final = file
        self._table: Final = table
        self._place: Final = place

    def inner(self, key: object, value: object) -> Given:
        return GivenInFile(value, self._file, self._table, (*self._place, str(key)))

    def error(self, expected: str, *, got: str | None = None, fix: str | None = None) -> InvalidOptionError:
        key = ".".join(part for part in (self._table, *self._place) if part)
        got = got or cut(self.value)
        return TimeoutsConfigError(self._file, key, subject=self._subject, expected=expected, got=got, fix=fix)


class GivenInEnvironment(Given):
    """A value that an environment variable has."""

    also = ""

    def __init__(self, value: object, variable: str) -> None:
        super().__init__(value, f"environment variable {variable}", f"environment variable {variable}")
        self._variable: Final = variable

    def error(self, expected: str, *, got: str | None = None, fix: str | None = None) -> InvalidOptionError:
        got = got or cut(self.value)
        return TimeoutsConfigError(self._variable, None, subject=self._subject, expected=expected, got=got, fix=fix)


def settings_of(given: Mapping[str, Given]) -> Settings:
    """Return what a policy is told, checked; a key that is not there has its default.

    Raises:
        InvalidOptionError: something in it is wrong.
    """
    rules: dict[RuleKey, Rule] = {("default", None): _DEFAULT}
    if "default" in given:
        rules["default", None] = rule_of("default", None, given["default"])
    for table, kind in _RULES.items():
        for key, value in _items(given, table):
            rule = rule_of(kind, key, value)
            rules[kind, rule.key] = rule
    numbers = {name: _number(given[name], name) for name in NUMBERS[1:] if name in given}
    minimum, maximum = numbers.get("minimum"), numbers.get("maximum")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise given["minimum"].error(f"at most the maximum, {maximum:g}")
    return Settings(
        rules=rules,
        factor=numbers.get("factor", 1.0),
        environments={
            _environment(value, key): _number(value, "factor") for key, value in _items(given, "environments")
        },
        environment=_environment(given["environment"]) if "environment" in given else None,
        minimum=minimum,
        maximum=maximum,
        debugger=numbers.get("debugger", 3600.0),
        watch=numbers.get("watch"),
    )


def rule_of(kind: RuleKind, key: object, given: Given) -> Rule:
    """Return the rule that gives some requests, or all, these seconds.

    Raises:
        InvalidOptionError: they are no seconds, or the key is none.
    """
    return Rule(kind, None if kind == "default" else key_of(kind, key, given), _number(given), given.source)


def key_of(kind: RuleKind, key: object, given: Given) -> str:
    """Return what a rule speaks of, by its name.

    Raises:
        InvalidOptionError: it cannot be the name of such a thing.
    """
    text = key if isinstance(key, str) else path_of(key) if hasattr(key, "__qualname__") else ""
    segments = text.split(".")
    if not text or (kind == "pattern" and not all(segments)):
        what = (
            "a pattern"
            if kind == "pattern"
            else f"a class, or the name of {'an' if kind == 'operation' else 'a'} {kind}"
        )
        raise given.error(f"{what} as the key", got=cut(key))
    wild = [segment for segment in segments if ONE in segment]
    if kind != "pattern" and wild:
        fix = f"write {text!r} under patterns." if kind == "operation" else "patterns are for operations."
        raise given.error(
            f"{'an' if kind == 'operation' else 'a'} {kind} as the key", got=f"the pattern {text!r}", fix=fix
        )
    for segment in wild:
        if segment not in (ONE, ANY):
            expected = "* or ** as a whole segment between dots"
            raise given.error(expected, got=f"{segment!r} in {text!r}", fix=f"write {text.replace(segment, ONE)!r}.")
    return text


def refuse_key(key: str, given: Given, table: str) -> InvalidOptionError:
    """Return the error for a key that a policy does not have.

    Args:
        key: The key.
        given: Its value.
        table: The table that it stands in, in a file; nothing for the file itself.
    """
    fix = None
    base, _, unit = key.rpartition("_")
    guess = nearest(key, KEYS)
    if base in NUMBERS and unit in _UNITS:
        number = _in_seconds(given.value, unit)
        fix = f"write {base} = {'...' if number is None else repr(number)}, in seconds."
    elif key in ("tool", "stanchion", "timeouts") and not table:
        fix = "write its keys at the top of the file: only in pyproject.toml they stand in [tool.stanchion.timeouts]."
    elif guess:
        fix = f"write {guess}."
    return given.error("one of the keys " + ", ".join(KEYS), got=repr(key), fix=fix)


def _items(given: Mapping[str, Given], table: str) -> list[tuple[object, Given]]:
    if table not in given:
        return []
    whole = given[table]
    values = whole.value
    if not isinstance(values, Mapping):
        raise whole.error("a table" if isinstance(whole, GivenInFile) else "a mapping")
    return [(key, whole.inner(key, value)) for key, value in cast("Mapping[object, object]", values).items()]


def _number(given: Given, name: str = "default") -> float:
    """Return a number of seconds, or a factor."""
    value = given.value
    least = ">= 0" if name == "debugger" else "> 0"
    expected = f"seconds {least} as a finite number{given.also}"
    if name == "factor":
        expected = "a finite number > 0"
    elif isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value < math.inf or (value == 0 and name == "debugger"):
            return float(min(value, LONGEST))
        raise given.error(
            expected, fix="no limit is written where the wait is: timeout=None." if value == math.inf else None
        )
    raise given.error(expected, fix=_number_fix(value))


def _number_fix(value: object) -> str | None:
    """Return what to write for a text that means a number, and for a name whose dots were taken for tables."""
    if isinstance(value, Mapping):
        return 'write a name with dots in quotes, "shop.stock" = 2.0; for TOML, it is tables within tables otherwise.'
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    number = _in_seconds(digits, text[len(digits) :].strip() or "s")
    return None if number is None else f"write {number!r}."


def _in_seconds(number: object, unit: str) -> float | None:
    """Return what a number of a unit, or the text of one, is in seconds; None when it is nothing that may be given."""
    if unit not in _UNITS or isinstance(number, bool) or not isinstance(number, int | float | str):
        return None
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None


def _environment(given: Given, key: object = None) -> str:
    name = given.value if key is None else key
    if isinstance(name, str) and name:
        return name
    raise given.error("the name of an environment", got=cut(name))
