# SPDX-License-Identifier: MIT
"""Where an application's configuration comes from: the tables of a file or a mapping, and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from stanchion._toml import read_toml
from stanchion._validate import cut, nearest
from stanchion.errors import ApplicationConfigError, InvalidOptionError

if TYPE_CHECKING:
    from stanchion.application._application import Application

ConfigSource = str | os.PathLike[str] | Mapping[str, object]
"""A TOML file, or what one would hold: a table for each application, by its name."""

_MAPPING: Final = "config"


class Tables(NamedTuple):
    """What a source holds.

    Attributes:
        source: What it is called in texts: the file's path, or ``config``.
        tables: The tables by name, of nothing but what tomllib makes: each table is a dict, each array a list.
    """

    source: str
    tables: dict[str, object]


def read_tables(source: ConfigSource | None) -> Tables:
    """Return what a source holds; None holds nothing.

    Raises:
        ApplicationConfigError: the file cannot be read, or is no TOML.
        InvalidOptionError: it is no source.
    """
    if source is None or isinstance(source, Mapping):
        return Tables(_MAPPING, _as_toml(source or {}))
    if not is_file(source):
        raise InvalidOptionError(
            "config", expected="the path of a TOML file, a mapping of tables, or None", got=cut(source)
        )
    path = os.fsdecode(source)
    return Tables(path, read_toml(path, ApplicationConfigError))


def _as_toml(mapping: Mapping[Any, object]) -> dict[str, object]:
    return {str(key): _value_as_toml(value) for key, value in mapping.items()}


def _value_as_toml(value: object) -> object:
    if isinstance(value, Mapping):
        return _as_toml(cast("Mapping[Any, object]", value))
    if isinstance(value, list | tuple):
        return [_value_as_toml(item) for item in cast("list[object]", value)]
    return value


def is_file(source: ConfigSource | None) -> bool:
    """Return whether a source is a file, and reading it may block."""
    return isinstance(source, str | os.PathLike)


def configs_of(applications: Iterable[Application], found: Tables, environ: Mapping[str, str]) -> dict[str, object]:
    """Return the configuration of each application that has one, by its name.

    Raises:
        ApplicationConfigError: something in it is wrong, or a table belongs to none of them.
        InvalidOptionError: a class of theirs cannot be read.
    """
    applications = list(applications)
    _check_owners(applications, found)
    configs: dict[str, object] = {}
    for app in applications:
        if app.config is not None:
            from stanchion.application._config_object import config_object  # only these applications pay for msgspec

            configs[app.name] = config_object(app.config, app.name, found, environ)
    return configs


def _check_owners(applications: list[Application], found: Tables) -> None:
    """Object to tables that no application reads: a misspelled one would leave an application with its defaults."""
    owners = [app.name for app in applications if app.config is not None]
    for name in found.tables:
        if name not in owners:
            got, fix = f"[{name}]", None
            guess = nearest(name, [owner for owner in owners if owner not in found.tables])
            if any(app.name == name for app in applications):
                got += ", of an application without config="
                fix = f"pass config= to Application({name!r}), a class with the keys of the table."
            elif guess:
                fix = f"write [{guess}]."
            expected = "the tables " + ", ".join(f"[{owner}]" for owner in owners) if owners else "no tables"
            raise ApplicationConfigError(found.source, name, subject=found.source, expected=expected, got=got, fix=fix)
