# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import sys
import types
from dataclasses import dataclass

import pytest

from stanchion.errors import InvalidOptionError
from stanchion.messages import Call, Message, reader_of, register_message, stored_as


class Arrived(Message):
    sku: str
    quantity: int = 1


class Reserve(Call[bool], type="test.reserve", version=3):
    sku: str


def test_a_message_is_stored_under_its_module_and_name() -> None:
    assert stored_as(Arrived) == (f"{__name__}.Arrived", 1)


def test_a_message_is_stored_under_the_type_and_version_that_it_gives() -> None:
    assert stored_as(Reserve) == ("test.reserve", 3)


def test_a_message_is_immutable_and_compares_by_its_fields() -> None:
    arrived = Arrived("A-1", 3)
    assert arrived == Arrived("A-1", quantity=3)
    assert repr(arrived) == "Arrived(sku='A-1', quantity=3)"
    with pytest.raises(AttributeError):
        arrived.sku = "B-2"  # type: ignore[misc]


def test_a_message_can_be_matched_by_position() -> None:
    match Arrived("A-1", 3):
        case Arrived(sku, quantity):
            assert (sku, quantity) == ("A-1", 3)


def test_a_message_takes_the_options_of_structs() -> None:
    class Moved(Message, kw_only=True, order=True):
        to: str = "B"
        by: int

    assert Moved(by=1) < Moved(by=2)


def test_a_message_does_not_pass_its_type_on_to_subclasses() -> None:
    class Special(Reserve):
        discount: int

    assert stored_as(Special) == (f"{__name__}.{Special.__qualname__}", 1)


def test_the_bases_are_nobodys_message() -> None:
    assert stored_as(Message) is None
    assert stored_as(Call) is None


def test_a_message_class_is_refused_when_its_type_belongs_to_another() -> None:
    with pytest.raises(InvalidOptionError) as caught:

        class Order(Message, type="test.reserve"):  # pyright: ignore[reportUnusedClass]
            pass

    assert str(caught.value) == (
        "message class test_a_message_class_is_refused_when_its_type_belongs_to_another.<locals>.Order: type: "
        f"expected a name that no other class has, got 'test.reserve', which belongs to {__name__}.Reserve\n"
        'Fix: give one of the two another name: class Order(..., type="...").'
    )
    assert reader_of("test.reserve").cls is Reserve  # type: ignore[union-attr]


@pytest.mark.parametrize("type_name", ["", "data", 17])
def test_a_message_class_is_refused_when_its_type_is_no_name_of_its_own(type_name: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        types.new_class("Order", (Message,), {"type": type_name}, lambda body: body.update(__module__="m"))
    assert str(caught.value) == (
        f"message class Order: type: expected a name of your own (not 'data'), got {type_name!r}"
    )


@pytest.mark.parametrize("version", [0, -1, "1", True])
def test_a_message_class_is_refused_when_its_version_is_no_number_from_one(version: int) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        types.new_class("Order", (Message,), {"version": version}, lambda body: body.update(__module__="m"))
    assert str(caught.value) == f"message class Order: version: expected a whole number >= 1, got {version!r}"


def module_with_a_message() -> types.ModuleType:
    module = types.ModuleType("reloaded")
    code = "from stanchion.messages import Message\nclass Order(Message, type='test.reloaded'):\n    id: int\n"
    exec(code, module.__dict__)
    return module


def test_a_message_class_is_replaced_when_its_module_is_loaded_again() -> None:
    old, new = module_with_a_message().Order, module_with_a_message().Order
    assert reader_of("test.reloaded").cls is new  # type: ignore[union-attr]
    assert stored_as(old) == stored_as(new) == ("test.reloaded", 1)


def test_a_local_message_class_gives_way_to_any_other() -> None:
    def define(name: str) -> type[Message]:
        body = {"__module__": __name__, "__qualname__": f"{name}.<locals>.Order"}
        return types.new_class("Order", (Message,), {"type": "test.local"}, lambda space: space.update(body))

    define("one")
    other = define("two")
    assert reader_of("test.local").cls is other  # type: ignore[union-attr]


def test_a_replaced_message_class_is_not_kept_alive() -> None:
    import weakref

    old = weakref.ref(module_with_a_message().Order)
    module_with_a_message()
    gc.collect()
    assert old() is None


def test_a_foreign_class_is_stored_once_it_is_registered() -> None:
    @dataclass
    class Invoice:
        number: int

    assert stored_as(Invoice) is None
    assert register_message(Invoice, type="test.invoice", version=2) is Invoice
    assert stored_as(Invoice) == ("test.invoice", 2)


def test_a_foreign_class_is_stored_under_its_module_and_name_without_a_type() -> None:
    @dataclass
    class Invoice:
        number: int

    register_message(Invoice)
    assert stored_as(Invoice) == (f"{__name__}.{Invoice.__qualname__}", 1)


def test_nothing_is_imported_for_a_name_that_nobody_registered() -> None:
    assert reader_of("wave.Wave_read") is None
    assert "wave" not in sys.modules
