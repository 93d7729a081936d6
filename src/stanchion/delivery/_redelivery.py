# SPDX-License-Identifier: MIT
"""Redelivery: sends dead letters again when they are due."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stanchion._validate import Seconds, seconds, whole_number
from stanchion.delivery._options import Options
from stanchion.delivery._send import redeliver
from stanchion.errors import DeadLetterError, DeadLettersClosedError, MessageDecodeError, StoreError
from stanchion.kernel import Node, Process, run_process
from stanchion.server import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetter, DeadLetterQueue

_log = logging.getLogger("stanchion.redelivery")

# Between two looks at the queue, so that a storm of new letters is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.05
_LEASE_BEYOND_TIMEOUT: Final = 30.0


class Redelivery:
    """A service of a node: redelivers the letters of one queue, each by one attempt when it is due.

    The queue says when that is, and gives up after its ``max_attempts``. A letter goes to the process that holds its
    recipient's name then, under the message id that it always had. ``Node(dead_letters=...)`` makes one by itself.

    Args:
        queue: Where the letters are; open before this opens.
        concurrency: How many letters may be under way at once; a slow recipient holds up no more than these.
        timeout: Seconds that one redelivery may take; by default the node's ``call_timeout``.
        poll: Seconds before the first look, so that recipients have their time to start, and after which the queue is looked at even if nothing is known to have changed: letters that another
            OS process added or retried are found no later than that.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    def __init__(
        self, queue: DeadLetterQueue, *, concurrency: int = 64, timeout: Seconds | Policy = POLICY, poll: Seconds = 1.0
    ) -> None:
        self._queue: Final = queue
        self._concurrency: Final = whole_number("Redelivery(concurrency)", concurrency, at_least=1)
        self._timeout: Final = timeout if timeout is POLICY else seconds("Redelivery(timeout)", timeout)
        self._poll: Final = max(_SHORTEST_PAUSE, seconds("Redelivery(poll)", poll))

    async def open(self, node: Node) -> None:
        """Begin: a process of the node does the work."""
        run_process(node, self._run, label="Redelivery")

    async def close(self) -> None:
        """Nothing: the process ended with the others; what it held claimed is released."""

    async def _run(self, process: Process) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            with suppress(DeadLettersClosedError):  # closed under us: there is nothing left to do
                await self._work(process.node, under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _work(self, node: Node, under_way: set[asyncio.Task[None]]) -> None:
        await self._wait(self._queue.changes, self._poll)
        while True:
            seen = self._queue.changes
            pause = self._poll
            try:
                for letter in await self._claim(node, self._concurrency - len(under_way)):
                    task = node.loop.create_task(self._redeliver(node, letter))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                pause = await self._pause(node)
            except StoreError:
                _log.exception("dead letters cannot be read; looking again in %g s", pause)
            await self._wait(seen, pause)

    async def _claim(self, node: Node, free: int) -> list[DeadLetter]:
        if free <= 0:
            return []
        return await self._queue.claim_due(free, lease_seconds=self._limit(node) + _LEASE_BEYOND_TIMEOUT)

    def _limit(self, node: Node) -> float:
        return node.call_timeout if self._timeout is POLICY else self._timeout

    async def _pause(self, node: Node) -> float:
        """Return the seconds until there may be something to do."""
        due = await self._queue.next_due()
        return self._poll if due is None else max(_SHORTEST_PAUSE, min(self._poll, due - node.clock.time()))

    async def _wait(self, seen: int, pause: float) -> None:
        """Wait until the queue changed, or the pause is over."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause - _SHORTEST_PAUSE):
                await self._queue.wait_changed(seen)

    async def _redeliver(self, node: Node, letter: DeadLetter) -> None:
        """Make one attempt, and note in the queue what became of it."""
        try:
            await self._attempt(node, letter)
        except asyncio.CancelledError:
            await self._queue.release(letter.id)
            raise
        except DeadLetterError:
            # Its claim ends by itself, and it will be claimed again.
            _log.exception("dead letter %s: the outcome of its redelivery could not be stored", letter.id)
        except Exception:
            # One bad letter stops no other; its claim ends by itself, which counts as a failed redelivery.
            _log.exception("dead letter %s: its redelivery failed in an unexpected way", letter.id)

    async def _attempt(self, node: Node, letter: DeadLetter) -> None:
        try:
            message = letter.message()
        except MessageDecodeError as error:
            await self._queue.failed(letter.id, reason="invalid", error=str(error), final=True)
            return
        once = Options(timeout=self._limit(node), retries=0, deadline=None, on_error="ignore", metadata=letter.metadata)
        delivery = await redeliver(node, letter.recipient, message, once, letter.message_id or letter.id)
        failure = delivery.failure
        if failure is None:
            await self._queue.delivered(letter.id)
        else:
            await self._queue.failed(letter.id, reason=str(failure.reason), error=failure.text, final=not failure.retry)
