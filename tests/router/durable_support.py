# SPDX-License-Identifier: MIT
"""What the tests of durable subscriptions share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetter
from stanchion.errors import StoreFullError
from stanchion.router import DurableInfo, SignalRouter, _tables
from stanchion.router._durable import DurableSubscriptions
from stanchion.router._tables import Subscribed
from stanchion.storage import Database
from stanchion.testing import VirtualClock


def node(
    url: str | None,
    *,
    journal: Sequence[str] = (),
    keep: float | None = None,
    max_size: int = 1 << 20,
    **options: object,
) -> st.Node:
    """Return a node with a database and a router, in real time unless it is given a clock."""
    router = SignalRouter(journal=journal, keep=keep, max_size=max_size)
    return st.Node(database=url, services=[router], block_threshold=None, **options)  # type: ignore[arg-type]


def virtual(url: str | None, **options: object) -> st.Node:
    """Return such a node in virtual time."""
    return node(url, clock=VirtualClock(), seed=7, **options)


async def publish(router: SignalRouter, *numbers: object, type: str = "order.placed") -> None:
    """Publish a signal for each."""
    await router.publish_many([st.Signal(type, number) for number in numbers])


async def info(node: st.Node, name: str) -> DurableInfo:
    """Return what is known of a durable subscription."""
    return next(one for one in await node.router.durable_subscriptions() if one.name == name)


async def behind(node: st.Node, name: str) -> int:
    """Return how many signals wait for a durable subscription."""
    return (await info(node, name)).behind


def durable(node: st.Node) -> DurableSubscriptions:
    """Return what is durable of a node's router."""
    found = node.router._durable
    assert found is not None
    return found


def keeps(node: st.Node, type: str = "order.placed") -> bool:
    """Say whether a node keeps the signals of a type."""
    return durable(node).journal.wants(type)


async def stored(node: st.Node, name: str) -> Subscribed:
    """Return a durable subscription as the database has it."""
    found = await node.outbox.database.read(_tables.find, name)
    assert found is not None
    return found


def data_of(letter: DeadLetter) -> object:
    """Return the data of the signal in a dead letter."""
    signal = letter.message()
    assert isinstance(signal, st.Signal)
    return signal.data


async def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Return when something is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Subscriber(st.GenServer):
    """Keeps the data of the signals that it gets; some make it behave badly."""

    async def init(self, log: list[object]) -> None:
        self.log = log

    async def handle_cast(self, signal: object) -> object:
        assert isinstance(signal, st.Signal)
        self.log.append(signal.data)
        match signal.data:
            case "crash":
                raise ZeroDivisionError("told to")
            case "reject":
                return st.Reject("not now", retry=True)
            case "reject for good":
                return st.Reject("never", retry=False)
            case ("sleep", float() | int() as seconds):
                await asyncio.sleep(seconds)
            case "id":
                about = st.message_info()
                assert about is not None
                self.log[-1] = about.message_id
            case _:
                pass
        return None


class Failing:
    """Has a database fail, and be well again."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._database = database
        self._monkeypatch = monkeypatch
        self._real = {"read": database.read, "write": database.write}
        self.calls = 0

    def fail(self, *verbs: str) -> None:
        """Have these fail from now on."""

        async def fails(*_: object, **__: object) -> None:
            self.calls += 1
            raise StoreFullError("sqlite:", expected="room", got="none")

        for verb in verbs:
            self._monkeypatch.setattr(self._database, verb, fails)

    def work(self) -> None:
        """Have all of it work again."""
        for verb, real in self._real.items():
            self._monkeypatch.setattr(self._database, verb, real)
