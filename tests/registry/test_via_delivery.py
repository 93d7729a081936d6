# SPDX-License-Identifier: MIT
"""Supervised sends to via addresses, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, MemoryStore
from stanchion.errors import InvalidOptionError
from stanchion.registry import Registry, ref_of
from stanchion.telemetry import DELIVERY_RETRY, DELIVERY_STOP
from stanchion.testing import VirtualClock
from tests.delivery.servers import Log, Recorder
from tests.kernel.helpers import Events, sleeper
from tests.registry.helpers import new_node, registry

ADA = Registry.via("registry", "ada")
STEADY = st.Backoff(initial=1, factor=1, maximum=1, jitter=0)


def letter_node(**options: Any) -> st.Node:
    """Return a node whose letters are due after half a minute."""
    letters = DeadLetterQueue(MemoryStore(), backoff=st.Backoff(initial=30, factor=1, maximum=30, jitter=0))
    return st.Node(
        "test", clock=VirtualClock(), shutdown_timeout=0, block_threshold=None, dead_letters=letters, **options
    )


async def test_supervised_send_is_confirmed() -> None:
    async with new_node():
        await registry()
        await st.start(Recorder, name=ADA)
        delivery = await st.send_supervised(ADA, "hello")
        assert delivery
        assert delivery.recipient is ADA
        assert await st.call(ADA, Log()) == ["hello"]


async def test_each_attempt_finds_who_has_the_key_then() -> None:
    async with new_node() as node:
        events = Events(node, DELIVERY_RETRY, DELIVERY_STOP)
        await registry()
        await st.start(Recorder, name=ADA)
        sending = asyncio.ensure_future(st.send_supervised(ADA, "crash", backoff=STEADY, retries=1, on_error="ignore"))
        await asyncio.sleep(0.5)
        await st.start(Recorder, name=ADA)
        delivery = await sending
        assert (delivery.outcome, delivery.reason, delivery.attempts) == ("unknown", "down", 2)
        assert events.all("recipient") == [ADA, ADA]


async def test_send_waits_for_a_process_and_even_for_the_registry_to_come_back() -> None:
    async with new_node():
        sending = asyncio.ensure_future(st.send_supervised(ADA, "hello", backoff=STEADY))
        await asyncio.sleep(0.5)
        await registry()
        await asyncio.sleep(1)
        await st.start(Recorder, name=ADA)
        delivery = await sending
        assert (bool(delivery), delivery.attempts) == (True, 3)


class Failing(st.Via):
    """An address whose directory answers once, and is down from then on."""

    asked = 0

    def whereis(self) -> st.Pid | None:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("directory is down")
        return None

    def register(self, pid: st.Pid) -> None:
        raise NotImplementedError

    unregister = register


async def test_send_to_an_address_that_fails_between_two_attempts_comes_to_an_outcome() -> None:
    async with new_node():
        delivery = await st.send_supervised(Failing(), "hello", backoff=STEADY, retries=2, on_error="ignore")
        assert (delivery.outcome, delivery.attempts) == ("rejected", 3)
        assert delivery.reason_text == "noproc: RuntimeError('directory is down')"


async def test_address_that_fails_at_once_is_the_senders_mistake() -> None:
    address = Failing()
    address.asked = 1
    async with new_node():
        with pytest.raises(RuntimeError, match="directory is down"):
            await st.send_supervised(address, "hello", on_error="ignore")


async def test_process_does_not_wait_for_itself_by_its_via_address() -> None:
    class Selfish(st.GenServer):
        async def handle_call(self, request: object, sender: st.Sender) -> object:
            try:
                await st.send_supervised(ADA, "me")
            except InvalidOptionError as error:
                return str(error).split(":")[0]
            return None

    async with new_node():
        await registry()
        await st.start(Selfish, name=ADA)
        assert await st.call(ADA, "go") == "send_supervised(ref)"


async def test_broadcast_reaches_via_addresses() -> None:
    async with new_node():
        await registry()
        bob = Registry.via("registry", "bob")
        for ref in (ADA, bob):
            await st.start(Recorder, name=ref)
        report = await st.broadcast_supervised([ADA, bob], "hello", strategy="all_or_nothing")
        assert [delivery.recipient for delivery in report.confirmed] == [ADA, bob]


async def test_one_via_address_is_no_list_of_them() -> None:
    async with new_node():
        one: Any = ADA
        with pytest.raises(InvalidOptionError) as caught:
            await st.broadcast_supervised(one, "hello")
        assert str(caught.value) == (
            "broadcast_supervised(refs): expected an iterable of pids and registered names, "
            "got Registry.via('registry', 'ada')\n"
            "Fix: put the ref into a list, or use send_supervised()."
        )


# --- dead letters --------------------------------------------------------------------------------


async def letter_to(node: st.Node, ref: st.Ref) -> DeadLetter:
    """Send to nobody, and return the letter."""
    delivery = await st.send_supervised(ref, "hello", retries=0, on_error="dead_letter")
    assert delivery.dead_letter_id is not None
    return await node.dead_letters.get(delivery.dead_letter_id)


@pytest.mark.parametrize(
    "key",
    ["ada", 17, ("user", 17), -1.5, True, None, b"\0", 'it\'s "quoted"', "\udc80", "Registry.via('a', 'b')"],
)
async def test_letter_to_a_key_is_redelivered_to_who_has_it_then(key: Hashable) -> None:
    async with letter_node() as node:
        await registry()
        ref = Registry.via("registry", key)
        letter = await letter_to(node, ref)
        assert (letter.recipient, letter.redeliverable, letter.state) == (repr(ref), True, "waiting")
        await st.start(Recorder, name=ref)
        await asyncio.sleep(35)
        assert (await node.dead_letters.get(letter.id)).state == "delivered"
        assert await st.call(ref, Log()) == ["hello"]


async def test_letter_to_a_key_waits_while_its_registry_does_not_run() -> None:
    async with letter_node() as node:
        letter = await letter_to(node, ADA)
        await asyncio.sleep(35)
        letter = await node.dead_letters.get(letter.id)
        assert (letter.state, letter.reason, letter.redeliveries) == ("waiting", "noproc", 1)


async def test_letter_to_a_key_of_what_is_no_registry_now_waits_for_a_person_who_reads_why() -> None:
    async with letter_node() as node:
        letter = await letter_to(node, ADA)
        st.spawn(sleeper, name="registry")
        await asyncio.sleep(35)
        letter = await node.dead_letters.get(letter.id)
        assert (letter.state, letter.reason, letter.error) == (
            "exhausted",
            "invalid",
            "Registry.via(registry): expected a running registry, got sleeper <test.2 registry>, which is none",
        )


class Colour:
    """A key that no text says."""


class Loud(str):  # noqa: SLOT000
    """A key that equals a text and does not look like it."""

    def __repr__(self) -> str:
        return f"Loud({str(self)!r})"


@pytest.mark.parametrize(
    "key", [Colour(), Loud("ada"), float("nan"), float("inf"), frozenset({1}), "x" * 1_000, (1, Colour())]
)
async def test_letter_to_a_key_that_text_cannot_say_waits_for_a_person(key: Hashable) -> None:
    async with letter_node(redeliver=False) as node:
        await registry()
        ref = Registry.via("registry", key)
        letter = await letter_to(node, ref)
        assert (letter.recipient, letter.redeliverable, letter.state) == (repr(ref), False, "exhausted")


async def test_letter_to_a_key_of_a_registry_that_is_given_by_its_pid_waits_for_a_person() -> None:
    async with letter_node(redeliver=False) as node:
        pid = await registry()
        letter = await letter_to(node, Registry.via(pid, "ada"))
        assert letter.recipient == "Registry.via(<test.1 registry>, 'ada')"
        assert (letter.redeliverable, letter.state) == (False, "exhausted")


async def test_letter_to_a_via_address_of_ones_own_waits_for_a_person() -> None:
    class Nowhere(st.Via):
        def whereis(self) -> None:
            return None

        def register(self, pid: st.Pid) -> None: ...

        def unregister(self, pid: st.Pid) -> None: ...

        def __repr__(self) -> str:
            return "Nowhere()"

    async with letter_node(redeliver=False) as node:
        letter = await letter_to(node, Nowhere())
        assert (letter.recipient, letter.redeliverable, letter.state) == ("Nowhere()", False, "exhausted")


async def test_letter_can_be_replayed_to_a_key_by_its_text() -> None:
    async with letter_node() as node:
        await registry()
        letter = await letter_to(node, "nobody")
        await st.start(Recorder, name=ADA)
        await node.dead_letters.replay(letter.id, recipient="Registry.via('registry', 'ada')")
        await asyncio.sleep(2)
        assert await st.call(ADA, Log()) == ["hello"]


@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "Registry.via",
        "Registry.via(",
        "Registry.via('a')",
        "Registry.via('ab')",
        "Registry.via('a', 'b', 'c')",
        "Registry.via(1, 'b')",
        "Registry.via('', 'b')",
        "Registry.via('a', ['b'])",
        "Registry.via('a', exit())",
        "Registry.via('a', 'b') or 1",
        "Registry.via('a', " + "(" * 500,
        "Registry.via('a', '" + "b" * 1_000 + "')",
    ],
)
def test_text_that_says_no_address_is_a_plain_name(text: str) -> None:
    assert ref_of(text) == text


def test_text_of_an_address_says_the_same_address() -> None:
    assert ref_of("Registry.via('registry', 'ada')") == ADA
    assert ref_of(repr(Registry.via("registry", ("a", 1)))) == Registry.via("registry", ("a", 1))
