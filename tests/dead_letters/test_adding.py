# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import Any

import pytest

from stanchion._backoff import Backoff
from stanchion.dead_letters import Attempt, DeadLetterQueue, EncodedMessage, MemoryStore, Store, encode
from stanchion.errors import DeadLettersClosedError, InvalidOptionError, MessageDecodeError
from stanchion.messages import Call
from stanchion.telemetry import LETTER_EXHAUSTED, LETTER_STORED
from tests.dead_letters.support import Host

VALID: dict[str, Any] = {"recipient": "a", "message": "hi", "reason": "noproc"}
STEADY = Backoff(initial=10, factor=2, maximum=1000, jitter=0)


class Reserve(Call[bool], type="adding.reserve", version=2):
    sku: str


async def test_a_letter_is_waiting_with_all_that_was_said_about_it(store: Store) -> None:
    letters = DeadLetterQueue(store, backoff=STEADY)
    await letters.open(Host(now=1000.0))
    id = await letters.add(
        recipient="inventory",
        message=Reserve("A-1"),
        reason="timeout",
        error="no reply in 5 s",
        attempts=[Attempt(990.0, "noproc"), Attempt(995.0, "timeout", "no reply in 5 s")],
        metadata={"order": 17},
        message_id="m-1",
        trace=("trace", "span"),
    )
    letter = await letters.get(id)
    assert (letter.id, letter.state, letter.recipient) == (id, "waiting", "inventory")
    assert (letter.message_type, letter.version, letter.preview) == ("adding.reserve", 2, "Reserve(sku='A-1')")
    assert (letter.reason, letter.error, letter.attempt_count) == ("timeout", "no reply in 5 s", 2)
    assert letter.attempts == (Attempt(990.0, "noproc"), Attempt(995.0, "timeout", "no reply in 5 s"))
    assert (letter.metadata, letter.message_id) == ({"order": 17}, "m-1")
    assert (letter.trace_id, letter.span_id, letter.redeliverable) == ("trace", "span", True)
    assert (letter.created_at, letter.updated_at, letter.next_attempt_at) == (1000.0, 1000.0, 1010.0)
    assert (letter.replayable, letter.message()) == (True, Reserve("A-1"))
    await letters.close()


async def test_a_letter_takes_a_message_that_is_encoded_already() -> None:
    async with DeadLetterQueue("memory:") as letters:
        id = await letters.add(recipient="inventory", message=encode(("a", 1)), reason="noproc")
        assert (await letters.get(id)).message() == ("a", 1)


async def test_a_letter_keeps_the_preview_of_what_cannot_become_data(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        id = await letters.add(recipient="inventory", message=object, reason="noproc")
        letter = await letters.get(id)
    assert (letter.state, letter.replayable, letter.payload) == ("exhausted", False, None)
    assert (letter.message_type, letter.version, letter.preview) == ("builtins.type", 0, "<class 'object'>")
    assert letter.note == (
        "message of type builtins.type: expected plain data or an instance of a registered message class, "
        "got <class 'object'>"
    )
    with pytest.raises(MessageDecodeError) as caught:
        letter.message()
    assert str(caught.value) == (
        "stored message of type builtins.type version 0: expected a stored payload, "
        "got only the preview <class 'object'>\n"
        f"Fix: it could not become data when it was stored: {letter.note}"
    )


async def test_a_letter_to_nobody_who_can_be_found_again_waits_for_a_person(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        id = await letters.add(recipient="<shop.7>", message="hi", reason="noproc", redeliverable=False)
        letter = await letters.get(id)
        assert (letter.state, letter.redeliverable, letter.next_attempt_at) == ("exhausted", False, None)
        assert await letters.next_due() is None


async def test_a_letter_waits_for_a_person_when_nothing_is_redelivered() -> None:
    async with DeadLetterQueue("memory:", max_attempts=0) as letters:
        id = await letters.add(recipient="inventory", message="hi", reason="noproc")
        assert (await letters.get(id)).state == "exhausted"


async def test_a_letter_is_stored_whatever_its_texts_contain(store: Store) -> None:
    bad = "x\udce9 \0 é"
    async with DeadLetterQueue(store) as letters:
        id = await letters.add(
            recipient=bad,
            message=Exception(bad),
            reason=bad,
            error=bad,
            attempts=[Attempt(1.0, bad, bad)],
            message_id=bad,
        )
        letter = await letters.get(id)
    good = "x\\udce9 \\x00 é"
    assert (letter.recipient, letter.reason, letter.error, letter.message_id) == (good, good, good, good)
    assert letter.attempts == (Attempt(1.0, good, good),)


async def test_a_letter_cuts_texts_that_are_too_long(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        long = "x" * 20_000
        id = await letters.add(
            recipient="a", message=long, reason=long, error=long, attempts=[Attempt(1.0, long, long)]
        )
        letter = await letters.get(id)
    assert (len(letter.reason), len(letter.error or ""), len(letter.preview)) == (200, 2000, 500)
    assert (len(letter.attempts[0].reason), len(letter.attempts[0].error or "")) == (200, 2000)
    assert letter.message() == long


async def test_a_letter_keeps_the_first_and_the_last_of_many_attempts() -> None:
    async with DeadLetterQueue("memory:") as letters:
        attempts = [Attempt(float(number), "timeout") for number in range(30)]
        id = await letters.add(recipient="a", message="hi", reason="timeout", attempts=attempts)
        letter = await letters.get(id)
    assert [attempt.at for attempt in letter.attempts] == [0, 1, 2, 3, 4, *range(15, 30)]
    assert letter.attempt_count == 30


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        (None, {}),
        ({}, {}),
        ({"a": (1, 2), "b": None}, {"a": [1, 2], "b": None}),
        ({"a": ValueError("no")}, {"a": "ValueError('no')"}),
        ({"a": 2**70}, {"a": 2**70}),
        ({"a\udce9": 1}, {"a\\udce9": "1"}),
        ({7: "\udce9"}, {"7": "'\\udce9'"}),
        ({(1, 2): 1}, {"(1, 2)": 1}),
    ],
)
async def test_a_letter_keeps_metadata_as_json_data(
    store: Store, metadata: dict[Any, object] | None, kept: dict[str, object]
) -> None:
    async with DeadLetterQueue(store) as letters:
        id = await letters.add(recipient="a", message="hi", reason="noproc", metadata=metadata)
        assert (await letters.get(id)).metadata == kept


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"recipient": ""}, "add(recipient): expected a name, or a pid as text, got ''"),
        ({"recipient": 7}, "add(recipient): expected a name, or a pid as text, got 7"),
        ({"reason": None}, "add(reason): expected text, got None"),
        ({"error": 7}, "add(error): expected text or None, got 7"),
        ({"message_id": 7}, "add(message_id): expected text or None, got 7"),
        (
            {"attempts": ["noproc"]},
            "add(attempts): expected Attempt(seconds, text, text or None, text or None), got 'noproc'",
        ),
        (
            {"attempts": [Attempt(1.0, None)]},  # type: ignore[arg-type]
            (
                "add(attempts): expected Attempt(seconds, text, text or None, text or None), "
                "got Attempt(at=1.0, reason=None, error=None, traceback=None)"
            ),
        ),
        (
            {"attempts": [Attempt(1.0, "timeout", None, 7)]},  # type: ignore[arg-type]
            (
                "add(attempts): expected Attempt(seconds, text, text or None, text or None), "
                "got Attempt(at=1.0, reason='timeout', error=None, traceback=7)"
            ),
        ),
        (
            {"attempts": [Attempt(float("nan"), "timeout")]},
            (
                "add(attempts): expected Attempt(seconds, text, text or None, text or None), "
                "got Attempt(at=nan, reason='timeout', error=None, traceback=None)"
            ),
        ),
        ({"trace": ("a",)}, "add(trace): expected (trace id, span id), got ('a',)"),
        ({"metadata": 7}, "add(metadata): expected a mapping, got 7"),
        (
            {"attempts": [Attempt(1.0, "timeout", 7)]},  # type: ignore[arg-type]
            (
                "add(attempts): expected Attempt(seconds, text, text or None, text or None), "
                "got Attempt(at=1.0, reason='timeout', error=7, traceback=None)"
            ),
        ),
    ],
)
async def test_a_letter_is_refused_when_an_argument_is_of_the_wrong_kind(arguments: dict[str, Any], text: str) -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(InvalidOptionError) as caught:
            await letters.add(**(VALID | arguments))
        assert str(caught.value) == text
        assert (await letters.stats()).total == 0


async def test_a_closed_queue_takes_no_letter() -> None:
    letters = DeadLetterQueue("memory:")
    with pytest.raises(DeadLettersClosedError) as caught:
        await letters.add(recipient="a", message="hi", reason="noproc")
    assert str(caught.value) == (
        "add: expected an open dead-letter queue, got a closed one\n"
        "Fix: use it inside `async with`, or while the node that owns it runs."
    )


async def test_a_letter_is_told_when_it_is_stored() -> None:
    host, told = Host(), []
    host.telemetry.attach(LETTER_STORED, lambda *event: told.append(event))
    host.telemetry.attach(LETTER_EXHAUSTED, lambda *event: told.append(event))
    letters = DeadLetterQueue(MemoryStore())
    await letters.open(host)
    first = await letters.add(recipient="a", message="hi", reason="noproc")
    second = await letters.add(recipient="b", message="hi", reason="down", redeliverable=False)
    await letters.close()
    assert told == [
        (LETTER_STORED, {"count": 1}, {"id": first, "recipient": "a", "reason": "noproc"}),
        (LETTER_STORED, {"count": 1}, {"id": second, "recipient": "b", "reason": "down"}),
        (LETTER_EXHAUSTED, {"attempts": 0}, {"id": second, "recipient": "b", "reason": "down"}),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        EncodedMessage(type="data", version=1, payload="hi", preview="x"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        EncodedMessage(type="data", version="1", payload=b"x", preview="x"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
async def test_an_encoded_message_is_refused_when_a_field_is_of_the_wrong_kind(wrong: EncodedMessage) -> None:
    async with DeadLetterQueue("memory:") as letters:
        with pytest.raises(InvalidOptionError) as caught:
            await letters.add(recipient="a", message=wrong, reason="noproc")
        assert (await letters.stats()).total == 0
    assert str(caught.value) == (
        f"add(message): expected EncodedMessage(text, whole number, bytes, text), got {wrong!r}\n"
        "Fix: pass the message itself, or what encode() returned."
    )
