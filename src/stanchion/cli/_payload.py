# SPDX-License-Identifier: MIT
"""A stored message as JSON, without the class that it was.

The command line imports no module because stored data asks for it. What is shown is the data itself: the fields of a
message class as an object, and what JSON lacks in the nearest form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Final, TypeAlias, cast

import msgspec
from msgspec.msgpack import Ext

from stanchion.dead_letters import DeadLetter, decode
from stanchion.errors import MessageDecodeError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_DATA: Final = "data"  # the stored type of plain data; reads any payload as what it is made of


def message_of(letter: DeadLetter) -> tuple[Json, str | None]:
    """Return the message as JSON, and why it could not be read; one of the two is None."""
    if letter.payload is None:
        return None, "it could not become data; the note says why"
    try:
        return as_json(_read(letter.payload)), None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return None, f"{type(error).__name__}: {error}"


def _read(payload: bytes) -> object:
    return msgspec.msgpack.decode(payload, ext_hook=_extension)


def _extension(code: int, data: memoryview) -> object:
    """Return what stands for a type that msgpack does not know."""
    try:
        return decode(_DATA, 1, msgspec.msgpack.encode(Ext(code, bytes(data))))
    except MessageDecodeError:
        pass  # a message of some class, or something with one inside
    match simple := _read(bytes(data)):
        case [str() as type_name, int() as version, bytes() as payload]:
            return {"type": type_name, "version": version, "fields": _read(payload)}
        case _:
            return simple


def as_json(value: object) -> Json:
    """Return data as JSON.

    Bytes become ``{"base64": ...}``, an object whose keys are not all text a list of pairs, NaN and the infinities
    text, durations seconds, sets lists, and what else JSON lacks text.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return _object(cast("Mapping[object, object]", value))
    convert = _CONVERSIONS.get(type(value))
    return str(value) if convert is None else convert(value)


def _object(value: Mapping[object, object]) -> Json:
    if all(isinstance(key, str) for key in value):
        return {str(key): as_json(item) for key, item in value.items()}
    return [[as_json(key), as_json(item)] for key, item in value.items()]


def _list(value: list[object] | tuple[object, ...]) -> Json:
    return [as_json(item) for item in value]


def _set(value: set[object] | frozenset[object]) -> Json:
    return [as_json(item) for item in sorted(value, key=repr)]


def _bytes(value: bytes) -> Json:
    text: Json = msgspec.to_builtins(value)
    return {"base64": text}


_CONVERSIONS: Final[dict[type[object], Callable[..., Json]]] = {
    bytes: _bytes,
    list: _list,
    tuple: _list,
    set: _set,
    frozenset: _set,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: timedelta.total_seconds,
}
