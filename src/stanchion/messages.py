# SPDX-License-Identifier: MIT
"""Messages that can be stored: classes with a type name, a version and a rule for older versions.

Anything can be sent to a process. What shall outlive the Python process, in a dead letter for instance, must
become data and come back. ``Message`` and ``Call`` are bases for such messages; ``register_message`` takes in
classes that you do not own. Stored data names its type, and only a class that is registered under that
name ever reads it: no module is imported because stored data asks for it, and nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast, dataclass_transform
from weakref import WeakKeyDictionary

import msgspec

from stanchion._validate import cut, whole_number
from stanchion.errors import InvalidOptionError

__all__ = ["Call", "Message", "Upgrade", "register_message"]

R_co = TypeVar("R_co", covariant=True)
_C = TypeVar("_C", bound=type[object])

Upgrade = Callable[[dict[str, object], int], dict[str, object]]
"""``upgrade(data, version)`` returns what the fields stored as ``version`` are called and hold today."""

ToData = Callable[[Any], dict[str, object]]
"""``to_data(message)`` returns what is stored of it, by name: plain data, and registered messages among it."""

FromData = Callable[[dict[str, object]], object]
"""``from_data(data)`` returns the message that ``to_data`` made ``data`` of."""

DATA_TYPE: Final = "data"
"""The stored type name of plain data; no class can take it."""


class Registration(NamedTuple):
    """The class that reads a stored type.

    Attributes:
        cls: The class.
        type: The stored type name.
        version: The version that is written today.
        upgrade: The rule for older versions; None leaves them as they are.
        from_data: What makes the message; None where its annotations say how.
    """

    cls: type[object]
    type: str
    version: int
    upgrade: Upgrade | None
    from_data: FromData | None = None


class Conversion(NamedTuple):
    """How instances of a class become data and come back, where its annotations do not say it.

    Attributes:
        to_data: Returns what is stored of one.
        from_data: Returns one again.
    """

    to_data: ToData
    from_data: FromData


# A type name belongs to the newest definition of its class for as long as the interpreter runs. Instances of
# an older definition (a reloaded module, a function that ran twice) keep their name as long as they live.
_readers: Final[dict[str, Registration]] = {}
_written: Final[WeakKeyDictionary[type[object], tuple[str, int]]] = WeakKeyDictionary()
_converted: Final[WeakKeyDictionary[type[object], Conversion]] = WeakKeyDictionary()


def reader_of(type_name: str) -> Registration | None:
    """Return who reads data stored under ``type_name``."""
    return _readers.get(type_name)


def stored_as(cls: type[object]) -> tuple[str, int] | None:
    """Return the type name and version under which instances of ``cls`` are stored, None if they are not."""
    return _written.get(cls)


def conversion_of(cls: type[object]) -> Conversion | None:
    """Return how instances of ``cls`` become data, None where its annotations say it."""
    return _converted.get(cls)


def register_message(
    cls: _C,
    *,
    type: str | None = None,
    version: int = 1,
    upgrade: Upgrade | None = None,
    to_data: ToData | None = None,
    from_data: FromData | None = None,
) -> _C:
    """Make a class storable that does not derive from ``Message``.

    For dataclasses, attrs classes, msgspec Structs, enums and named tuples whose fields msgspec can read by
    their annotations. A class of your own is better derived from ``Message``.

    Args:
        cls: The class.
        type: The stored type name; by default ``module.qualified_name``. Give one before you rename or
            move the class, and for a class in a script: there the module is called ``__main__``.
        version: The version that is written, from 1. Raise it whenever the meaning of the fields changes.
        upgrade: Called with the fields of a message that an older version stored, and with that version;
            returns the fields of today. None reads old fields as they are.
        to_data: For a class whose annotations do not say what it holds: returns what is stored of a message, by name.
            That can be what the annotations of a field cannot name: any plain data, and registered messages among it.
        from_data: Makes the message again of what ``to_data`` returned. Give both or neither.

    Returns:
        The class itself.

    Raises:
        InvalidOptionError: the type name belongs to another class, or an argument is wrong.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Invoice:
        ...     number: int
        >>> register_message(Invoice, type="billing.invoice").__name__
        'Invoice'

        A class that holds what annotations do not tell:

        >>> class Parcel:
        ...     def __init__(self, content):
        ...         self.content = content
        >>> register_message(
        ...     Parcel,
        ...     type="shop.parcel",
        ...     to_data=lambda parcel: {"content": parcel.content},
        ...     from_data=lambda data: Parcel(**data),
        ... ).__name__
        'Parcel'
    """
    name = f"{cls.__module__}.{cls.__qualname__}" if type is None else type
    subject = f"message class {cls.__qualname__}"
    if not isinstance(name, str) or not name or name == DATA_TYPE:
        raise InvalidOptionError(f"{subject}: type", expected=f"a name of your own (not {DATA_TYPE!r})", got=cut(name))
    version = whole_number(f"{subject}: version", version, at_least=1)
    conversion = _conversion(subject, to_data, from_data)
    holder = _readers.get(name)
    if holder is not None and not _gives_way(holder.cls, cls):
        raise InvalidOptionError(
            f"{subject}: type",
            expected="a name that no other class has",
            got=f"{name!r}, which belongs to {holder.cls.__module__}.{holder.cls.__qualname__}",
            fix=f'give one of the two another name: class {cls.__name__}(..., type="...").',
        )
    _readers[name] = Registration(cls, name, version, upgrade, from_data)
    _written[cls] = (name, version)
    if conversion is None:
        _converted.pop(cls, None)
    else:
        _converted[cls] = conversion
    return cls


def _conversion(subject: str, to_data: ToData | None, from_data: FromData | None) -> Conversion | None:
    """Return both functions, or None when there is neither."""
    if to_data is None and from_data is None:
        return None
    for name, function, other in (("to_data", to_data, "from_data"), ("from_data", from_data, "to_data")):
        if not callable(function):
            fix = f"{other} alone is not enough: what is stored has to come back." if function is None else None
            raise InvalidOptionError(f"{subject}: {name}", expected="a function", got=cut(function), fix=fix)
    return Conversion(cast("ToData", to_data), cast("FromData", from_data))


def _gives_way(old: type[object], new: type[object]) -> bool:
    """Tell whether ``new`` redefines ``old``: the same place in the same module, or old was local to a function."""
    same_place = (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
    return same_place or "<locals>" in old.__qualname__


class _MessageMeta(msgspec.StructMeta):
    """Takes ``type=`` and ``version=`` out of a class statement and registers the class."""

    # A metaclass, because StructMeta refuses unknown class keywords before __init_subclass__ can see them.
    def __new__(  # noqa: PYI034 - Self has no meaning in a metaclass
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        /,
        *,
        type: str | None = None,
        version: int = 1,
        **options: Any,
    ) -> _MessageMeta:
        cls = super().__new__(mcls, name, bases, namespace, **options)
        if cls.__module__ != __name__:  # the two bases below are nobody's message
            register_message(cls, type=type, version=version, upgrade=cls.upgrade)  # type: ignore[attr-defined]
        return cls


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, metaclass=_MessageMeta, frozen=True):
    """The base of typed messages that can be stored.

    A subclass lists its fields by annotation. It is immutable, has ``==``, a readable ``repr`` and a
    positional order for ``match``. Its values are checked when it is stored, not when it is made.
    For a request with a typed reply use ``Call``.

    Class keywords:
        type: The stored type name; see ``register_message``.
        version: The version that is written; see ``register_message``.
        The options of ``msgspec.Struct`` (``kw_only=True`` and others) work too.

    Example:
        >>> class Arrived(Message, type="shop.arrived", version=2):
        ...     sku: str
        ...     quantity: int
        ...
        ...     @classmethod
        ...     def upgrade(cls, data, version):
        ...         return {**data, "quantity": data.pop("count")} if version < 2 else data
        >>> Arrived("A-1", 3)
        Arrived(sku='A-1', quantity=3)
    """

    if TYPE_CHECKING:  # what a class statement may say; the metaclass takes it

        def __init_subclass__(
            cls,
            *,
            type: str | None = None,
            version: int = 1,
            frozen: bool = True,
            kw_only: bool = False,
            eq: bool = True,
            order: bool = False,
            omit_defaults: bool = False,
            array_like: bool = False,
            gc: bool = True,
            weakref: bool = False,
            dict: bool = False,
            cache_hash: bool = False,
        ) -> None: ...

    @classmethod
    def upgrade(cls, data: dict[str, object], version: int) -> dict[str, object]:
        """Return the fields of today for a message that an older version of this class stored.

        Override it when you raise ``version=`` for more than an added field with a default. It is called
        once per read, with whatever version was stored, and must handle all of them.

        Args:
            data: The stored fields by name.
            version: The version that stored them, lower than today's.

        Returns:
            The fields by name, for today's class. This base returns ``data`` as it is.
        """
        return data


class Call(Message, Generic[R_co]):
    """The base of typed requests: ``class Reserve(Call[bool])`` is a request whose reply is a bool.

    A type checker knows from it what ``await call(ref, Reserve(...))`` returns; at run time it is a
    ``Message`` like others.

    Example:
        >>> class Reserve(Call[bool], type="shop.reserve"):
        ...     sku: str
        ...     quantity: int = 1
        >>> Reserve("A-1")
        Reserve(sku='A-1', quantity=1)
    """
