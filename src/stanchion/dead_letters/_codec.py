# SPDX-License-Identifier: MIT
"""Messages to data and back.

Two forms. An instance of a registered class becomes the msgpack of its fields, read back by its
annotations, or of the plain data that its ``to_data`` returns. Anything else must be plain data: None,
bool, int, float, str, bytes, list, tuple, dict, set, frozenset, date and time types, UUID, Decimal, and
registered instances among them. What msgpack does not know of these (a tuple is not a list) is kept as a
tagged extension, so that it comes back as what it was.

What would come back as something else is refused when it is encoded. Two exceptions, where Python's own
``==`` cannot decide: NaN comes back as NaN, and the time zone of a datetime as its offset at that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec.msgpack import Ext

from stanchion._validate import cut
from stanchion.errors import MessageDecodeError, MessageEncodeError
from stanchion.messages import DATA_TYPE, Conversion, Registration, conversion_of, reader_of, stored_as

PREVIEW_LIMIT: Final = 500
"""How many characters of a message's repr are kept with it."""

_DATA_VERSION: Final = 1
_DEPTH_LIMIT: Final = 100


class EncodedMessage(NamedTuple):
    """A message as data.

    Attributes:
        type: The stored type name; ``"data"`` for plain data.
        version: The version of that type.
        payload: The data.
        preview: The beginning of the message's repr, for people.
    """

    type: str
    version: int
    payload: bytes
    preview: str


def preview_of(message: object) -> str:
    """Return the beginning of the message's repr; a ``__repr__`` that raises does not raise here."""
    return cut(message, PREVIEW_LIMIT)


def encode(message: object) -> EncodedMessage:
    """Return the message as data.

    Raises:
        MessageEncodeError: it cannot become data, or would come back as something else.
    """
    kind = type(message)
    name = stored_as(kind)
    try:
        if name is None:
            return EncodedMessage(DATA_TYPE, _DATA_VERSION, _pack(_plain(message, 0)), preview_of(message))
        return EncodedMessage(*name, _fields(message), preview_of(message))
    except MessageEncodeError:
        raise
    except Exception as error:  # the message's own __eq__, __post_init__ or to_data may raise anything
        got = f"{type(error).__name__}: {error}"
        if name is None or conversion_of(kind) is not None:
            raise MessageEncodeError(kind.__qualname__, expected="values that can become data", got=got) from error
        raise MessageEncodeError(
            kind.__qualname__,
            expected="values that fit its annotations",
            got=got,
            fix=f"make the annotations of {kind.__qualname__} say what its fields hold.",
        ) from error


def decode(type_name: str, version: int, payload: bytes) -> object:
    """Return the message that was stored as ``payload``.

    Raises:
        MessageDecodeError: no class is registered under ``type_name``, the version is newer than the
            class knows, or the data does not fit the class.
    """
    reader = _DATA if type_name == DATA_TYPE else reader_of(type_name)
    if reader is None:
        raise MessageDecodeError(
            type_name,
            version,
            expected="a class that is registered under this name",
            got="none",
            fix="import the module that defines it before; if the class was renamed, give it its old name: "
            f'class ...(Message, type="{type_name}").',
        )
    if version > reader.version:
        raise MessageDecodeError(
            type_name,
            version,
            expected=f"a version up to {reader.version}",
            got="a newer one",
            fix="read it with the release of your code that wrote it, or a later one.",
        )
    try:
        return _read(reader, version, payload)
    except MessageDecodeError:
        raise
    except Exception as error:  # upgrade() and __post_init__ are users' code
        raise MessageDecodeError(
            type_name,
            version,
            expected="data that fits the class",
            got=f"{type(error).__name__}: {error}",
            fix=None if reader is _DATA else "when fields change, raise version= and write upgrade().",
        ) from error


_DATA: Final = Registration(object, DATA_TYPE, _DATA_VERSION, None)


def _read(reader: Registration, version: int, payload: bytes) -> object:
    if reader is _DATA:
        return _unpack(payload)
    upgrade = reader.upgrade if version < reader.version else None
    if reader.from_data is not None:
        data = cast("dict[str, object]", _unpack(payload))
        return reader.from_data(data if upgrade is None else upgrade(data, version))
    if upgrade is not None:
        payload = _pack(upgrade(msgspec.msgpack.decode(payload, type=dict[str, object]), version))
    return msgspec.msgpack.decode(payload, type=reader.cls)


# --- registered classes --------------------------------------------------------------------------


def _fields(message: object) -> bytes:
    """Return the fields of a registered message, proven to come back."""
    name = type(message).__qualname__
    conversion = conversion_of(type(message))
    if conversion is None:
        payload = _pack(message)
        back = msgspec.msgpack.decode(payload, type=type(message))
        fix = f"annotate the fields of {name} with the exact types that they hold."
    else:
        payload = _converted(message, conversion)
        back = conversion.from_data(cast("dict[str, object]", _unpack(payload)))
        fix = f"let the from_data of {name} make what its to_data was given."
    if bool(back == message) or _same(back, message):
        return payload
    raise MessageEncodeError(
        name,
        expected="fields that come back as they were",
        got=f"{cut(message)}, which would come back as {cut(back)}",
        fix=fix,
    )


def _converted(message: object, conversion: Conversion) -> bytes:
    """Return what the ``to_data`` of a registered class makes of a message."""
    data = conversion.to_data(message)
    if type(data) is not dict:
        name = type(message).__qualname__
        raise MessageEncodeError(name, expected="a to_data that returns a dict", got=f"{cut(data)} from it")
    return _pack(_plain(data, 0))


def _same(left: object, right: object) -> bool:
    """Compare by structure, for classes without ``==`` and for NaN, which equals nothing."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float | Decimal):
        return left == right or (left != left and right != right)
    parts = _PARTS.get(type(left), _fields_of)
    ours, theirs = parts(left), parts(right)
    if ours is None or theirs is None:
        return left == right
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))


def _fields_of(value: object) -> list[object] | None:
    """Return the values of the fields of a Struct, a dataclass or an attrs instance; None for anything else."""
    cls: Any = type(value)
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif hasattr(cls, "__dataclass_fields__"):
        names = tuple(cls.__dataclass_fields__)
    elif hasattr(cls, "__attrs_attrs__"):
        names = tuple(field.name for field in cls.__attrs_attrs__)
    else:
        conversion = conversion_of(cls)
        return None if conversion is None else [conversion.to_data(value)]
    return [getattr(value, name) for name in names]


def _flat(value: dict[object, object]) -> list[object]:
    return [part for pair in value.items() for part in pair]


_PARTS: Final[dict[type[object], Callable[[Any], list[object] | None]]] = {list: list, tuple: list, dict: _flat}

# --- plain data ----------------------------------------------------------------------------------


def _pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def _unpack(data: bytes | memoryview) -> object:
    return msgspec.msgpack.decode(data, ext_hook=_from_ext)


def _plain(value: object, depth: int) -> object:
    """Return ``value`` in terms that msgpack knows. Types are exact: a subclass would not come back."""
    kind = type(value)
    if kind in _NATIVE or (kind is int and _INT_MIN <= cast("int", value) <= _INT_MAX):
        return value
    if depth == _DEPTH_LIMIT:
        raise MessageEncodeError(
            kind.__qualname__,
            expected=f"data nested at most {_DEPTH_LIMIT} deep",
            got="deeper data, or data that contains itself",
        )
    if kind is list:
        return [_plain(item, depth + 1) for item in cast("list[object]", value)]
    if kind is dict and all(type(key) is str for key in cast("dict[object, object]", value)):
        return {key: _plain(item, depth + 1) for key, item in cast("dict[object, object]", value).items()}
    tag = _TAGS.get(kind)
    if tag is not None:
        return Ext(tag.code, _pack(_plain(tag.simplify(value), depth + 1)))
    name = stored_as(kind)
    if name is not None:
        return Ext(_MESSAGE, _pack([*name, _fields(value)]))
    raise MessageEncodeError(
        f"{kind.__module__}.{kind.__qualname__}",
        expected="plain data or an instance of a registered message class",
        got=cut(value),
        fix="if the class is yours, derive it from stanchion.Message; if not, "
        f"stanchion.messages.register_message({kind.__qualname__}).",
    )


def _from_ext(code: int, data: memoryview) -> object:
    simple = _unpack(data)
    if code == _MESSAGE:
        type_name, version, payload = msgspec.convert(simple, tuple[str, int, bytes])
        return decode(type_name, version, payload)
    return _RESTORE[code](simple)


class _Tag(NamedTuple):
    """How msgpack keeps a type that it does not know: its number, to simpler data, and back."""

    code: int
    simplify: Callable[[Any], object]
    restore: Callable[[Any], object]


def _pairs(value: dict[object, object]) -> list[object]:
    return [[key, item] for key, item in value.items()]


def _from_hex(text: str) -> int:
    return int(text, 16)


def _from_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _to_timedelta(parts: list[int]) -> timedelta:
    return timedelta(*parts)


_NATIVE: Final = frozenset({NoneType, bool, float, str, bytes})
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_MESSAGE: Final = 0

# The numbers are stored: never change or reuse one.
_TAGS: Final[dict[type[object], _Tag]] = {
    tuple: _Tag(1, list, tuple),
    set: _Tag(2, list, set),
    frozenset: _Tag(3, list, frozenset),
    dict: _Tag(4, _pairs, dict),
    int: _Tag(5, hex, _from_hex),
    datetime: _Tag(6, datetime.isoformat, datetime.fromisoformat),
    date: _Tag(7, date.isoformat, date.fromisoformat),
    time: _Tag(8, time.isoformat, time.fromisoformat),
    timedelta: _Tag(9, _from_timedelta, _to_timedelta),
    UUID: _Tag(10, str, UUID),
    Decimal: _Tag(11, str, Decimal),
}
_RESTORE: Final = {tag.code: tag.restore for tag in _TAGS.values()}
