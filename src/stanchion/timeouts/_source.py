# SPDX-License-Identifier: MIT
"""Where a policy is loaded from: a file, and the environment, which goes first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from stanchion._toml import read_toml
from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError, TimeoutsConfigError
from stanchion.timeouts._given import (
    KEYS,
    NUMBERS,
    Given,
    GivenInEnvironment,
    GivenInFile,
    refuse_key,
    settings_of,
)
from stanchion.timeouts._rules import Settings

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT: Final = "pyproject.toml"
_TABLE: Final = "tool.stanchion.timeouts"
_PREFIX: Final = "STANCHION_TIMEOUTS__"
# What begins like that is meant to be one of them.
_ALIKE: Final = "STANCHION_TIMEOUT"
_ENVIRONMENT: Final = "STANCHION_ENVIRONMENT"
# What a variable can say; rules have keys, which are no names of variables.
_VARIABLES: Final = {_PREFIX + key.upper(): key for key in (*NUMBERS, "environment")}

Signature = tuple[int, int, int] | None
"""What changes when a file does; None when it is not there."""


class Source(NamedTuple):
    """Where a policy comes from, so that it can be loaded again.

    Attributes:
        given: What goes before file and environment.
        path: The file, absolute; None for none.
        file: What it is called in texts.
    """

    given: dict[str, Given]
    path: str | None = None
    file: str | None = None

    def load(self) -> tuple[Settings, Signature]:
        """Return what the policy is told, and what the file looked like just before it was read. It blocks.

        Raises:
            TimeoutsConfigError: something in it is wrong.
        """
        before = _variables(os.environ) | self.given
        if self.path is None or self.file is None:
            return settings_of(before), None
        # Before it is read: a change in between is seen at the next look.
        signature = signature_of(self.path)
        given = _in_file(self.path, self.file)
        settings_of(given)  # a mistake in what something goes before is one all the same
        return settings_of(given | before), signature


def source_of(path: str | os.PathLike[str] | None, given: dict[str, Given]) -> Source:
    """Return where a policy is to be loaded from.

    Raises:
        InvalidOptionError: it is no path.
        TimeoutsConfigError: a pyproject.toml that was looked into is wrong.
    """
    if path is None:
        return Source(given, *_find())
    if not isinstance(path, str | os.PathLike):
        raise InvalidOptionError("TimeoutPolicy.load(path)", expected="the path of a TOML file, or None", got=cut(path))
    shown = os.fsdecode(path)
    return Source(given, os.path.join(_here() or "", shown), shown)  # noqa: PTH118  # pathlib is for those who read a file


def signature_of(path: str) -> Signature:
    """Return what changes when the file does. It blocks."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # there is none, or there can be none of that name
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _find() -> tuple[str, str] | tuple[()]:
    """Return the nearest pyproject.toml, from the current folder upward, that speaks of timeouts, and its short name."""
    from pathlib import Path  # only programs that look for a file pay for it

    if (current := _here()) is None:
        return ()
    here = Path(current)
    for folder in (here, *here.parents):
        path = folder / PYPROJECT
        # Not is_file(), which raises where it may not look.
        if os.path.isfile(path) and _table_in(path, str(path)) is not None:  # noqa: PTH113
            return str(path), PYPROJECT if folder == here else str(path)
    return ()


def _here() -> str | None:
    """Return the current folder; None when it was removed."""
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return None


def _in_file(path: str, shown: str) -> dict[str, Given]:
    """Return what a file says.

    Raises:
        TimeoutsConfigError: it cannot be read, or has a key that no policy has.
    """
    from pathlib import Path

    table = ""
    values: Mapping[str, object] | None
    if Path(path).name == PYPROJECT:
        table, values = _TABLE, _table_in(Path(path), shown)
        if values is None:
            raise TimeoutsConfigError(shown, _TABLE, subject=shown, expected=f"a table [{_TABLE}]", got="none")
    else:
        values = read_toml(path, TimeoutsConfigError, subject=shown)
    given: dict[str, Given] = {}
    for key, value in values.items():
        given[key] = GivenInFile(value, shown, table, (key,))
        if key not in KEYS:
            raise refuse_key(key, given[key], table)
    return given


def _table_in(path: Path, shown: str) -> Mapping[str, object] | None:
    """Return the table in a pyproject.toml; None when it has none."""
    found: object = read_toml(str(path), TimeoutsConfigError, subject=shown)
    place: list[str] = []
    for key in _TABLE.split("."):
        if not isinstance(found, Mapping):
            raise _no_table(shown, ".".join(place), found)
        table = cast("Mapping[str, object]", found)
        place.append(key)
        if key == "timeouts":
            _refuse_misspelled(shown, table)
        if key not in table:
            return None
        found = table[key]
    if not isinstance(found, Mapping):
        raise _no_table(shown, _TABLE, found)
    return cast("Mapping[str, object]", found)


def _refuse_misspelled(shown: str, tables: Mapping[str, object]) -> None:
    """Object to a table that was meant to be the policy's: nobody else would."""
    if "timeouts" in tables:
        return
    for name in tables:
        if nearest(name, ["audit", "timeouts"]) == "timeouts":
            key = f"tool.stanchion.{name}"
            raise TimeoutsConfigError(
                shown, key, subject=shown, expected=f"the table [{_TABLE}]", got=f"[{key}]", fix=f"write [{_TABLE}]."
            )


def _no_table(shown: str, key: str, found: object) -> TimeoutsConfigError:
    return TimeoutsConfigError(shown, key, subject=f"{shown}: {key}", expected="a table", got=cut(found))


def _variables(environ: Mapping[str, str]) -> dict[str, Given]:
    """Return what the environment says.

    Raises:
        TimeoutsConfigError: a variable with the prefix stands for nothing.
    """
    given: dict[str, Given] = {}
    if environ.get(_ENVIRONMENT):
        given["environment"] = GivenInEnvironment(environ[_ENVIRONMENT], _ENVIRONMENT)
    for variable in sorted(environ):
        if variable.startswith(_ALIKE):
            text = environ[variable]
            value = GivenInEnvironment(text if variable.endswith("ENVIRONMENT") else _value(text), variable)
            if variable not in _VARIABLES:
                guess = nearest(variable, _VARIABLES)
                fix = f"write {guess}." if guess else None
                if variable.partition("__")[2].partition("__")[0].lower() in KEYS:
                    fix = "write it in a file; a variable can say no rules."
                raise value.error("one of " + ", ".join(_VARIABLES), got="a name that stands for no key", fix=fix)
            given[_VARIABLES[variable]] = value
    return given


def _value(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text  # whoever checks the values will tell
