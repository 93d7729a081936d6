# SPDX-License-Identifier: MIT
"""Looks at a policy's file now and then, and has it loaded again when it has changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from stanchion.errors import StanchionError
from stanchion.telemetry import TIMEOUTS_RELOAD_FAILED, TIMEOUTS_RELOADED, Event
from stanchion.timeouts._source import Signature, signature_of

if TYPE_CHECKING:
    from stanchion.kernel import Node
    from stanchion.timeouts._policy import TimeoutPolicy

_log = logging.getLogger("stanchion.timeouts")


class Watch:
    """The looks of one node at the file of its policy: a service that opens and closes with the node."""

    def __init__(self, policy: TimeoutPolicy, path: str, signature: Signature) -> None:
        self._policy = policy
        self._path = path
        # What the file looked like when it was read last, whatever became of that: each change is told once.
        self._signature = signature
        self._node: Node
        self._task: asyncio.Task[None]

    async def open(self, node: Node) -> None:
        """Begin to look."""
        self._node = node
        self._task = asyncio.create_task(self._keep_looking(), name=f"timeouts of node {node.name}")

    async def close(self) -> None:
        """Look no more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep_looking(self) -> None:
        while (every := self._policy.watch) is not None:
            await asyncio.sleep(every)
            signature = await asyncio.to_thread(signature_of, self._path)
            if signature != self._signature:
                self._signature = signature
                await self._reload()

    async def _reload(self) -> None:
        file = self._policy.file
        try:
            await asyncio.to_thread(self._policy.reload)
        except StanchionError as error:
            _log.error("the timeouts stay as they were, for %s cannot be loaded: %s", file, error)
            self._tell(TIMEOUTS_RELOAD_FAILED, {"count": 1}, error=str(error))
            return
        rules = len(self._policy.rules())
        _log.info("the timeouts are now as %s says; rules: %d", file, rules)
        self._tell(TIMEOUTS_RELOADED, {"rules": rules})

    def _tell(self, event: Event, measurements: dict[str, float], **details: object) -> None:
        telemetry = self._node.telemetry
        if telemetry.attached:
            telemetry.emit(event, measurements, {"node": self._node.name, "file": self._policy.file, **details})
