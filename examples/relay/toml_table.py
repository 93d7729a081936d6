# SPDX-License-Identifier: MIT
"""Reading a TOML table key by key, so that each mistake is told with its key, what was expected and what was found."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class ConfigError(ValueError):
    """The configuration is wrong.

    Attributes:
        key: Where, with its tables: ``subscribers.billing.url``.
    """

    def __init__(self, key: str, *, expected: str, got: str, fix: str | None = None) -> None:
        text = f"{key}: expected {expected}, got {got}"
        super().__init__(text if fix is None else f"{text}\nFix: {fix}")
        self.key = key


class Table:
    """One table of a TOML file. Ask for each key by its kind, then ``end()`` objects to what nobody asked for.

    A key without a default must be there. Defaults are not checked.
    """

    def __init__(self, path: str, values: object) -> None:
        if not isinstance(values, dict):
            raise ConfigError(path, expected="a table", got=repr(values))
        self._path = path
        self._values: dict[str, object] = values
        self._known: list[str] = []

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._value(key, default, "text")
        if isinstance(value, str) and value:
            return value
        raise self._wrong(key, "text that is not empty", value)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, at least one."""
        value = self._value(key, None, "a list of texts")
        items = _items(value)
        texts = [item for item in items if isinstance(item, str)]
        if texts and len(texts) == len(items):
            return texts
        raise self._wrong(key, "a list of texts, at least one", value)

    def whole(self, key: str, default: int, *, at_least: int, at_most: int | None = None) -> int:
        """Return a whole number within limits."""
        value = self._value(key, default, "a whole number")
        limits = f">= {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        if isinstance(value, int) and not isinstance(value, bool):
            if value >= at_least and (at_most is None or value <= at_most):
                return value
        raise self._wrong(key, f"a whole number {limits}", value)

    def seconds(self, key: str, default: float) -> float:
        """Return a duration above zero."""
        value = self._value(key, default, "seconds")
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9:
            return float(value)
        raise self._wrong(key, "seconds, more than 0", value)

    def secret(self, key: str, environ: Mapping[str, str]) -> bytes | None:
        """Return the value of the environment variable that the key names; None when the key is not there."""
        if not self.has(key):
            return None
        variable = self.text(key)
        value = environ.get(variable)
        if value:
            return value.encode()
        raise self._wrong(
            key, "the name of an environment variable that is set", variable, fix=f"export {variable}='...'."
        )

    def has(self, key: str) -> bool:
        """Return whether the key is there."""
        self._known.append(key)
        return key in self._values

    def tables(self, key: str, example: str) -> dict[str, Table]:
        """Return the tables inside a table, at least one, by their names."""
        named = Table(self.path(key), self._value(key, None, f"a table, as [{key}.{example}]"))
        if not named._values:
            raise ConfigError(self.path(key), expected=f"at least one table, as [{key}.{example}]", got="none")
        for name in named._values:
            if not _NAME.fullmatch(name):
                raise ConfigError(named.path(name), expected="a name of letters, digits, - and _", got=repr(name))
        return {name: Table(named.path(name), values) for name, values in named._values.items()}

    def table(self, key: str) -> Table:
        """Return a table inside this one; an empty one when it is not there."""
        return Table(self.path(key), self._value(key, {}, "a table"))

    def end(self) -> None:
        """Object to keys that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                guess = difflib.get_close_matches(key, self._known, n=1, cutoff=0.5)
                raise ConfigError(
                    self.path(key),
                    expected="one of " + ", ".join(self._known),
                    got=repr(key),
                    fix=f"write {guess[0]}." if guess else None,
                )

    def path(self, key: str) -> str:
        """Return the full name of a key."""
        return f"{self._path}.{key}" if self._path else key

    def _value(self, key: str, default: object, expected: str) -> object:
        if self.has(key):
            return self._values[key]
        if default is not None:
            return default
        guess = difflib.get_close_matches(key, self._unread(), n=1, cutoff=0.5)
        raise ConfigError(
            self.path(key),
            expected=expected,
            got="nothing",
            fix=f"write {key} where it says {guess[0]}." if guess else None,
        )

    def _unread(self) -> Iterable[str]:
        return [key for key in self._values if key not in self._known]

    def _wrong(self, key: str, expected: str, value: object, fix: str | None = None) -> ConfigError:
        return ConfigError(self.path(key), expected=expected, got=repr(value), fix=fix)


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
