# SPDX-License-Identifier: MIT
"""Signals to events of the cloudevents package, and back: what other systems send and read."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import msgspec

from stanchion._validate import cut, instance
from stanchion.errors import InvalidOptionError, MessageDecodeError, MessageEncodeError
from stanchion.messages import Registration, conversion_of, reader_of, stored_as
from stanchion.router._signal import MESSAGE_TYPE, MESSAGE_VERSION, RESERVED, ExtensionValue, Signal

if TYPE_CHECKING:
    from cloudevents.core.v1.event import CloudEvent

JSON: Final = "application/json"
TEXT: Final = "text/plain"
BINARY: Final = "application/octet-stream"

_IS_JSON: Final = re.compile(r"(application|text)/([a-z0-9.-]+\+)?json\s*(;.*)?", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[0-9]{1,9}")


class Event(Protocol):
    """An event of the cloudevents package, of any version of CloudEvents."""

    def get_attributes(self) -> dict[str, Any]:
        """Return its attributes, extensions among them."""
        ...

    def get_data(self) -> object:
        """Return its data."""
        ...


class _Content(NamedTuple):
    """The data of a signal as that of an event.

    Attributes:
        type: Its content type; None for no data.
        data: The data, in the form in which the package writes it to all its formats.
        message: The stored type name and version, where it was a registered message.
    """

    type: str | None
    data: dict[str, Any] | str | bytes | None
    message: tuple[str, int] | None = None


def to_cloudevent(signal: Signal) -> CloudEvent:
    """Return a signal as an event of CloudEvents 1.0.

    Use it at the border to other systems: the package ``cloudevents`` writes the event to HTTP, Kafka or JSON. It comes
    with the extra ``cloudevents``. What stays between processes of yours needs no event.

    An instance of a message class becomes the JSON of its fields, by its annotations; the extension
    ``stanchionversion`` says its version, and ``stanchiontype`` its stored type name where the signal's type is another
    one. Text stays text and bytes stay bytes. Other data becomes JSON, and has to be what JSON can say. The time becomes
    one of UTC, to the microsecond. Extensions that are bytes become Base64, which is how CloudEvents writes them, and
    come back as that text; where they travel as HTTP headers, numbers and booleans come back as text too.

    Args:
        signal: The signal.

    Raises:
        MessageEncodeError: its data would come back from JSON as something else.
        InvalidOptionError: the extra is not installed, or ``signal`` is none.

    Source: CloudEvents 1.0.2; its JSON format and its HTTP binding.

    Example:
        >>> event = to_cloudevent(Signal("order.placed", {"sku": "A-1"}, source="/shop", id="1", time=0.0))
        >>> event.get_attributes()["time"].isoformat(), event.get_data()
        ('1970-01-01T00:00:00+00:00', {'sku': 'A-1'})
    """
    signal = instance("to_cloudevent(signal)", signal, Signal)
    content = _content_of(signal.data)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "type": signal.type,
        "source": signal.source,
        "id": signal.id,
        "time": datetime.fromtimestamp(signal.time, UTC),
        "subject": signal.subject,
        "dataschema": signal.dataschema,
        "datacontenttype": content.type,
    }
    if content.message is not None:
        name, attributes[MESSAGE_VERSION] = content.message
        attributes[MESSAGE_TYPE] = None if name == signal.type else name
    for name, value in signal.extensions.items():
        attributes[name] = b64encode(value).decode("ascii") if isinstance(value, bytes) else value
    given = {name: value for name, value in attributes.items() if value is not None}
    return _event_class()(given, content.data)


def from_cloudevent(event: Event) -> Signal:
    """Return an event of CloudEvents 1.0 as a signal.

    Data of JSON becomes an instance of the message class that is registered under the event's type (or under its
    extension ``stanchiontype``); its version is that of ``stanchionversion``, and today's without it. Where no class is,
    it is the plain data that JSON says. Data of another content type is text or bytes, as the event has it.

    Args:
        event: An event of the package ``cloudevents``, of ``cloudevents.core``: what ``from_http_event`` returns, say.

    Raises:
        MessageDecodeError: its data does not fit the class, is of a version that the class does not know yet, or names a
            class by ``stanchiontype`` that is not registered.
        PatternError: its type is none that a signal can have: segments with dots between them.
        InvalidOptionError: it is no such event, it is of another version of CloudEvents, or an attribute is malformed.

    Source: CloudEvents 1.0.2. A type is any text there.
    """
    attributes = _attributes_of(event)
    extensions = {name: _extension(name, value) for name, value in attributes.items() if name not in RESERVED}
    moment = attributes.get("time")
    return Signal(
        attributes["type"],
        _data_of(attributes, event.get_data()),
        source=attributes["source"],
        subject=attributes.get("subject"),
        id=attributes["id"],
        time=moment.timestamp() if isinstance(moment, datetime) else moment,
        dataschema=attributes.get("dataschema"),
        extensions=extensions,
    )


def _event_class() -> type[CloudEvent]:
    try:
        from cloudevents.core.v1.event import CloudEvent
    except ImportError as error:
        raise InvalidOptionError(
            "to_cloudevent()",
            expected="the extra for it",
            got=f"no {error.name}",
            fix="pip install 'stanchion[cloudevents]'",
        ) from error
    return CloudEvent


# --- data to content -----------------------------------------------------------------------------


def _content_of(data: object) -> _Content:
    if data is None:
        return _Content(None, None)
    if isinstance(data, str):
        return _Content(TEXT, data)
    if isinstance(data, bytes):
        return _Content(BINARY, data)
    raw = _json_of(data)
    value = msgspec.json.decode(raw)
    # The package writes an object as JSON everywhere; anything else it writes as JSON in one of its formats and as
    # Python's repr in others. Bytes of JSON it leaves as they are.
    return _Content(JSON, value if isinstance(value, dict) else raw, stored_as(type(data)))


def _json_of(data: object) -> bytes:
    """Return data as JSON, proven to come back."""
    kind = type(data)
    try:
        raw, back = _through_json(data)
        same = bool(back == data) or (stored_as(kind) is not None and _stored(back) == _stored(data))
    except MessageEncodeError:
        raise
    except Exception as error:  # what __eq__, __post_init__ and to_data raise, which are users' code
        expected = "data that JSON can say"
        raise MessageEncodeError(kind.__qualname__, expected=expected, got=_text(error), fix=_fix(kind)) from error
    if same:
        return raw
    raise MessageEncodeError(
        kind.__qualname__,
        expected="data that comes back from JSON as it was",
        got=f"{cut(data)}, which would come back as {cut(back)}",
        fix=_fix(kind),
    )


def _stored(message: object) -> bytes:
    """Return what would be stored of a message: it decides where its class has no ``==``."""
    from stanchion.dead_letters import encode  # who routes signals need not have dead letters

    return encode(message).payload


def _through_json(data: object) -> tuple[bytes, object]:
    """Return data as JSON, and as it comes back."""
    kind = type(data)
    conversion = conversion_of(kind)
    if conversion is not None:
        raw, plain = _through_json(conversion.to_data(data))
        return raw, conversion.from_data(cast("dict[str, object]", plain))
    raw = msgspec.json.encode(data)
    return raw, msgspec.json.decode(raw) if stored_as(kind) is None else msgspec.json.decode(raw, type=kind)


def _fix(kind: type[object]) -> str:
    if stored_as(kind) is not None:
        return f"annotate the fields of {kind.__qualname__} with the exact types that they hold."
    return "make it an instance of a message class, whose annotations say what comes back."


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# --- an event's attributes and data --------------------------------------------------------------


def _attributes_of(event: Event) -> dict[str, Any]:
    subject = "from_cloudevent(event)"
    if isinstance(event, type) or not all(
        callable(getattr(event, name, None)) for name in ("get_attributes", "get_data")
    ):
        raise InvalidOptionError(
            subject,
            expected="an event of the cloudevents package",
            got=cut(event),
            fix="read what came with its from_http_event() or JSONFormat().read(); the older classes of cloudevents.v1 are "
            "others.",
        )
    attributes = dict(event.get_attributes())
    version = attributes.get("specversion")
    if version != "1.0":
        raise InvalidOptionError(subject, expected="an event of CloudEvents 1.0", got=f"one of version {cut(version)}")
    for name in ("type", "source", "id"):
        if attributes.get(name) is None:
            raise InvalidOptionError(subject, expected=f"an event with the attribute {name!r}", got="one without it")
    return attributes


def _extension(name: str, value: object) -> ExtensionValue:
    """Return what an extension holds; a moment, for which CloudEvents has a type too, as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return cast("ExtensionValue", value)  # the signal checks it


def _data_of(attributes: dict[str, Any], data: object) -> object:
    content = attributes.get("datacontenttype")
    if content is None or _IS_JSON.fullmatch(content):
        return _from_json(attributes, data)
    # On the way, bytes that happen to be text become text, and no bytes at all become None.
    if content == BINARY:
        return data.encode("utf-8") if isinstance(data, str) else b"" if data is None else data
    if content == TEXT:
        return "" if data is None else data
    return data


def _from_json(attributes: dict[str, Any], data: object) -> object:
    kind = attributes["type"]
    if isinstance(data, bytes):
        if attributes.get("datacontenttype") is None:
            return data
        data = _parsed(kind, data)
    named = attributes.get(MESSAGE_TYPE)
    name = kind if named is None else named
    if data is None and named is None and MESSAGE_VERSION not in attributes:
        return None  # an event without data; its type alone makes no message
    reader = reader_of(name) if isinstance(name, str) else None
    if reader is not None:
        return _message(reader, _version_of(attributes, reader), data)
    if named is not None:
        version = attributes.get(MESSAGE_VERSION, 1)
        fix = "import the module that defines it before."
        raise MessageDecodeError(
            str(named), version, expected="a class that is registered under this name", got="none", fix=fix
        )
    return data


def _parsed(kind: str, data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        subject = f"from_cloudevent(event of type {kind!r})"
        raise InvalidOptionError(
            subject, expected="data that is JSON, as its content type says", got=str(error)
        ) from error


def _version_of(attributes: dict[str, Any], reader: Registration) -> int:
    """Return the version of the message; the headers of HTTP have made text of it."""
    given = attributes.get(MESSAGE_VERSION, reader.version)
    text = str(given)
    if isinstance(given, bool) or _WHOLE.fullmatch(text) is None:
        subject = f"from_cloudevent(event): {MESSAGE_VERSION}"
        raise InvalidOptionError(subject, expected="the whole number of a version", got=cut(given))
    return int(text)


def _message(reader: Registration, version: int, data: object) -> object:
    """Return the message that an event's data says."""
    if version > reader.version:
        expected = f"a version up to {reader.version}"
        fix = "read it with the release of your code that wrote it, or a later one."
        raise MessageDecodeError(reader.type, version, expected=expected, got="a newer one", fix=fix)
    try:
        if version < reader.version and reader.upgrade is not None:
            data = reader.upgrade(msgspec.convert(data, dict[str, object]), version)
        if reader.from_data is not None:
            return reader.from_data(msgspec.convert(data, dict[str, object]))
        return msgspec.json.decode(msgspec.json.encode(data), type=reader.cls)
    except Exception as error:  # upgrade() and __post_init__ are users' code
        fix = "when fields change, raise version= and write upgrade()."
        raise MessageDecodeError(
            reader.type, version, expected="data that fits the class", got=_text(error), fix=fix
        ) from error
