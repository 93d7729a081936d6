# SPDX-License-Identifier: MIT
"""Keyed sends on a node that remembers keys: one whose message was handled before is confirmed, and not sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from stanchion.delivery._failed import lasting_address
from stanchion.delivery._options import Options
from stanchion.delivery._outbox_delivery import OutboxDelivery
from stanchion.errors import StoreError
from stanchion.kernel import Node, Ref

if TYPE_CHECKING:
    from stanchion.outbox import Outbox

_log = logging.getLogger("stanchion.outbox")


class RememberedKey:
    """The key of one send, in the database of its node."""

    def __init__(self, outbox: Outbox, address: str, key: str, node: Node) -> None:
        self._outbox: Final = outbox
        self._address: Final = address
        self._key: Final = key
        self._node: Final = node

    async def known(self) -> bool:
        """Return whether a message with this key was handled.

        Raises:
            StoreError: the database failed.
        """
        return await self._outbox.was_handled(self._address, self._key)

    async def add(self) -> None:
        """Remember that it was handled. If the database fails that is logged: the message was handled all the same."""
        try:
            await self._outbox.remember(self._address, self._key, self._node.clock.time())
        except StoreError as error:
            _log.warning("key %r of %s was handled and cannot be remembered: %s", self._key, self._address, error)


def remembered_key(node: Node, ref: Ref, options: Options) -> RememberedKey | None:
    """Return the key of a send, None when it has none, or is none to be remembered on this node."""
    key, address = options.idempotency_key, lasting_address(ref)
    if key is None or address is None:
        return None
    delivery = node.service(OutboxDelivery)
    if delivery is None or not delivery.outbox.remembers:
        return None
    return RememberedKey(delivery.outbox, address, key, node)
