# SPDX-License-Identifier: MIT
"""The end of a wait for more than one thing, as one more thing to wait for."""

from __future__ import annotations

import asyncio
from typing import Final

from stanchion.kernel import Bucket, Node


class Alarm:
    """Rings when the limit has passed, by the node's own timer: whoever stands at a breakpoint has more time.

    Attributes:
        rung: Done when it rings; whoever waits for it may set its result before.
    """

    __slots__ = ("_bucket", "rung")

    def __init__(self, node: Node, limit: float | None) -> None:
        self.rung: Final[asyncio.Future[None]] = node.loop.create_future()
        self._bucket: Bucket | None = None if limit is None else node.wheel.add(limit, self)

    def expire(self) -> None:
        """Ring; the wheel calls this."""
        if not self.rung.done():
            self.rung.set_result(None)

    def cancel(self) -> None:
        """Never ring."""
        if self._bucket is not None:
            self._bucket.pop(self, None)
