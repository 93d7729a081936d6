# SPDX-License-Identifier: MIT
"""The signal: news for whoever wants it, shaped as an event of CloudEvents 1.0."""

# No annotations as text here: a signal shows the station as its home, where the names in them would be looked up.

import os
import re
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from time import time as machine_time
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack, cast
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from stanchion._ids import TimeIds
from stanchion._validate import cut, known_options
from stanchion.errors import InvalidOptionError
from stanchion.kernel import NODE, PROCESS, Clock, Node
from stanchion.messages import register_message, stored_as
from stanchion.router._pattern import check_type

ExtensionValue = str | int | bool | bytes
"""What an extension of a signal can hold."""

MESSAGE_TYPE: Final = "stanchiontype"
MESSAGE_VERSION: Final = "stanchionversion"

RESERVED: Final = frozenset(
    {
        *(
            "specversion",
            "type",
            "source",
            "id",
            "time",
            "subject",
            "dataschema",
            "datacontenttype",
            "data",
            "data_base64",
        ),
        *(MESSAGE_TYPE, MESSAGE_VERSION),
    }
)
"""The names of what each event has, and of what ``to_cloudevent`` adds; no extension can be called so."""

_NAME: Final = re.compile(r"[a-z0-9]+", re.ASCII)
_NOT_IN_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
# The first and the last second that the text of a time can say: the years 1 to 9999.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
# Types that were found to be well-formed, each as plain text: most programs have few, and make signals of them by
# thousands. Emptied when there are many.
_TYPES: Final[dict[str, str]] = {}
_TYPES_KEPT: Final = 4096


class _Ids(threading.local):
    """What makes the ids of a thread: each thread has a maker of its own, so that none waits for another."""

    def __init__(self) -> None:
        self.follow(None)

    def follow(self, clock: Clock | None) -> Callable[[float], str]:
        """Make ids by another clock; None for the machine's. A clock that is ahead must not put others ahead."""
        make = TimeIds().next
        self.current: tuple[Clock | None, Callable[[float], str]] = (clock, make)
        return make


_ids = _Ids()


def _renew_ids() -> None:
    global _ids
    _ids = _Ids()


os.register_at_fork(after_in_child=_renew_ids)  # a process that was forked must not make the same ids


class SignalFields(TypedDict, total=False):
    """What a signal says beyond its type and its data; see ``Signal``."""

    source: str | None
    subject: str | None
    id: str | None
    time: float | None
    dataschema: str | None
    extensions: Mapping[str, ExtensionValue] | None


class SignalChanges(SignalFields, total=False):
    """What ``Signal.replace`` can change."""

    type: str
    data: object


if TYPE_CHECKING:
    _Extensions = Mapping[str, ExtensionValue]
else:
    _Extensions = Mapping[
        str, object
    ]  # text or bytes is more than msgspec can tell apart, where a field holds a signal


class _News(Struct, frozen=True):
    """What is positional in a signal."""

    type: str
    data: object = None


# What __post_init__ fills in, whether it was left out or given as None: the types are those that the fields have then.
_UNSET: Any = None


class Signal(_News, frozen=True, kw_only=True, repr_omit_defaults=True):
    """News for whoever wants it: what happened, by its type, and what is known of it.

    A signal is a value: it cannot be changed, two with the same attributes are equal, and it can be stored. Its
    attributes are those of an event of CloudEvents 1.0, so that it can come from other systems and go to them, see
    ``to_cloudevent``. ``match`` takes it apart: ``case Signal("order.placed", data):``.

    What has to reach one process, whose reply or whose confirmation matters, is a message: ``call`` or
    ``send_supervised`` it.

    Attributes:
        type: What happened: words with dots between them, from the general to the special, ``"order.placed"`` say.
            Patterns choose by it.
        data: What is known of it; an instance of a message class, or plain data.
        source: Where it happened: a URI reference, a path say. With ``id`` it is unique. By default ``/node/process``:
            the names of the node and of the process that make it, as far as there are any.
        subject: What it happened to, within the source, or None: the number of an order, say.
        id: What it is called; by default a UUID that sorts by time.
        time: When it happened, in Unix seconds; by default now, by the node's clock.
        dataschema: The URI of what describes the data, or None.
        extensions: What else there is to say, for whoever passes it on: by names of lower-case letters and digits, text,
            whole numbers of 32 bits, booleans and bytes.

    Raises:
        PatternError: the type is malformed; the error says where.
        InvalidOptionError: another argument is.

    Source: CloudEvents 1.0.2, "Context Attributes". ``specversion`` and ``datacontenttype`` are those of the wire, and
    made there; a time is a number here.

    Example:
        >>> signal = Signal("order.placed", {"sku": "A-1"}, source="/shop", id="1", time=0.0)
        >>> signal.replace(subject="order-17")
        Signal(type='order.placed', data={'sku': 'A-1'}, source='/shop', subject='order-17', id='1', time=0.0)
    """

    source: str = _UNSET
    subject: str | None = None
    id: str = _UNSET
    time: float = _UNSET
    dataschema: str | None = None
    extensions: _Extensions = {}  # each signal gets one of its own

    if TYPE_CHECKING:

        def __init__(
            self,
            type: str,
            data: object = None,
            *,
            source: str | None = None,
            subject: str | None = None,
            id: str | None = None,
            time: float | None = None,
            dataschema: str | None = None,
            extensions: Mapping[str, ExtensionValue] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        # On the path of each publish: what is left out is filled in, what was given is checked, and nothing more.
        type, node = self.type, NODE.get()
        try:
            plain = _TYPES.get(type)
        except TypeError:  # it has no hash
            plain = None
        if plain is not type:
            force_setattr(self, "type", _checked_type(type) if plain is None else plain)
        if self.id is _UNSET and self.time is _UNSET:
            clock = None if node is None else node.clock
            now = machine_time() if clock is None else clock.time()
            by, make = _ids.current
            force_setattr(self, "time", now)
            force_setattr(self, "id", make(now) if by is clock else _ids.follow(clock)(now))
        else:
            self._check_stamp(None if node is None else node.clock)
        if self.source is _UNSET:
            force_setattr(self, "source", "/" if node is None else _here(node))
        else:
            self._check_text("source", self.source)
        if self.subject is not None or self.dataschema is not None or self.extensions or self.extensions is _UNSET:
            self._check_rest()

    def _check_stamp(self, clock: Clock | None) -> None:
        """Check the id or the time, or both, and fill in the other."""
        now = machine_time() if clock is None else clock.time()
        if self.time is _UNSET:
            force_setattr(self, "time", now)
        else:
            self._check_time()
        if self.id is _UNSET:
            # Not by the time that was given: the ids after it would be made of it too, for each is greater than the last.
            by, make = _ids.current
            force_setattr(self, "id", make(now) if by is clock else _ids.follow(clock)(now))
        else:
            self._check_text("id", self.id)

    def _check_rest(self) -> None:
        """Check what most signals do not have."""
        for name in ("subject", "dataschema"):
            if (text := getattr(self, name)) is not None:
                self._check_text(name, text)
        force_setattr(self, "extensions", _checked_extensions(self.extensions))

    def _check_text(self, name: str, value: object) -> None:
        """Raise unless an attribute is text as CloudEvents has it."""
        # Printable text has none of what is not allowed; asking for that first is three times as fast.
        if not isinstance(value, str) or not value or not (value.isprintable() or not _NOT_IN_TEXT.search(value)):
            expected = "text that is not empty and has no control characters, or None"
            raise InvalidOptionError(f"Signal({name})", expected=expected, got=cut(value))
        if type(value) is not str:
            force_setattr(self, name, str.__str__(value))  # a member of a StrEnum, say, cannot be stored

    def _check_time(self) -> None:
        value: object = self.time
        if not isinstance(value, int | float) or isinstance(value, bool) or not _FIRST <= value <= _LAST:
            raise InvalidOptionError(
                "Signal(time)",
                expected="Unix seconds in the years 1 to 9999, or None for now",
                got=cut(value),
                fix="a datetime says them by .timestamp()." if hasattr(value, "timestamp") else None,
            )
        if type(value) is not float:
            force_setattr(self, "time", float(value))  # as for text

    @classmethod
    def of(cls, message: object, **fields: Unpack[SignalFields]) -> Self:
        """Return the signal whose data is a message and whose type is the message's stored type name.

        Args:
            message: An instance of a message class, see ``Message`` and ``register_message``.
            **fields: What the signal says beyond its type and its data, see ``Signal``.

        Raises:
            InvalidOptionError: the class of ``message`` is not registered, or an argument is wrong.
            PatternError: the name under which it is stored is no type of a signal.

        Example:
            >>> from stanchion.messages import Message
            >>> class Placed(Message, type="order.placed"):
            ...     sku: str
            >>> Signal.of(Placed("A-1"), subject="order-17").type
            'order.placed'
        """
        stored = stored_as(type(message))
        if stored is None:
            name = type(message).__qualname__
            raise InvalidOptionError(
                "Signal.of(message)",
                expected="an instance of a message class",
                got=cut(message),
                fix=f"derive {name} from stanchion.Message, or write Signal(type, data) with a type of your own.",
            )
        return cls(stored[0], message, **fields)

    def replace(self, **changes: Unpack[SignalChanges]) -> Self:
        """Return this signal with other attributes; those that are not named stay, its id and time too.

        Args:
            **changes: Attributes by name. None for ``source``, ``id`` or ``time`` is what a new signal would have.

        Raises:
            PatternError: the type is malformed.
            InvalidOptionError: another argument is, or there is no attribute of that name.
        """
        known_options("Signal.replace()", changes, self.__struct_fields__)
        return replace(self, **changes)

    def __hash__(self) -> int:
        return hash(self.id)  # data may have no hash; two that are equal have the same id

    def _to_data(self) -> dict[str, object]:
        """Return what is stored: the attributes that say something."""
        names = self.__struct_fields__ if self.extensions else self.__struct_fields__[:-1]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @classmethod
    def _from_data(cls, data: dict[str, object]) -> Self:
        """Return the signal that was stored."""
        return cls(**cast("Any", data))


def _checked_type(type: object) -> str:
    plain = check_type("Signal(type)", type)
    if len(_TYPES) >= _TYPES_KEPT:
        _TYPES.clear()
    _TYPES[plain] = plain
    return plain


def _checked_extensions(extensions: object) -> dict[str, ExtensionValue]:
    """Return a copy of extensions that fit into an event."""
    if extensions is None:
        return {}
    if not isinstance(extensions, Mapping):
        raise InvalidOptionError("Signal(extensions)", expected="values by name, or None", got=cut(extensions))
    given = cast("Mapping[object, object]", extensions)
    return {_checked_name(name): _checked_value(cast("str", name), value) for name, value in given.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidOptionError("Signal(extensions)", expected="names that are text", got=cut(name))
    if name in RESERVED:
        expected = "names that no event has by itself"
        fix = f"write Signal({name}=...)." if name in Signal.__struct_fields__ else None
        raise InvalidOptionError("Signal(extensions)", expected=expected, got=cut(name), fix=fix)
    found = _NAME.match(name)
    end = found.end() if found else 0
    if not name or end < len(name):
        raise InvalidOptionError(
            "Signal(extensions)",
            expected=f"lower-case letters and digits at position {end} of {name!r}",
            got=cut(name[end]) if name else "its end",
        )
    return str.__str__(name)


def _checked_value(name: str, value: object) -> ExtensionValue:
    subject = f"Signal(extensions[{name!r}])"
    # What derives from one of the types, as an enumeration does, becomes that type: it could not be stored.
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, int):
        if _INT_MIN <= value <= _INT_MAX:
            return int(value)
        fix = "write it as text; whole numbers of events have 32 bits."
        raise InvalidOptionError(subject, expected=f"an int from {_INT_MIN} to {_INT_MAX}", got=cut(value), fix=fix)
    if not isinstance(value, str):
        raise InvalidOptionError(subject, expected="a str, int, bool or bytes", got=cut(value))
    if not value.isprintable() and _NOT_IN_TEXT.search(value):
        raise InvalidOptionError(subject, expected="text without control characters", got=cut(value))
    return str.__str__(value)


def _here(node: Node) -> str:
    """Return the source of a signal that is made by the running code."""
    process = PROCESS.get()
    # The process's own node, or a node inside it: the innermost counts.
    name = process.pid.name if process is not None and process.node is node else None
    return _source(node.name, name)


@lru_cache(maxsize=1024)
def _source(node: str, process: str | None) -> str:
    names = (node,) if process is None else (node, process)
    return "".join("/" + quote(name, safe="!$&'()*+,;=:@") for name in names)


register_message(Signal, type="stanchion.signal", to_data=Signal._to_data, from_data=Signal._from_data)
