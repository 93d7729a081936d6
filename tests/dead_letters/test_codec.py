# SPDX-License-Identifier: MIT
from __future__ import annotations

import enum
import math
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from stanchion.dead_letters import EncodedMessage, decode, encode
from stanchion.errors import MessageDecodeError, MessageEncodeError
from stanchion.messages import Call, Message, register_message


class Reserve(Call[bool], type="codec.reserve"):
    sku: str
    quantity: int = 1


class Loose(Message, type="codec.loose"):
    what: Any


class Typed(Message, type="codec.typed"):
    when: datetime
    price: Decimal
    tags: frozenset[str]
    place: tuple[float, float]
    inner: Reserve | None = None
    raw: bytes = b""


def again(message: object) -> object:
    encoded = encode(message)
    return decode(encoded.type, encoded.version, encoded.payload)


def refusal(message: object) -> str:
    with pytest.raises(MessageEncodeError) as caught:
        encode(message)
    return str(caught.value)


def failure(type_name: str, version: int, payload: bytes) -> str:
    with pytest.raises(MessageDecodeError) as caught:
        decode(type_name, version, payload)
    assert (caught.value.message_type, caught.value.version) == (type_name, version)
    return str(caught.value)


# --- registered classes --------------------------------------------------------------------------


def test_a_message_is_encoded_as_the_data_of_its_fields() -> None:
    assert encode(Reserve("A-1", 3)) == EncodedMessage(
        type="codec.reserve",
        version=1,
        payload=msgspec.msgpack.encode({"sku": "A-1", "quantity": 3}),
        preview="Reserve(sku='A-1', quantity=3)",
    )


def test_a_message_comes_back_with_the_types_of_its_annotations() -> None:
    message = Typed(
        datetime(2024, 2, 29, tzinfo=UTC), Decimal("1.20"), frozenset({"a"}), (1.5, 2.0), Reserve("A"), b"\0"
    )
    assert again(message) == message


def test_a_message_is_refused_when_a_value_does_not_fit_its_annotation() -> None:
    assert refusal(Reserve("A-1", "three")) == (  # type: ignore[arg-type]
        "message of type Reserve: expected values that fit its annotations, "
        "got ValidationError: Expected `int`, got `str` - at `$.quantity`\n"
        "Fix: make the annotations of Reserve say what its fields hold."
    )


def test_a_message_is_refused_when_a_field_would_come_back_as_something_else() -> None:
    assert refusal(Loose((1, 2))) == (
        "message of type Loose: expected fields that come back as they were, "
        "got Loose(what=(1, 2)), which would come back as Loose(what=[1, 2])\n"
        "Fix: annotate the fields of Loose with the exact types that they hold."
    )
    assert "come back as" in refusal(Loose(Reserve("A")))
    assert "come back as" in refusal(Loose({"a": [1, (2,)]}))


def test_a_message_is_refused_when_a_field_is_no_data() -> None:
    assert refusal(Loose(sys)).startswith(
        "message of type Loose: expected values that fit its annotations, got TypeError"
    )
    assert "OverflowError" in refusal(Loose(2**64))
    assert "UnicodeEncodeError" in refusal(Loose("\ud800"))


def test_a_message_is_refused_when_it_contains_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "RecursionError" in refusal(Loose(loop))


def test_a_message_with_nan_comes_back_with_nan() -> None:
    back = again(Loose([math.nan, {"x": math.nan}]))
    assert isinstance(back, Loose)
    assert math.isnan(back.what[0])
    assert math.isnan(back.what[1]["x"])


class Odd(Message, type="codec.odd", eq=False):
    what: Any


def test_a_message_without_equality_is_compared_by_its_fields() -> None:
    back = again(Odd([1, "a"]))
    assert isinstance(back, Odd)
    assert back.what == [1, "a"]
    assert "come back as" in refusal(Odd([1, (2,)]))
    assert "come back as" in refusal(Odd({1, 2}))


def test_a_message_is_refused_when_its_own_equality_raises() -> None:
    class Broken(Message, eq=False):
        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError("no")

        __hash__ = None  # type: ignore[assignment]

    assert refusal(Broken()) == (
        "message of type test_a_message_is_refused_when_its_own_equality_raises.<locals>.Broken: "
        "expected values that fit its annotations, got ZeroDivisionError: no\n"
        "Fix: make the annotations of "
        "test_a_message_is_refused_when_its_own_equality_raises.<locals>.Broken say what its fields hold."
    )


class Color(enum.Enum):
    RED = "red"


Point = namedtuple("Point", "x y")  # noqa: PYI024  # pyright: ignore[reportUntypedNamedTuple] - one that is met


@dataclass
class Invoice:
    number: int
    lines: tuple[str, ...] = ()
    total: float = field(default=0.0, compare=False)


@attrs.define(eq=False)
class Parcel:
    weight: float


class Plain(msgspec.Struct):
    x: int


def test_foreign_classes_come_back_when_they_are_registered() -> None:
    for cls in (Color, Point, Invoice, Parcel, Plain):
        register_message(cls, type=f"codec.{cls.__name__}")
    assert again(Color.RED) is Color.RED
    assert again(Point(1, [2])) == Point(1, [2])
    assert type(again(Point(1, 2))) is Point
    assert again(Invoice(7, ("a",))) == Invoice(7, ("a",))
    assert again(Plain(3)) == Plain(3)
    parcel = again(Parcel(math.nan))
    assert isinstance(parcel, Parcel)
    assert math.isnan(parcel.weight)


def test_a_foreign_class_is_refused_when_its_fields_cannot_be_read() -> None:
    class Opaque:
        def __init__(self) -> None:
            self.secret = object()

    register_message(Opaque)
    assert "got TypeError: Encoding objects of type" in refusal(Opaque())


@dataclass(eq=False)
class Unequal:
    what: Any


def test_a_dataclass_without_equality_is_compared_by_its_fields() -> None:
    register_message(Unequal, type="codec.unequal")
    back = again(Unequal({"a": 1}))
    assert isinstance(back, Unequal)
    assert back.what == {"a": 1}
    assert "come back as" in refusal(Unequal(Unequal(1)))
    assert "come back as" in refusal(Unequal({"a": (1,)}))


# --- plain data ----------------------------------------------------------------------------------

scalars = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False)
    | some.text(some.characters(exclude_categories=["Cs"]))
    | some.binary()
    | some.datetimes()
    | some.datetimes(timezones=some.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))
    | some.dates()
    | some.times()
    | some.timedeltas()
    | some.uuids()
    | some.decimals(allow_nan=False)
    | some.builds(Reserve, some.text(some.characters(exclude_categories=["Cs"])), some.integers(-9, 9))
)
keys = some.text() | some.integers() | some.tuples(some.integers()) | some.none() | some.dates()
safe_keys = keys.filter(lambda key: not isinstance(key, str) or key.isascii())
data = some.recursive(
    scalars,
    lambda inner: (
        some.lists(inner)
        | some.lists(inner).map(tuple)
        | some.dictionaries(safe_keys, inner)
        | some.sets(scalars)
        | some.frozensets(scalars)
    ),
    max_leaves=20,
)


def types_in(value: object) -> list[object]:
    parts: list[object] = [type(value)]
    if isinstance(value, dict):
        parts += [types_in(part) for pair in value.items() for part in pair]
    elif isinstance(value, list | tuple):
        parts += [types_in(part) for part in value]
    return parts


@given(data)
def test_plain_data_comes_back_as_what_it_was(value: object) -> None:
    back = again(value)
    assert back == value
    assert types_in(back) == types_in(value)


@pytest.mark.parametrize(
    "value",
    [
        ("reserve", "A-1", 3),
        {1: "a", None: "b", (1, 2): [3]},
        -(2**63),
        2**64 - 1,
        2**64,
        datetime(2024, 10, 27, 2, 30, fold=1),  # noqa: DTZ001 - without a zone is what it is about
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        date.max,
        time(23, 59, 59, 999999),
        timedelta.min,
        UUID(int=7),
        Decimal("-0.00"),
        {"deep": [{"nested": (Reserve("A"), {frozenset({(1,)})})}]},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_plain_data_comes_back_whatever_msgpack_knows_of_it(value: object) -> None:
    back = again(value)
    assert back == value
    assert type(back) is type(value)


def test_a_number_comes_back_that_python_will_not_print() -> None:
    assert again(-(10**5000)) == -(10**5000)
    assert encode(10**5000).preview == "<int whose __repr__ raised ValueError>"


def test_plain_data_has_a_type_name_of_its_own() -> None:
    encoded = encode({"a": [1, 2]})
    assert encoded == EncodedMessage("data", 1, msgspec.msgpack.encode({"a": [1, 2]}), "{'a': [1, 2]}")


def test_nan_comes_back_as_nan() -> None:
    back = again((1.0, math.nan, Decimal("sNaN")))
    assert isinstance(back, tuple)
    assert math.isnan(back[1])
    assert str(back[2]) == "sNaN"


def test_an_object_of_an_unknown_class_is_refused() -> None:
    class Box:
        def __repr__(self) -> str:
            return "Box()"

    text = refusal(("put", [Box()]))
    assert text == (
        f"message of type {__name__}.test_an_object_of_an_unknown_class_is_refused.<locals>.Box: "
        "expected plain data or an instance of a registered message class, got Box()\n"
        "Fix: if the class is yours, derive it from stanchion.Message; if not, "
        "stanchion.messages.register_message(test_an_object_of_an_unknown_class_is_refused.<locals>.Box)."
    )


def test_a_subclass_of_plain_data_is_refused() -> None:
    class Name(str):
        __slots__ = ()

    assert "expected plain data" in refusal(Name("a"))
    assert "expected plain data" in refusal([enum.IntEnum("Level", "LOW").LOW])  # type: ignore[attr-defined]


def test_data_is_refused_when_it_is_nested_too_deep() -> None:
    value: object = "core"
    for _ in range(100):
        value = [value]
    assert again(value) == value
    assert refusal([value]) == (
        "message of type list: expected data nested at most 100 deep, got deeper data, or data that contains itself"
    )


def test_data_is_refused_when_it_contains_itself() -> None:
    loop: dict[str, object] = {}
    loop["again"] = (loop,)
    assert "contains itself" in refusal(loop)


def test_text_that_is_no_unicode_is_refused() -> None:
    assert refusal(["\ud800"]) == (
        "message of type list: expected values that can become data, got UnicodeEncodeError: "
        "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
    )


# --- previews ------------------------------------------------------------------------------------


def test_a_preview_is_cut_at_500_characters() -> None:
    preview = encode("x" * 1000).preview
    assert len(preview) == 500
    assert preview.endswith("x…")


def test_a_preview_survives_a_repr_that_raises() -> None:
    class Shy(Message):
        def __repr__(self) -> str:
            raise ValueError("no")

    assert encode(Shy()).preview == "<Shy whose __repr__ raised ValueError>"


# --- decoding ------------------------------------------------------------------------------------


def test_a_type_that_nobody_registered_is_not_decoded() -> None:
    assert failure("shop.unknown", 1, b"\x80") == (
        "stored message of type shop.unknown version 1: expected a class that is registered under this name, got none\n"
        "Fix: import the module that defines it before; if the class was renamed, give it its old name: "
        'class ...(Message, type="shop.unknown").'
    )


def test_a_version_of_the_future_is_not_decoded() -> None:
    assert failure("codec.reserve", 2, b"\x80") == (
        "stored message of type codec.reserve version 2: expected a version up to 1, got a newer one\n"
        "Fix: read it with the release of your code that wrote it, or a later one."
    )
    assert "expected a version up to 1, got a newer one" in failure("data", 2, b"\xc0")


def test_data_that_does_not_fit_its_class_is_not_decoded() -> None:
    assert failure("codec.reserve", 1, msgspec.msgpack.encode({"sku": 1})) == (
        "stored message of type codec.reserve version 1: expected data that fits the class, "
        "got ValidationError: Expected `str`, got `int` - at `$.sku`\n"
        "Fix: when fields change, raise version= and write upgrade()."
    )


def test_data_that_is_damaged_is_not_decoded() -> None:
    assert failure("data", 1, b"\xc1") == (
        "stored message of type data version 1: expected data that fits the class, "
        "got DecodeError: MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"
    )
    assert "KeyError: 99" in failure("data", 1, msgspec.msgpack.encode(msgspec.msgpack.Ext(99, b"\xc0")))


def test_a_nested_message_that_nobody_knows_is_named() -> None:
    inner = msgspec.msgpack.encode(["shop.unknown", 1, b"\x80"])
    payload = msgspec.msgpack.encode([msgspec.msgpack.Ext(0, inner)])
    with pytest.raises(MessageDecodeError) as caught:
        decode("data", 1, payload)
    assert caught.value.message_type == "shop.unknown"


# --- versions ------------------------------------------------------------------------------------


class Moved(Message, type="codec.moved", version=3):
    to: str
    by: int = 0

    @classmethod
    def upgrade(cls, data: dict[str, object], version: int) -> dict[str, object]:
        if version == 1:
            data["to"] = data.pop("destination")
        return {**data, "by": version}


@pytest.mark.parametrize(
    ("version", "fields", "by"),
    [(1, {"destination": "B"}, 1), (2, {"to": "B"}, 2), (3, {"to": "B"}, 0)],
)
def test_an_older_version_is_upgraded_by_the_class(version: int, fields: dict[str, str], by: int) -> None:
    assert decode("codec.moved", version, msgspec.msgpack.encode(fields)) == Moved("B", by)


def test_an_older_version_is_read_as_it_is_without_a_rule() -> None:
    class Kept(Message, type="codec.kept", version=2):
        a: int
        b: int = 5

    assert decode("codec.kept", 1, msgspec.msgpack.encode({"a": 1})) == Kept(1, 5)


def test_an_upgrade_that_raises_is_told() -> None:
    text = failure("codec.moved", 1, msgspec.msgpack.encode({"other": "B"}))
    assert "got KeyError: 'destination'" in text


def test_an_older_version_without_field_names_is_not_upgraded() -> None:
    assert "Expected `object`, got `array`" in failure("codec.moved", 1, msgspec.msgpack.encode(["B"]))


def test_a_foreign_class_is_upgraded_by_its_registered_rule() -> None:
    @dataclass
    class Ticket:
        seat: str

    def upgrade(data: dict[str, object], version: int) -> dict[str, object]:
        return {"seat": f"{data['row']}{version}"}

    register_message(Ticket, type="codec.ticket", version=2, upgrade=upgrade)
    assert decode("codec.ticket", 1, msgspec.msgpack.encode({"row": "C"})) == Ticket("C1")


def test_a_foreign_class_without_a_rule_reads_older_fields_as_they_are() -> None:
    @dataclass
    class Seat:
        row: str

    register_message(Seat, type="codec.seat", version=2)
    assert decode("codec.seat", 1, msgspec.msgpack.encode({"row": "C"})) == Seat("C")
