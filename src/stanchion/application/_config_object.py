# SPDX-License-Identifier: MIT
"""From an application's table to a checked object, with the place of each mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar, cast

import msgspec
from msgspec import inspect

from stanchion._validate import cut, nearest
from stanchion.application._config import Tables
from stanchion.application._config_environment import add_variables
from stanchion.application._config_place import Place, Places, Step
from stanchion.application._config_schema import (
    at,
    changed,
    choices_at,
    fields_of,
    is_at,
    items_of,
    root_of,
    table_in,
)
from stanchion.errors import ApplicationConfigError

_T = TypeVar("_T")

# How msgspec says where: ``$.smtp.towns[2]``, and ``[...]`` for some value of a dict.
_WHERE: Final = re.compile(r"(?s)(.*) - at (`key` in )?`\$(.*)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_EXPECTED: Final = re.compile(r"Expected (.+?)(?:, got `.+`)?")
# msgspec's words, and TOML's.
_WORDS: Final = ((" | null", ""), ("object", "table"), ("`", ""))


def config_object(cls: type[_T], name: str, found: Tables, environ: Mapping[str, str]) -> _T:
    """Return an instance of ``cls`` made of the table ``name`` and of the environment, which goes first.

    Raises:
        ApplicationConfigError: a key is unknown, missing, or holds what it must not.
        InvalidOptionError: msgspec cannot read the class.
    """
    places = Places(name, found.source, {})
    table = found.tables.get(name, {})
    if not isinstance(table, dict):
        raise places.error((), expected="a table", got=cut(table))
    root = root_of(cls, name)
    values = cast("dict[str, object]", table)
    add_variables(values, root, places, environ)
    _check_known(root, values, (), places)
    try:
        return _converted(values, cls)
    except msgspec.ValidationError as error:
        raise _Complaint(str(error), cls, root, values, places).error() from error
    except Exception as error:  # of the class's own: its __post_init__, or a default_factory
        raise places.error((), expected=f"values that {cls.__name__} takes", got=repr(error)) from error


def _converted(values: object, cls: type[_T]) -> _T:
    return msgspec.convert(values, cls, str_keys=True)  # in TOML each key is text


def _check_known(node: inspect.Type, value: object, place: Place, places: Places) -> None:
    """Object to keys that the class does not have; msgspec leaves them out."""
    table = table_in(node, value)
    if table is None or not isinstance(value, dict):
        for step, part, inner in items_of(node, value):
            _check_known(part, inner, (*place, step), places)
        return
    fields = fields_of(table)
    for key, inner in cast("dict[str, object]", value).items():
        if key in fields:
            _check_known(fields[key], inner, (*place, key), places)
        elif key != getattr(table, "tag_field", None):
            guess = nearest(key, fields)
            raise places.error(
                (*place, key),
                expected="one of the keys " + ", ".join(fields) if fields else "no keys",
                got=repr(key),
                fix=f"write {guess}." if guess else None,
            )


class _Complaint:
    """What msgspec objects to in some values."""

    def __init__(
        self, told: str, cls: type[object], root: inspect.Type, values: dict[str, object], places: Places
    ) -> None:
        self._told = told
        self._cls = cls
        self._root = root
        self._values = values
        self._places = places

    def error(self) -> ApplicationConfigError:
        """Return it as an error of ours."""
        found = _WHERE.fullmatch(self._told)
        text, of_key, where = found.groups() if found else (self._told, None, "")
        place = self._place(where)
        if missing := _MISSING.fullmatch(text):
            return self._missing((*place, missing[1]))
        got = cut(at(self._values, place))
        if expected := _EXPECTED.fullmatch(text):
            words = expected[1]
            for theirs, ours in _WORDS:
                words = words.replace(theirs, ours)
            return self._places.error(place, expected=f"keys that are {words}" if of_key else words, got=got)
        choices = choices_at(self._root, self._values, place)
        if choices:
            guess = nearest(str(at(self._values, place)), [choice for choice in choices if isinstance(choice, str)])
            one_of = "one of " + ", ".join(map(repr, choices))
            return self._places.error(place, expected=one_of, got=got, fix=f"write {guess!r}." if guess else None)
        # A check of the class's own, in __post_init__ say.
        what = "its class" if place else self._cls.__name__
        return self._places.error(place, expected=f"values that {what} takes", got=f"an objection: {text}")

    def _missing(self, place: Place) -> ApplicationConfigError:
        fix = f"write {place[-1]} = ... there"
        if all(isinstance(step, str) for step in place):
            fix += f", or set {self._places.variable(place)}"
        return self._places.error(place, expected="a value", got="nothing", fix=f"{fix}.")

    def _place(self, where: str) -> Place:
        """Return the place that msgspec means."""
        place: Place = ()
        for key, index in _STEP.findall(where):
            step: Step | None = key or (self._culprit(place) if index == "..." else int(index))
            if step is None or not is_at(self._values, (*place, step)):  # the latter in words of the class's own
                break
            place += (step,)
        return place

    def _culprit(self, place: Place) -> Step | None:
        """Return the key of the value of a dict that alone would have led to the same complaint, if one would."""
        for key, value in cast("dict[Step, object]", at(self._values, place)).items():
            try:
                _converted(changed(self._values, place, {key: value}), self._cls)
            except Exception as error:  # perhaps another one, of the class's own
                if str(error) == self._told:
                    return key
        return None
