# SPDX-License-Identifier: MIT
"""Environment variables that stand for keys of a configuration: ``SHOP__SMTP__PORT``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import cast

from msgspec import inspect

from stanchion._validate import nearest
from stanchion.application._config_place import Place, Places, shouted
from stanchion.application._config_schema import Table, fields_of, table_in, takes_text
from stanchion.errors import ApplicationConfigError


def add_variables(values: dict[str, object], root: inspect.Type, places: Places, environ: Mapping[str, str]) -> None:
    """Put what the environment says into a table; ``places`` takes note of where.

    Raises:
        ApplicationConfigError: a variable with the application's prefix stands for no key.
    """
    prefix = places.variable(()) + "__"
    for variable in sorted(environ):
        if variable.startswith(prefix):
            place = _put(values, root, places, variable, variable.removeprefix(prefix).split("__"), environ[variable])
            if place is not None:
                places.variables[place] = variable


def _put(
    values: dict[str, object], node: inspect.Type, places: Places, variable: str, words: list[str], text: str
) -> Place | None:
    """Put the value of a variable where its words say; return the place, or None where a table should be and is none."""
    place: tuple[str, ...] = ()
    for word in words[:-1]:
        key, node = _field(node, values, places, variable, place, word)
        place += (key,)
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            return None  # whoever checks the values will tell
        values = cast("dict[str, object]", inner)
    key, node = _field(node, values, places, variable, place, words[-1])
    values[key] = _value(node, text)
    return (*place, key)


def _field(
    node: inspect.Type, values: dict[str, object], places: Places, variable: str, place: Place, word: str
) -> tuple[str, inspect.Type]:
    """Return the key that a word of a variable stands for, and its type."""
    table = table_in(node, values)
    if table is None:
        whole = places.dotted(place)
        raise ApplicationConfigError(
            variable,
            whole,
            subject=f"environment variable {variable}",
            expected=f"the name of a key, and {whole} is one",
            got="a name that goes on",
            fix=f"write {places.variable(place)}, with all that is in it, as in TOML.",
        )
    for key, inner in fields_of(table).items():
        if shouted(key) == word:
            return key, inner
    raise _unknown(variable, places, place, table)


def _unknown(variable: str, places: Places, place: Place, table: Table) -> ApplicationConfigError:
    known = [places.variable((*place, key)) for key in fields_of(table)]
    guess = nearest(variable, known)
    return ApplicationConfigError(
        variable,
        None,
        subject=f"environment variable {variable}",
        expected="one of " + ", ".join(known) if known else "none for a table without keys",
        got="a name that stands for no key",
        fix=f"write {guess}." if guess else None,
    )


def _value(node: inspect.Type, text: str) -> object:
    """Return the value of a variable: text where the key takes text, else what it says in TOML."""
    if takes_text(node):
        return text
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"] if len(values) == 1 else text
