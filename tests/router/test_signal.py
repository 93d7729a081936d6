# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import copy
import enum
import inspect
import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

import stanchion as st
from stanchion.dead_letters import decode, encode
from stanchion.errors import InvalidOptionError, MessageDecodeError, MessageEncodeError, PatternError
from stanchion.messages import Message
from stanchion.router import _signal
from stanchion.router._signal import Signal


class Placed(Message, type="signals.order.placed"):
    sku: str
    quantity: int = 1


class Kind(enum.StrEnum):
    PAID = "order.paid"


class Part(enum.StrEnum):
    DESK = "desk"


class Level(enum.IntEnum):
    HIGH = 3


class Raw(bytes):
    pass


class Plain:
    pass


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(InvalidOptionError) as caught:
        make()
    return str(caught.value)


def again(signal: Signal) -> object:
    encoded = encode(signal)
    return decode(encoded.type, encoded.version, encoded.payload)


# --- what a signal says --------------------------------------------------------------------------


def test_signal_says_what_it_was_given() -> None:
    signal = Signal(
        "order.placed",
        {"sku": "A-1"},
        source="/shop",
        subject="order-17",
        id="1",
        time=1700000000.25,
        dataschema="https://example.com/placed.json",
        extensions={"traceparent": "00-1", "priority": 3, "dry": False, "raw": b"\x00"},
    )
    assert (signal.type, signal.data, signal.source, signal.subject) == (
        "order.placed",
        {"sku": "A-1"},
        "/shop",
        "order-17",
    )
    assert (signal.id, signal.time, signal.dataschema) == ("1", 1700000000.25, "https://example.com/placed.json")
    assert signal.extensions == {"traceparent": "00-1", "priority": 3, "dry": False, "raw": b"\x00"}


def test_signal_outside_of_nodes_has_the_machines_time_and_the_source_of_nobody() -> None:
    before = time.time()
    signal = Signal("order.placed")
    assert before <= signal.time <= time.time()
    assert signal.source == "/"
    assert (signal.data, signal.subject, signal.dataschema, signal.extensions) == (None, None, None, {})


def test_signals_have_ids_that_sort_by_time() -> None:
    ids = [Signal("a").id for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert UUID(ids[0]).version == 7


async def test_ids_are_made_by_the_clock_of_the_node(node: st.Node) -> None:
    def second(signal: Signal) -> int:
        return UUID(signal.id).int // 2**80 // 1000

    await asyncio.sleep(1000)
    assert second(Signal("a")) == second(Signal("a", time=0.0)) == int(node.clock.time())
    async with st.Node("inner", block_threshold=None):
        assert abs(second(Signal("a", time=0.0)) - time.time()) < 60
        assert abs(second(Signal("a")) - time.time()) < 60
    assert second(Signal("a")) == int(node.clock.time())


async def test_signal_in_a_node_has_its_time_and_its_name(node: st.Node) -> None:
    before = node.clock.time()
    await asyncio.sleep(1000)
    signal = Signal("a")
    assert signal.time == before + 1000
    assert signal.source == f"/{node.name}"
    assert Signal("a", id="1").time == before + 1000


class Maker(st.GenServer):
    def handle_call(self, request: object, sender: st.Sender) -> object:
        return Signal("a").source


async def test_signal_of_a_process_has_its_name_too(node: st.Node) -> None:
    nameless = await st.start(Maker)
    named = await st.start(Maker, name="orders")
    odd = await st.start(Maker, name="größe 1/2")
    assert await st.call(nameless, "?") == f"/{node.name}"
    assert await st.call(named, "?") == f"/{node.name}/orders"
    assert await st.call(odd, "?") == f"/{node.name}/gr%C3%B6%C3%9Fe%201%2F2"


async def test_signal_of_a_node_inside_a_process_has_the_name_of_that_node(node: st.Node) -> None:
    async def body() -> None:
        async with st.Node("inner", block_threshold=None):
            sources.append(Signal("a").source)

    sources: list[str] = []
    await st.wait_exit(st.spawn(body, name="outer"), timeout=None)
    assert sources == ["/inner"]


def test_none_is_what_is_left_out() -> None:
    signal = Signal("a", source=None, id=None, time=None, extensions=None)
    assert signal.source == "/"
    assert signal.extensions == {}
    assert UUID(signal.id).version == 7
    assert signal.time > 0


def test_type_of_a_str_enum_is_plain_text() -> None:
    for _ in range(2):
        signal = Signal(Kind.PAID)
        assert signal.type == "order.paid"
        assert type(signal.type) is str


def test_signals_share_no_extensions() -> None:
    given = {"a": 1}
    first, second = Signal("a", extensions=given), Signal("a", extensions=given)
    given["a"] = 2
    assert first.extensions == second.extensions == {"a": 1}
    assert first.extensions is not second.extensions
    assert Signal("a").extensions is not Signal("a").extensions


def test_id_is_not_made_of_a_time_in_the_future() -> None:
    future = Signal("a", time=250_000_000_000.0)
    assert Signal("a").time < 250_000_000_000.0
    assert abs(UUID(future.id).int // 2**80 / 1000 - time.time()) < 60


# --- a value -------------------------------------------------------------------------------------


def test_signal_is_a_value() -> None:
    one = Signal("a", [1], source="/s", id="1", time=0.0)
    same = Signal("a", [1], source="/s", id="1", time=0.0)
    assert one == same
    assert hash(one) == hash(same)
    assert one != Signal("a", [2], source="/s", id="1", time=0.0)
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError, match="immutable"):
        one.type = "b"  # type: ignore[misc]


def test_signal_shows_what_it_says() -> None:
    assert (
        repr(Signal("a", 1, source="/s", id="1", time=0.0)) == "Signal(type='a', data=1, source='/s', id='1', time=0.0)"
    )


def test_signal_is_taken_apart_by_match() -> None:
    match Signal("order.placed", Placed("A-1"), subject="order-17"):
        case Signal("order.placed", Placed(sku), subject=subject):
            assert (sku, subject) == ("A-1", "order-17")
        case other:
            pytest.fail(repr(other))


def test_what_is_beyond_type_and_data_is_given_by_name() -> None:
    make: Any = Signal
    with pytest.raises(TypeError):
        make("a", 1, "/source")
    with pytest.raises(TypeError):
        make("a", origin="/source")


def test_replace_keeps_what_is_not_named() -> None:
    signal = Signal("a", 1, source="/s", id="1", time=0.0, extensions={"x": 1})
    changed = signal.replace(type="b.c", data=2, subject="s", extensions={"y": 2})
    assert changed == Signal("b.c", 2, source="/s", subject="s", id="1", time=0.0, extensions={"y": 2})
    assert signal.type == "a"
    assert signal.replace() == signal
    assert signal.replace(id=None).id != "1"
    assert signal.replace(extensions=None).extensions == {}


def test_replace_checks_what_it_is_given() -> None:
    signal: Any = Signal("a")
    with pytest.raises(PatternError):
        signal.replace(type="a.")
    assert refusal(lambda: signal.replace(sources="/s")) == (
        "Signal.replace(): expected options among type, data, source, subject, id, time, dataschema, extensions, "
        "got 'sources'\nFix: write 'source'."
    )


def test_signal_of_a_message_has_the_type_of_its_class() -> None:
    signal = Signal.of(Placed("A-1"), subject="order-17", id="1")
    assert (signal.type, signal.data, signal.subject, signal.id) == (
        "signals.order.placed",
        Placed("A-1"),
        "order-17",
        "1",
    )


def test_signal_of_what_is_no_message_is_refused() -> None:
    assert refusal(lambda: Signal.of({"sku": 1})) == (
        "Signal.of(message): expected an instance of a message class, got {'sku': 1}\n"
        "Fix: derive dict from stanchion.Message, or write Signal(type, data) with a type of your own."
    )


# --- what is refused -----------------------------------------------------------------------------


def test_malformed_type_is_refused_with_its_position() -> None:
    with pytest.raises(PatternError) as caught:
        Signal("order.*")
    assert caught.value.position == 6
    assert str(caught.value).startswith("Signal(type): expected a type without wildcards at position 6 of 'order.*'")
    kind: Any = ["order"]
    assert refusal(lambda: Signal(kind)) == "Signal(type): expected a type, 'order.placed' say, got ['order']"
    kind = 7
    assert refusal(lambda: Signal(kind)) == "Signal(type): expected a type, 'order.placed' say, got 7"


@pytest.mark.parametrize("name", ["id", "source", "subject", "dataschema"])
@pytest.mark.parametrize("value", ["", 1, b"x", "a\nb", "\x7f", "\ud800", "\ufffe"])
def test_attribute_that_is_no_text_of_an_event_is_refused(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    assert refusal(lambda: Signal("a", **options)) == (
        f"Signal({name}): expected text that is not empty and has no control characters, or None, got {value!r}"
    )


def test_text_that_is_not_ascii_is_taken() -> None:
    signal = Signal("größe.geändert", subject="日本\u2028語 \u00a0", source="/ü")
    assert signal.subject == "日本\u2028語 \u00a0"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e12, 1e12, True, "0"])
def test_time_that_is_none_is_refused(value: Any) -> None:
    assert refusal(lambda: Signal("a", time=value)) == (
        f"Signal(time): expected Unix seconds in the years 1 to 9999, or None for now, got {value!r}"
    )


def test_datetime_for_a_time_is_refused_with_the_way_to_write_it() -> None:
    from datetime import UTC, datetime

    moment: Any = datetime(2024, 1, 1, tzinfo=UTC)
    assert refusal(lambda: Signal("a", time=moment)).endswith("\nFix: a datetime says them by .timestamp().")


@pytest.mark.parametrize(
    ("extensions", "text"),
    [
        ([("a", 1)], "Signal(extensions): expected values by name, or None, got [('a', 1)]"),
        ({1: 1}, "Signal(extensions): expected names that are text, got 1"),
        ({"": 1}, "Signal(extensions): expected lower-case letters and digits at position 0 of '', got its end"),
        (
            {"traceParent": 1},
            "Signal(extensions): expected lower-case letters and digits at position 5 of 'traceParent', got 'P'",
        ),
        ({"_a": 1}, "Signal(extensions): expected lower-case letters and digits at position 0 of '_a', got '_'"),
        (
            {"subject": "x"},
            "Signal(extensions): expected names that no event has by itself, got 'subject'\nFix: write Signal(subject=...).",
        ),
        ({"specversion": "2"}, "Signal(extensions): expected names that no event has by itself, got 'specversion'"),
        ({"stanchiontype": "x"}, "Signal(extensions): expected names that no event has by itself, got 'stanchiontype'"),
        ({"a": 1.5}, "Signal(extensions['a']): expected a str, int, bool or bytes, got 1.5"),
        ({"a": None}, "Signal(extensions['a']): expected a str, int, bool or bytes, got None"),
        (
            {"a": 2**31},
            (
                "Signal(extensions['a']): expected an int from -2147483648 to 2147483647, got 2147483648\n"
                "Fix: write it as text; whole numbers of events have 32 bits."
            ),
        ),
        ({"a": "x\n"}, "Signal(extensions['a']): expected text without control characters, got 'x\\n'"),
    ],
)
def test_extensions_that_fit_into_no_event_are_refused(extensions: Any, text: str) -> None:
    assert refusal(lambda: Signal("a", extensions=extensions)) == text


@pytest.mark.parametrize("value", [-(2**31), 2**31 - 1, True, "", "\u2028", b"", b"\x00"])
def test_extension_that_an_event_can_have_is_taken(value: Any) -> None:
    assert Signal("a", extensions={"a1": value}).extensions == {"a1": value}


def test_known_types_are_not_kept_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(_signal, "_TYPES", kept)
    monkeypatch.setattr(_signal, "_TYPES_KEPT", 10)
    for number in range(100):
        assert Signal(f"order.n{number}").type == f"order.n{number}"
    assert 0 < len(kept) <= 10


# --- ids of several makers -----------------------------------------------------------------------


def test_signals_of_several_threads_have_different_ids() -> None:
    ids: list[str] = []

    def make() -> None:
        ids.extend([Signal("a").id for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8000


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_process_makes_other_ids() -> None:
    tail = Signal("a").id[18:]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, Signal("a").id[18:].encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as answer:
        other = answer.read()
    assert len(other) == len(tail)
    assert other != tail
    _signal._renew_ids()  # what the child did
    assert Signal("a").id[18:] not in (tail, other)


# --- stored --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        "text",
        {"tuple": (1, 2), "set": {1}, "raw": b"\x00", "deep": [[{}]]},
        Placed("A-1", 2),
        [Placed("A-1"), {"inner": Placed("B-2")}],
        Signal("inner", Placed("A-1"), id="1"),
    ],
)
def test_stored_signal_comes_back_as_it_was(data: object) -> None:
    signal = Signal("order.placed", data, extensions={"a": 1, "raw": b"\x00"})
    back = again(signal)
    assert back == signal
    assert isinstance(back, Signal)
    assert type(back.data) is type(data)
    assert again(Signal("a", data, subject="s", dataschema="d")) != signal


class Wrapped(Message, type="signals.wrapped"):
    signal: Signal


def test_signal_in_a_field_of_a_message_comes_back_when_its_data_is_plain() -> None:
    message = Wrapped(Signal("a", {"x": [1]}, extensions={"a": 1}))
    encoded = encode(message)
    assert decode(encoded.type, encoded.version, encoded.payload) == message
    with pytest.raises(MessageEncodeError, match="expected fields that come back as they were"):
        encode(Wrapped(Signal("a", Placed("A-1"))))


def test_signal_tells_its_signature() -> None:
    assert list(inspect.signature(Signal).parameters) == [
        "type",
        "data",
        "source",
        "subject",
        "id",
        "time",
        "dataschema",
        "extensions",
    ]


def test_signal_among_other_data_comes_back() -> None:
    message = {"signals": [Signal("a", Placed("A-1"))]}
    encoded = encode(message)
    assert encoded.type == "data"
    assert decode(encoded.type, encoded.version, encoded.payload) == message


def test_stored_signal_has_a_type_of_its_own() -> None:
    encoded = encode(Signal("a", 1, source="/s", id="1", time=0.0))
    assert (encoded.type, encoded.version) == ("stanchion.signal", 1)
    assert encoded.preview == "Signal(type='a', data=1, source='/s', id='1', time=0.0)"


def test_signal_whose_data_cannot_be_stored_is_refused() -> None:
    with pytest.raises(st.StanchionError, match="expected plain data or an instance of a registered message class"):
        encode(Signal("a", Plain()))


def test_stored_signal_that_is_damaged_is_refused() -> None:
    import msgspec

    payload = msgspec.msgpack.encode({"type": "a.", "id": "1"})
    with pytest.raises(MessageDecodeError, match="expected a segment at position 2"):
        decode("stanchion.signal", 1, payload)


def test_values_that_derive_from_plain_ones_become_plain_so_that_they_can_be_stored() -> None:
    extensions: Any = {Part.DESK: Part.DESK, "level": Level.HIGH, "raw": Raw(b"x")}
    given: Any = dict.fromkeys(("source", "subject", "id", "dataschema"), Part.DESK)
    one = Signal("order.placed", **given, time=Level.HIGH, extensions=extensions)
    texts = [one.source, one.subject, one.id, one.dataschema, *one.extensions]
    assert [type(text) for text in texts[:5]] == [str] * 5
    assert [type(value) for value in one.extensions.values()] == [str, int, bytes]
    assert (one.time, type(one.time)) == (3.0, float)
    stored = encode(one)
    assert decode(stored.type, stored.version, stored.payload) == one
