# SPDX-License-Identifier: MIT
"""From what the sender knows to a letter that every store can keep.

Nothing is refused for what it contains: a message that cannot become data is kept with its preview, and
text or metadata that no store could take is kept in a form that it can.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from stanchion._validate import cut
from stanchion.dead_letters._codec import PREVIEW_LIMIT, EncodedMessage, encode, preview_of
from stanchion.dead_letters._letter import Attempt, storable
from stanchion.errors import InvalidOptionError, MessageEncodeError

_WORD_LIMIT: Final = 200
_TEXT_LIMIT: Final = 2000
_TRACEBACK_LIMIT: Final = 4000
_ADDRESS_LIMIT: Final = 10_000
_HISTORY_LIMIT: Final = 10_000  # bytes; a history within it is kept word for word


def content_of(message: object) -> tuple[str, int, bytes | None, str, str | None]:
    """Return type, version, payload, preview and note of a message as a letter keeps it.

    One that is encoded already is taken as it is.

    Raises:
        InvalidOptionError: it is an ``EncodedMessage`` with fields of the wrong kind.
    """
    try:
        encoded = _checked(message) if isinstance(message, EncodedMessage) else encode(message)
    except MessageEncodeError as error:
        kind = type(message)
        why = storable(str(error).partition("\n")[0], _TEXT_LIMIT)
        preview = storable(preview_of(message), PREVIEW_LIMIT)
        return f"{kind.__module__}.{kind.__qualname__}", 0, None, preview, why
    type_name, version, payload, preview = encoded
    return type_name, version, payload, storable(preview, PREVIEW_LIMIT), None


def _checked(given: EncodedMessage) -> EncodedMessage:
    # A NamedTuple checks nothing; what has other types than it says could be stored, and never read.
    try:
        return msgspec.convert(tuple(given), EncodedMessage, builtin_types=(bytes,))
    except msgspec.ValidationError:
        raise InvalidOptionError(
            "add(message)",
            expected="EncodedMessage(text, whole number, bytes, text)",
            got=cut(given),
            fix="pass the message itself, or what encode() returned.",
        ) from None


def address(subject: str, value: object) -> str:
    """Return a recipient, or an owner, as text.

    Raises:
        InvalidOptionError: it is no text, or empty.
    """
    if isinstance(value, str) and value:
        return storable(value, _ADDRESS_LIMIT)
    raise InvalidOptionError(subject, expected="a name, or a pid as text", got=cut(value))


def word(subject: str, value: object) -> str:
    """Return a reason, at most 200 characters of it.

    Raises:
        InvalidOptionError: it is no text.
    """
    if isinstance(value, str):
        return storable(value, _WORD_LIMIT)
    raise InvalidOptionError(subject, expected="text", got=cut(value))


def text_or_none(subject: str, value: object) -> str | None:
    """Return an error's text or an id, at most 2000 characters of it; None stays None.

    Raises:
        InvalidOptionError: it is neither text nor None.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value, _TEXT_LIMIT)
    raise InvalidOptionError(subject, expected="text or None", got=cut(value))


def traceback_or_none(subject: str, value: object) -> str | None:
    """Return a stack trace, its last 4000 characters, for what raised stands at the end; None stays None.

    Raises:
        InvalidOptionError: it is neither text nor None.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value[-_TRACEBACK_LIMIT:], _TRACEBACK_LIMIT)
    raise InvalidOptionError(subject, expected="text or None", got=cut(value))


def trace_of(subject: str, given: tuple[str, str] | None) -> tuple[str | None, str | None]:
    """Return a trace id and a span id; two None when there is no trace.

    Raises:
        InvalidOptionError: it is no pair of texts.
    """
    match given:
        case None:
            return None, None
        case (str() as trace_id, str() as span_id):
            return storable(trace_id, _TEXT_LIMIT), storable(span_id, _TEXT_LIMIT)
        case _:
            raise InvalidOptionError(subject, expected="(trace id, span id)", got=cut(given))


def attempts_of(subject: str, given: Iterable[object]) -> tuple[Attempt, ...]:
    """Return attempts whose texts a store can keep.

    Raises:
        InvalidOptionError: one is no ``Attempt``, or has fields of the wrong kind.
    """
    attempts = tuple([_attempt(subject, attempt) for attempt in given])
    try:
        if len(msgspec.json.encode(attempts)) <= _HISTORY_LIMIT:  # cheaper than a look at each text
            return attempts
    except UnicodeEncodeError:
        pass
    return tuple(
        Attempt(
            attempt.at,
            word(subject, attempt.reason),
            text_or_none(subject, attempt.error),
            traceback_or_none(subject, attempt.traceback),
        )
        for attempt in attempts
    )


def _attempt(subject: str, given: object) -> Attempt:
    # Attempt is a plain Struct: its annotations promise types that nobody has checked.
    if isinstance(given, Attempt) and isinstance(given.at, float | int) and isinstance(given.reason, str):
        # What is no finite number is no JSON, and the whole history would not come back.
        if math.isfinite(given.at) and all(
            text is None or isinstance(text, str) for text in (given.error, given.traceback)
        ):
            return given
    raise InvalidOptionError(subject, expected="Attempt(seconds, text, text or None, text or None)", got=cut(given))


def json_of(subject: str, metadata: Mapping[str, object] | None) -> dict[str, object]:
    """Return metadata as JSON data. What is none is kept as its repr, so that no letter fails for it.

    Raises:
        InvalidOptionError: it is no mapping.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidOptionError(subject, expected="a mapping", got=cut(metadata))
    try:
        return msgspec.json.decode(msgspec.json.encode(dict(metadata), enc_hook=cut), type=dict[str, object])
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        return {_ascii(key): storable(cut(value), _WORD_LIMIT) for key, value in metadata.items()}


def _ascii(key: object) -> str:
    return storable(key if isinstance(key, str) else cut(key), _WORD_LIMIT)
