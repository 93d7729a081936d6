# SPDX-License-Identifier: MIT
"""Messages of classes that say by ``to_data`` and ``from_data`` what is stored of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stanchion.dead_letters import decode, encode
from stanchion.errors import InvalidOptionError, MessageDecodeError, MessageEncodeError
from stanchion.messages import Message, conversion_of, register_message


class Item(Message, type="conversions.item"):
    sku: str


class Parcel:
    """Holds whatever there is, and has no ``==``."""

    def __init__(self, content: object, label: str = "") -> None:
        self.content = content
        self.label = label


def data_of(parcel: Parcel) -> dict[str, object]:
    return {"content": parcel.content, "label": parcel.label}


def parcel_of(data: Any) -> Parcel:
    return Parcel(**data)


register_message(Parcel, type="conversions.parcel", to_data=data_of, from_data=parcel_of)


def again(message: object) -> Any:
    encoded = encode(message)
    return decode(encoded.type, encoded.version, encoded.payload)


def registered(to_data: Any = data_of, from_data: Any = None, **options: Any) -> Any:
    """Return a class of parcels that is stored as the functions say."""

    class Other(Parcel):
        pass

    read = from_data or (lambda data: Other(**data))
    register_message(Other, type="conversions.other", to_data=to_data, from_data=read, **options)
    return Other


def refusal(message: object) -> str:
    with pytest.raises(MessageEncodeError) as caught:
        encode(message)
    return str(caught.value)


def test_message_is_stored_as_its_class_says() -> None:
    back = again(Parcel((1, {2}, Item("A-1"), datetime(2024, 2, 29, tzinfo=UTC)), "glass"))
    assert type(back) is Parcel
    assert back.content == (1, {2}, Item("A-1"), datetime(2024, 2, 29, tzinfo=UTC))
    assert back.label == "glass"


def test_message_within_a_message_comes_back() -> None:
    outer = again(Parcel([Parcel({"inner": Parcel(Item("A-1"))})]))
    assert outer.content[0].content["inner"].content == Item("A-1")
    among_plain_data = again({"here": Parcel(Item("B-2"))})
    assert among_plain_data["here"].content == Item("B-2")


def test_message_that_would_come_back_as_something_else_is_refused() -> None:
    def forgets(data: dict[str, object]) -> object:
        return made(None)

    made = registered(data_of, forgets)
    made.__repr__ = lambda self: f"<{self.content}>"
    name = made.__qualname__
    assert refusal(made("book")) == (
        f"message of type {name}: expected fields that come back as they were, "
        "got <book>, which would come back as <None>\n"
        f"Fix: let the from_data of {name} make what its to_data was given."
    )


def test_message_with_content_that_is_no_data_is_refused() -> None:
    assert refusal(Parcel(object)).startswith(
        "message of type builtins.type: expected plain data or an instance of a registered message class, got <class"
    )


def test_message_that_contains_itself_is_refused() -> None:
    parcel = Parcel(None)
    parcel.content = parcel
    assert refusal(parcel).startswith(
        "message of type Parcel: expected values that can become data, got RecursionError"
    )


def test_to_data_that_raises_is_an_error_of_the_message() -> None:
    def fails(parcel: Parcel) -> dict[str, object]:
        raise ZeroDivisionError("no")

    made = registered(fails)
    assert refusal(made(1)) == (
        f"message of type {made.__qualname__}: expected values that can become data, got ZeroDivisionError: no"
    )


def test_to_data_that_returns_no_dict_is_refused() -> None:
    made = registered(lambda parcel: [parcel.content])
    assert refusal(made(1)).endswith("expected a to_data that returns a dict, got [1] from it")


def test_from_data_that_raises_is_an_error_of_the_stored_message() -> None:
    encoded = encode(Parcel(1))
    payload = encoded.payload.replace(b"label", b"lapel")
    with pytest.raises(MessageDecodeError) as caught:
        decode(encoded.type, encoded.version, payload)
    assert "expected data that fits the class, got TypeError" in str(caught.value)


def test_older_version_is_upgraded_before_it_is_read() -> None:
    made = registered()
    old = encode(made("book"))

    def upgrade(data: dict[str, object], version: int) -> dict[str, object]:
        assert version == 1
        return {**data, "label": f"was {data['label']!r}"}

    registered(version=2, upgrade=upgrade)
    back = decode(old.type, 1, old.payload)
    assert isinstance(back, Parcel)
    assert (back.content, back.label) == ("book", "was ''")
    registered(version=2)
    back = decode(old.type, 1, old.payload)
    assert isinstance(back, Parcel)
    assert back.label == ""


def test_registering_without_them_ends_them() -> None:
    class Once:
        pass

    register_message(Once, type="conversions.once", to_data=lambda _: {}, from_data=lambda _: Once())
    assert conversion_of(Once) is not None
    register_message(Once, type="conversions.once")
    assert conversion_of(Once) is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"to_data": data_of},
            (
                "message class Parcel: from_data: expected a function, got None\n"
                "Fix: to_data alone is not enough: what is stored has to come back."
            ),
        ),
        (
            {"from_data": parcel_of},
            (
                "message class Parcel: to_data: expected a function, got None\n"
                "Fix: from_data alone is not enough: what is stored has to come back."
            ),
        ),
        ({"to_data": 7, "from_data": parcel_of}, "message class Parcel: to_data: expected a function, got 7"),
    ],
)
def test_one_without_the_other_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        register_message(Parcel, type="conversions.parcel", **options)
    assert str(caught.value) == text
    assert again(Parcel("still")).content == "still"
