# SPDX-License-Identifier: MIT
"""Redelivery: sends dead letters again when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from stanchion._validate import Seconds, seconds, whole_number
from stanchion.delivery._delivery import Reason
from stanchion.delivery._options import Options
from stanchion.delivery._sending import Sending
from stanchion.errors import DeadLetterError, DeadLettersClosedError, InvalidOptionError, MessageDecodeError
from stanchion.kernel import Node, Process, run_process
from stanchion.registry import ref_of
from stanchion.server import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetter, DeadLetterQueue

_log = logging.getLogger("stanchion.redelivery")

_Settle = Callable[[], Coroutine[object, object, object]]
"""Notes the outcome of an attempt in the queue."""

# Between two looks at the queue, so that a storm of new letters is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.05
_LEASE_BEYOND_TIMEOUT: Final = 30.0


class Redelivery:
    """A service of a node: redelivers the letters of one queue, each by one attempt when it is due.

    The queue says when that is, and gives up after its ``max_attempts``. A letter goes to the process that holds its
    recipient's name then, or its recipient's key in a registry of that name, under the message id that it always had.
    ``Node(dead_letters=...)`` makes one by itself.

    Args:
        queue: Where the letters are; open before this opens.
        concurrency: How many letters may be under way at once; a slow recipient holds up no more than these.
        timeout: Seconds that one redelivery may take; by default the node's ``call_timeout``.
        poll: Seconds between two looks at the queue when nothing is known to have changed: letters that another OS
            process added or retried are found no later than that. The first look comes as late, so that recipients have
            their time to start.

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
        under_way = _UnderWay()
        try:
            with suppress(DeadLettersClosedError):  # closed under us: there is nothing left to do
                await self._work(process.node, under_way)
        finally:
            for letter in await under_way.end():
                with suppress(DeadLetterError):  # its claim ends by itself
                    await self._queue.release(letter)

    async def _work(self, node: Node, under_way: _UnderWay) -> None:
        await self._wait(self._queue.changes, self._poll)
        # A node that stops has stopped the recipients: what is due waits for the next one.
        while node.running:
            seen = self._queue.changes
            pause = self._poll
            try:
                for letter in await self._claim(node, self._concurrency - len(under_way)):
                    under_way.begin(letter, self._attempt(node, letter), self._settle)
                pause = await self._pause(node)
            except DeadLettersClosedError:
                raise
            except Exception:  # whatever a store raises, the letters in it are not to wait for ever
                _log.exception("dead letters cannot be read; looking again in %g s", pause)
            await self._wait(seen, pause)

    async def _claim(self, node: Node, free: int) -> list[DeadLetter]:
        if free <= 0:
            return []
        limit = node.call_timeout if self._timeout is POLICY else self._timeout
        return await self._queue.claim_due(free, lease_seconds=limit + _LEASE_BEYOND_TIMEOUT)

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

    async def _attempt(self, node: Node, letter: DeadLetter) -> _Settle:
        """Make one attempt; return what to note in the queue."""
        once = Options(timeout=self._timeout, retries=0, deadline=None, on_error="ignore", metadata=letter.metadata)
        # Under the message id that it always had, so that receivers can tell.
        id, recipient, now = letter.message_id or letter.id, ref_of(letter.recipient), node.clock.monotonic()
        try:
            delivery = await Sending(node, recipient, letter.message(), once, id, started=now).run()
        except (MessageDecodeError, InvalidOptionError) as error:
            # This program knows no such message; or what is to have the recipient's key is no registry of unique keys.
            return partial(self._queue.failed, letter, reason="invalid", error=str(error), final=True)
        failure = delivery.failure
        if failure is None:
            return partial(self._queue.delivered, letter)
        if failure.reason is Reason.NOPROC and not node.running:
            # Its recipient was stopped before this: that is no failure of the letter.
            return partial(self._queue.release, letter)
        final = not failure.retry
        return partial(self._queue.failed, letter, reason=str(failure.reason), error=failure.text, final=final)

    async def _settle(self, id: str, attempt: asyncio.Task[_Settle]) -> None:
        """Note in the queue what became of an attempt that was not cancelled."""
        try:
            await attempt.result()()
        except DeadLetterError:
            # Its claim ends by itself, and it will be claimed again.
            _log.exception("dead letter %s: the outcome of its redelivery could not be stored", id)
        except Exception:
            # One bad letter stops no other; its claim ends by itself, which counts as a failed redelivery.
            _log.exception("dead letter %s: its redelivery failed in an unexpected way", id)


class _UnderWay:
    """The letters that are claimed and not settled.

    Each goes through two tasks: its attempt, which may be cancelled, and then the settling, which must not be, since a
    letter that was delivered and is not noted as such is delivered again.
    """

    def __init__(self) -> None:
        self._attempts: dict[str, tuple[DeadLetter, asyncio.Task[_Settle]]] = {}
        self._settling: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._attempts) + len(self._settling)

    def begin(
        self,
        letter: DeadLetter,
        attempt: Coroutine[object, object, _Settle],
        settle: Callable[[str, asyncio.Task[_Settle]], Coroutine[object, object, None]],
    ) -> None:
        """Begin with a letter; one that is under way already, its claim having ended meanwhile, is left to that."""
        id = letter.id
        if id in self._attempts or id in self._settling:
            attempt.close()
            return

        def settled(task: asyncio.Task[None]) -> None:
            del self._settling[id]

        def attempted(task: asyncio.Task[_Settle]) -> None:
            if not task.cancelled():
                del self._attempts[id]
                self._settling[id] = asyncio.get_running_loop().create_task(settle(id, task))
                self._settling[id].add_done_callback(settled)

        task = asyncio.get_running_loop().create_task(attempt)
        self._attempts[id] = letter, task
        task.add_done_callback(attempted)

    async def end(self) -> list[DeadLetter]:
        """Cancel the attempts, wait until the others are settled, and return the letters that were not."""
        for _, attempt in self._attempts.values():
            attempt.cancel()
        await asyncio.sleep(0)  # for the callbacks of those that were done already
        while waiting := [*self._settling.values(), *(task for _, task in self._attempts.values() if not task.done())]:
            await asyncio.wait(waiting)
            await asyncio.sleep(0)
        return [letter for letter, _ in self._attempts.values()]
