# SPDX-License-Identifier: MIT
"""A letter that an old release of a program stored is read, and delivered, as the message of today."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, EncodedMessage, Store
from stanchion.errors import MessageDecodeError


class Reserved(st.Message, type="tests.upgrading.Reserved", version=3):
    sku: str
    quantity: int
    priority: str = "normal"

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        if version < 2:  # "count" until then
            data["quantity"] = data.pop("count")
        if version < 3:  # "item" until then
            data["sku"] = data.pop("item")
        return data


def stored(version: int, **fields: object) -> EncodedMessage:
    """Return a message as the release with this version of the class encoded it."""
    payload = msgspec.msgpack.encode(fields)
    return EncodedMessage("tests.upgrading.Reserved", version, payload, "Reserved(...)")


OLD = [
    (stored(1, item="A-1", count=2), Reserved("A-1", 2)),
    (stored(2, item="A-1", quantity=2), Reserved("A-1", 2)),
    (stored(3, sku="A-1", quantity=2, priority="high"), Reserved("A-1", 2, "high")),
]


@pytest.mark.parametrize(("message", "today"), OLD, ids=["version 1", "version 2", "version 3"])
async def test_stored_message_is_read_as_the_message_of_today(
    store: Store, message: EncodedMessage, today: Reserved
) -> None:
    async with DeadLetterQueue(store) as letters:
        letter = await letters.get(await letters.add(recipient="a", message=message, reason="noproc"))
    assert letter.message() == today
    assert letter.version == message.version  # what is stored stays as it is


@pytest.mark.parametrize(("message", "today"), OLD[:1], ids=["version 1"])
async def test_stored_message_is_redelivered_as_the_message_of_today(
    store: Store, message: EncodedMessage, today: Reserved
) -> None:
    got: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    class Inventory(st.GenServer):
        async def handle_cast(self, message: object) -> None:
            got.set_result(message)

    async with DeadLetterQueue(store) as letters:
        id = await letters.add(recipient="inventory", message=message, reason="noproc")
        await letters.retry(id)
    async with st.Node("shop", dead_letters=DeadLetterQueue(store), block_threshold=None) as node:
        await st.start(Inventory, name="inventory")
        assert await asyncio.wait_for(got, 10) == today
        seen = node.dead_letters.changes
        while (await node.dead_letters.get(id)).state != "delivered":
            seen = await node.dead_letters.wait_changed(seen)


async def test_message_of_a_later_release_is_kept_for_that_release(store: Store) -> None:
    async with DeadLetterQueue(store) as letters:
        message = stored(4, sku="A-1", quantity=2, priority="high", warehouse="north")
        letter = await letters.get(await letters.add(recipient="a", message=message, reason="noproc"))
    with pytest.raises(MessageDecodeError, match="expected a version up to 3, got a newer one"):
        letter.message()
