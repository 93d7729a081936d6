# SPDX-License-Identifier: MIT
from __future__ import annotations

import builtins
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v03.event import CloudEvent as OldCloudEvent
from cloudevents.core.v1.event import CloudEvent

from stanchion.errors import InvalidOptionError, MessageDecodeError, MessageEncodeError, PatternError
from stanchion.messages import Message, register_message
from stanchion.router._cloudevents import from_cloudevent, to_cloudevent
from stanchion.router._signal import Signal


class Placed(Message, type="events.placed", version=2):
    sku: str
    quantity: int
    when: datetime
    price: Decimal
    raw: bytes = b""
    tags: frozenset[str] = frozenset()

    @classmethod
    def upgrade(cls, data: dict[str, object], version: int) -> dict[str, object]:
        return {**data, "quantity": data.pop("count")}


class Loose(Message, type="events.loose"):
    what: Any


class Listed(Message, type="events.listed", array_like=True):
    one: int
    two: str


@dataclass
class Odd:
    what: Any

    __eq__ = object.__eq__


register_message(Odd, type="events.odd")


class Box:
    def __init__(self, content: object) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self.content == other.content

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Box({self.content!r})"


register_message(
    Box, type="events.box", to_data=lambda box: {"content": box.content}, from_data=lambda data: Box(**data)
)


class Kind(enum.Enum):
    NEW = "new"


register_message(Kind, type="events.kind")

PLACED = Placed("A-1", 3, datetime(2024, 2, 29, 12, tzinfo=UTC), Decimal("1.20"), b"\x00\xff", frozenset({"x"}))


def by_json(event: CloudEvent) -> Any:
    return JSONFormat().read(None, JSONFormat().write(event))


def by_headers(event: CloudEvent) -> Any:
    return from_http_event(to_binary_event(event))


def by_body(event: CloudEvent) -> Any:
    return from_http_event(to_structured_event(event))


def by_hand(event: CloudEvent) -> Any:
    return event


WAYS = [by_hand, by_json, by_headers, by_body]


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(InvalidOptionError) as caught:
        make()
    return str(caught.value)


def encode_refusal(data: object) -> str:
    with pytest.raises(MessageEncodeError) as caught:
        to_cloudevent(Signal("a", data))
    return str(caught.value)


def event(data: Any = None, **attributes: Any) -> CloudEvent:
    return CloudEvent({"type": "events.parcel", "source": "/shop", "id": "1", **attributes}, data)


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "data",
    [
        None,
        {"sku": "A-1", "deep": [1, 2.5, None, {"x": True}]},
        {},
        [1, "two", {"three": 3}],
        [],
        7,
        1.5,
        False,
        "text",
        "",
        "größe\n",
        '{"looks": "like JSON"}',
        b"\x00\xff",
        b"",
        b"bytes that are text",
        PLACED,
        Listed(1, "b"),
        Loose({"x": [1, None]}),
        Kind.NEW,
        Box({"x": [1, 2]}),
    ],
    ids=repr,
)
def test_data_comes_back_as_it_was(data: object, way: Callable[[CloudEvent], Any]) -> None:
    signal = Signal("events.parcel", data, time=1700000000.25)
    back = from_cloudevent(way(to_cloudevent(signal)))
    assert back == signal
    assert type(back.data) is type(data)


@pytest.mark.parametrize("way", WAYS)
def test_attributes_come_back_as_they_were(way: Callable[[CloudEvent], Any]) -> None:
    signal = Signal(
        "events.parcel",
        source="/shop/größe 1",
        subject='order "17" 日本',
        id="%41",
        time=-1.5,
        dataschema="https://example.com/a#b",
        extensions={"traceparent": "00-1", "partitionkey": ""} if way is by_hand else {"traceparent": "00-1"},
    )
    assert from_cloudevent(way(to_cloudevent(signal))) == signal


def test_message_of_a_class_without_equality_comes_back() -> None:
    back = from_cloudevent(by_json(to_cloudevent(Signal("a", Odd([1, "x"])))))
    assert isinstance(back.data, Odd)
    assert back.data.what == [1, "x"]


@pytest.mark.parametrize("moment", [0.0, 1700000000.123456, 1795408575.4571483, -62_135_596_800.0, 253_402_300_799.0])
def test_time_comes_back_to_the_microsecond(moment: float) -> None:
    back = from_cloudevent(by_json(to_cloudevent(Signal("a", time=moment))))
    assert abs(back.time - moment) < 1e-6
    assert from_cloudevent(by_json(to_cloudevent(back))) == back


# --- what an event says --------------------------------------------------------------------------


def test_event_says_what_the_signal_says() -> None:
    signal = Signal(
        "events.placed",
        PLACED,
        source="/shop",
        subject="17",
        id="1",
        time=0.5,
        extensions={"raw": b"\x00", "n": 3, "b": True},
    )
    made = to_cloudevent(signal)
    assert made.get_attributes() == {
        "specversion": "1.0",
        "type": "events.placed",
        "source": "/shop",
        "id": "1",
        "time": datetime(1970, 1, 1, 0, 0, 0, 500000, tzinfo=UTC),
        "subject": "17",
        "datacontenttype": "application/json",
        "stanchionversion": 2,
        "raw": "AA==",
        "n": 3,
        "b": True,
    }
    assert made.get_data() == {
        "sku": "A-1",
        "quantity": 3,
        "when": "2024-02-29T12:00:00Z",
        "price": "1.20",
        "raw": "AP8=",
        "tags": ["x"],
    }


def test_event_names_the_message_when_the_signal_has_another_type() -> None:
    attributes = to_cloudevent(Signal("events.parcel", PLACED)).get_attributes()
    assert (attributes["stanchiontype"], attributes["stanchionversion"]) == ("events.placed", 2)
    assert "stanchiontype" not in to_cloudevent(Signal.of(PLACED)).get_attributes()
    assert "stanchionversion" not in to_cloudevent(Signal("a", {"x": 1})).get_attributes()


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (None, None),
        ("text", "text/plain"),
        (b"raw", "application/octet-stream"),
        ({"x": 1}, "application/json"),
        ([1], "application/json"),
    ],
)
def test_event_says_what_its_data_is(data: object, content: str | None) -> None:
    assert to_cloudevent(Signal("a", data)).get_attributes().get("datacontenttype") == content


def test_list_is_json_for_every_format_of_the_package() -> None:
    assert to_binary_event(to_cloudevent(Signal("a", ["x", 1]))).body == b'["x",1]'


# --- what cannot become an event -----------------------------------------------------------------


def test_plain_data_that_json_cannot_say_is_refused() -> None:
    assert encode_refusal((1, 2)) == (
        "message of type tuple: expected data that comes back from JSON as it was, "
        "got (1, 2), which would come back as [1, 2]\n"
        "Fix: make it an instance of a message class, whose annotations say what comes back."
    )
    for data in ({"when": datetime(2024, 1, 1, tzinfo=UTC)}, [math.nan], {1: 2}, {"raw": b""}, {"inner": Loose(1)}):
        assert "which would come back as" in encode_refusal(data)


def test_data_that_cannot_become_json_is_refused() -> None:
    assert encode_refusal({"x": object}) == (
        "message of type dict: expected data that JSON can say, got TypeError: Encoding objects of type type is unsupported\n"
        "Fix: make it an instance of a message class, whose annotations say what comes back."
    )
    assert "UnicodeEncodeError" in encode_refusal(["\ud800"])


def test_message_whose_fields_would_come_back_as_something_else_is_refused() -> None:
    assert encode_refusal(Loose({1: 2})) == (
        "message of type Loose: expected data that comes back from JSON as it was, "
        "got Loose(what={1: 2}), which would come back as Loose(what={'1': 2})\n"
        "Fix: annotate the fields of Loose with the exact types that they hold."
    )
    assert "come back as Loose(what=[1, 2])" in encode_refusal(Loose((1, 2)))
    assert "come back as Odd(what={'1': 2})" in encode_refusal(Odd({1: 2}))
    assert "Box" in encode_refusal(Box((1, 2)))
    assert "expected data that JSON can say, got TypeError" in encode_refusal(Odd(object()))


def test_what_is_no_signal_is_refused() -> None:
    wrong: Any = {"type": "a"}
    assert refusal(lambda: to_cloudevent(wrong)) == (
        "to_cloudevent(signal): expected an instance of Signal, got {'type': 'a'}"
    )


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def fails(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("cloudevents"):
            raise ImportError("no", name="cloudevents")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fails)
    assert refusal(lambda: to_cloudevent(Signal("a"))) == (
        "to_cloudevent(): expected the extra for it, got no cloudevents\nFix: pip install 'stanchion[cloudevents]'"
    )


# --- events of others ----------------------------------------------------------------------------


def test_event_of_another_system_becomes_a_signal() -> None:
    made = event(
        {"sku": "A-1"},
        time=datetime(2024, 2, 29, 13, tzinfo=timezone(timedelta(hours=1))),
        datacontenttype="application/vnd.shop+json; charset=utf-8",
        sampledrate=7,
        seen=datetime(2024, 1, 1, tzinfo=UTC),
    )
    signal = from_cloudevent(made)
    assert (signal.type, signal.source, signal.id, signal.data) == ("events.parcel", "/shop", "1", {"sku": "A-1"})
    assert signal.time == datetime(2024, 2, 29, 12, tzinfo=UTC).timestamp()
    assert signal.extensions == {"sampledrate": 7, "seen": "2024-01-01T00:00:00Z"}


def test_event_without_time_has_the_time_at_which_it_is_read() -> None:
    made = event()
    del made._attributes["time"]
    assert from_cloudevent(made).time > 1_700_000_000


def test_event_whose_type_is_that_of_a_message_class_carries_the_message() -> None:
    made = event({"what": 1}, type="events.loose")
    assert from_cloudevent(made).data == Loose(1)
    raw = event(b'{"what": 1}', type="events.loose", datacontenttype="application/json")
    assert from_cloudevent(raw).data == Loose(1)
    assert from_cloudevent(event(None, type="events.loose")).data is None


def test_older_version_is_upgraded() -> None:
    fields = {"sku": "A-1", "count": 3, "when": "2024-02-29T12:00:00Z", "price": "1.20", "raw": "AP8=", "tags": ["x"]}
    assert from_cloudevent(event(fields, stanchiontype="events.placed", stanchionversion="1")).data == PLACED


def test_data_of_other_content_is_as_the_event_has_it() -> None:
    assert from_cloudevent(event("<a/>", datacontenttype="application/xml")).data == "<a/>"
    assert from_cloudevent(event(b"raw")).data == b"raw"
    assert from_cloudevent(event("text")).data == "text"


def test_data_that_is_no_json_is_refused() -> None:
    made = event(b"{", datacontenttype="application/json")
    assert refusal(lambda: from_cloudevent(made)) == (
        "from_cloudevent(event of type 'events.parcel'): expected data that is JSON, as its content type says, "
        "got Input data was truncated"
    )


def decode_refusal(made: CloudEvent) -> str:
    with pytest.raises(MessageDecodeError) as caught:
        from_cloudevent(made)
    return str(caught.value)


def test_data_that_does_not_fit_its_class_is_refused() -> None:
    assert decode_refusal(event({"sku": 1}, type="events.placed")) == (
        "stored message of type events.placed version 2: expected data that fits the class, "
        "got ValidationError: Expected `str`, got `int` - at `$.sku`\n"
        "Fix: when fields change, raise version= and write upgrade()."
    )
    assert "KeyError: 'count'" in decode_refusal(event({}, type="events.placed", stanchionversion=1))
    assert "Expected `object`, got `array`" in decode_refusal(event([1], type="events.box"))
    assert "Expected `object`, got `null`" in decode_refusal(event(None, type="events.box", stanchionversion=1))


def test_message_of_a_version_to_come_is_refused() -> None:
    assert decode_refusal(event({}, type="events.placed", stanchionversion=3)) == (
        "stored message of type events.placed version 3: expected a version up to 2, got a newer one\n"
        "Fix: read it with the release of your code that wrote it, or a later one."
    )


def test_message_of_an_unknown_class_is_refused() -> None:
    assert decode_refusal(event({}, stanchiontype="nobody.knows", stanchionversion=4)) == (
        "stored message of type nobody.knows version 4: expected a class that is registered under this name, got none\n"
        "Fix: import the module that defines it before."
    )
    assert "type 7 version 1" in decode_refusal(event({}, stanchiontype=7))


@pytest.mark.parametrize("version", [True, -1, "1.0", "", "9" * 5000, "٣"])
def test_version_that_is_none_is_refused(version: Any) -> None:
    text = refusal(lambda: from_cloudevent(event({}, type="events.placed", stanchionversion=version)))
    assert text.startswith("from_cloudevent(event): stanchionversion: expected the whole number of a version, got ")


def test_event_of_an_older_specification_is_refused() -> None:
    old = OldCloudEvent({"type": "a", "source": "/s", "id": "1", "specversion": "0.3"})
    assert refusal(lambda: from_cloudevent(old)) == (
        "from_cloudevent(event): expected an event of CloudEvents 1.0, got one of version '0.3'"
    )


@pytest.mark.parametrize("wrong", [None, {"type": "a"}, CloudEvent, HTTPMessage({}, b"")])
def test_what_is_no_event_is_refused(wrong: Any) -> None:
    text = refusal(lambda: from_cloudevent(wrong))
    assert text.startswith("from_cloudevent(event): expected an event of the cloudevents package, got ")
    assert "Fix: read what came with its from_http_event() or JSONFormat().read()" in text


def test_event_that_lacks_an_attribute_is_refused() -> None:
    made = event()
    del made._attributes["source"]
    assert refusal(lambda: from_cloudevent(made)) == (
        "from_cloudevent(event): expected an event with the attribute 'source', got one without it"
    )


def test_event_whose_attributes_fit_no_signal_is_refused() -> None:
    with pytest.raises(PatternError):
        from_cloudevent(event(type="order placed"))
    assert refusal(lambda: from_cloudevent(event(weight=1.5))) == (
        "Signal(extensions['weight']): expected a str, int, bool or bytes, got 1.5"
    )
