# SPDX-License-Identifier: MIT
"""Redelivery: sends dead letters again when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from stanchion._validate import Seconds, seconds, whole_number
from stanchion.delivery._delivery import Reason
from stanchion.delivery._options import Options
from stanchion.delivery._sending import Sending
from stanchion.errors import (
    DeadLetterError,
    DeadLettersClosedError,
    InvalidOptionError,
    MessageDecodeError,
    StoreError,
)
from stanchion.kernel import Node, Process, run_process
from stanchion.registry import ref_of
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetter, DeadLetterQueue

_log = logging.getLogger("stanchion.redelivery")

_Settle = Callable[[], Coroutine[object, object, object]]
"""Notes the outcome of an attempt in the queue."""

# Between two looks at the queue, so that a storm of new letters is not a storm of queries.
_SHORTEST_PAUSE: Final = 0.01
_LEASE_BEYOND_TIMEOUT: Final = 30.0


class Redelivery:
    """A service of a node: redelivers the letters of one queue, each by one attempt when it is due.

    The queue says when that is, and gives up after its ``max_attempts``. A letter goes to the process that holds its
    recipient's name then, or its recipient's key in a registry of that name, under the message id that it always had.
    ``Node(dead_letters=...)`` makes one by itself.

    Args:
        queue: Where the letters are; open before this opens.
        concurrency: How many letters may be under way at once.
        per_recipient: How many of these may be to one recipient: a slow one leaves the other places to others. Letters
            to a recipient that has all of its places, or whose circuit breaker is open, stay where they are; that costs
            them no attempt.
        timeout: Seconds that one redelivery may take; by default what the node's ``TimeoutPolicy`` says of such a
            message to its recipient. A letter that was claimed by an OS process that died waits until its claim ends,
            half a minute after the longest limit of the policy.
        poison_after: How many times the recipient may crash on a letter, before it was one and since; then the letter is
            exhausted. None for no limit.
        poll: Seconds between two looks at the queue when nothing is known to have changed: letters that another OS
            process added or retried are found no later than that, and at once on PostgreSQL. The first look comes as
            late, so that recipients have their time to start.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    def __init__(
        self,
        queue: DeadLetterQueue,
        *,
        concurrency: int = 64,
        per_recipient: int = 8,
        timeout: Seconds | Policy = POLICY,
        poison_after: int | None = 3,
        poll: Seconds = 1.0,
    ) -> None:
        self._queue: Final = queue
        self._concurrency: Final = whole_number("Redelivery(concurrency)", concurrency, at_least=1)
        self._per_recipient: Final = whole_number("Redelivery(per_recipient)", per_recipient, at_least=1)
        self._poison_after: Final = (
            None if poison_after is None else whole_number("Redelivery(poison_after)", poison_after, at_least=1)
        )
        self._timeout: Final = timeout if timeout is POLICY else seconds("Redelivery(timeout)", timeout)
        self._poll: Final = max(_SHORTEST_PAUSE, seconds("Redelivery(poll)", poll))

    async def open(self, node: Node) -> None:
        """Begin: a process of the node does the work."""
        run_process(node, self._run, code="Redelivery")

    async def close(self) -> None:
        """Nothing: the process ended with the others; what it held claimed is released."""

    async def _run(self, process: Process) -> None:
        under_way = _UnderWay()
        try:
            with suppress(DeadLettersClosedError):  # closed under us: there is nothing left to do
                await self._work(process.node, under_way)
        finally:
            for letter in await under_way.end():
                with suppress(DeadLetterError, StoreError):  # its claim ends by itself
                    await self._queue.release(letter)

    async def _work(self, node: Node, under_way: _UnderWay) -> None:
        await self._wait(self._queue.changes, self._poll)
        while True:
            seen = self._queue.changes
            pause = self._poll
            # A node that stops has stopped the recipients: what is due waits for the next one. This does not return
            # then, for the exit signal is on its way, and would cancel the releasing of what is claimed.
            if node.running:
                try:
                    pause = await self._look(node, under_way)
                except DeadLettersClosedError:
                    raise
                except Exception:  # whatever a store raises, the letters in it are not to wait for ever
                    _log.exception("dead letters cannot be read; looking again in %g s", pause)
            await self._wait(seen, pause)

    async def _look(self, node: Node, under_way: _UnderWay) -> float:
        """Begin with what is due, and return the seconds until there may be something to do."""
        now = node.clock.time()
        for letter in await self._claim(node, under_way):
            under_way.begin(letter, self._attempt(node, letter), self._settle)
        due = await self._queue.next_due()
        if due is None or due <= now:  # what was due then and is still there has no place: whatever ends wakes us
            return self._poll
        return max(_SHORTEST_PAUSE, min(self._poll, due - node.clock.time()))

    async def _claim(self, node: Node, under_way: _UnderWay) -> list[DeadLetter]:
        free = self._concurrency - len(under_way)
        if free <= 0:
            return []
        room = {recipient: self._per_recipient - count for recipient, count in under_way.recipients.items()}
        if node.breaker_table is not None:
            room |= dict.fromkeys(node.breaker_table.rejecting(), 0)
        # One lease for all that are claimed, whoever they are for.
        limit = node.timeouts.longest if self._timeout is POLICY else self._timeout
        lease = limit + _LEASE_BEYOND_TIMEOUT
        return await self._queue.claim_due(free, lease_seconds=lease, per_recipient=self._per_recipient, room=room)

    async def _wait(self, seen: int, pause: float) -> None:
        """Wait until the queue changed, or the pause is over."""
        await asyncio.sleep(_SHORTEST_PAUSE)
        with suppress(TimeoutError):
            await self._queue.wait_changed(seen, timeout=pause - _SHORTEST_PAUSE)

    async def _attempt(self, node: Node, letter: DeadLetter) -> _Settle:
        """Make one attempt; return what to note in the queue."""
        once = Options(
            timeout=self._timeout,
            retries=0,
            deadline=None,
            on_error="ignore",
            metadata=letter.metadata,
            poison_after=self._poison_after,
        )
        crashes = sum(attempt.traceback is not None for attempt in letter.attempts)
        # Under the message id that it always had, so that receivers can tell.
        id, recipient, now = letter.message_id or letter.id, ref_of(letter.recipient), node.clock.monotonic()
        try:
            # An attempt that is in the letter may have been handled.
            sending = Sending(node, recipient, letter.message(), once, id, now, None, handled=True, crashes=crashes)
            delivery = await sending.run()
        except (MessageDecodeError, InvalidOptionError) as error:
            # This program knows no such message; or what is to have the recipient's key is no registry of unique keys.
            return partial(self._queue.failed, letter, reason="invalid", error=str(error), final=True)
        failure = delivery.failure
        if failure is None:
            return partial(self._queue.delivered, letter)
        if failure.reason is Reason.NOPROC and not node.running:
            # Its recipient was stopped before this: that is no failure of the letter.
            return partial(self._queue.release, letter)
        if failure.reason is Reason.CIRCUIT_OPEN:
            return partial(self._queue.release, letter)  # nothing was sent
        final = not failure.retry
        return partial(
            self._queue.failed,
            letter,
            reason=str(failure.reason),
            error=failure.text,
            traceback=failure.traceback,
            final=final,
        )

    async def _settle(self, id: str, attempt: asyncio.Task[_Settle]) -> None:
        """Note in the queue what became of an attempt that was not cancelled."""
        try:
            await attempt.result()()
        except (DeadLetterError, StoreError):
            # Its claim ends by itself, and it will be claimed again.
            _log.exception("dead letter %s: the outcome of its redelivery could not be stored", id)
        except Exception:
            # One bad letter stops no other; its claim ends by itself, which counts as a failed redelivery.
            _log.exception("dead letter %s: its redelivery failed in an unexpected way", id)


class _UnderWay:
    """The letters that are claimed and not settled.

    Each goes through two tasks: its attempt, which may be cancelled, and then the settling, which must not be, since a
    letter that was delivered and is not noted as such is delivered again.

    Attributes:
        recipients: How many there are to each recipient; none is 0.
    """

    def __init__(self) -> None:
        self.recipients: Counter[str] = Counter()
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
            self.recipients[letter.recipient] -= 1
            if not self.recipients[letter.recipient]:
                del self.recipients[letter.recipient]

        def attempted(task: asyncio.Task[_Settle]) -> None:
            if not task.cancelled():
                del self._attempts[id]
                self._settling[id] = asyncio.get_running_loop().create_task(settle(id, task))
                self._settling[id].add_done_callback(settled)

        task = asyncio.get_running_loop().create_task(attempt)
        self._attempts[id] = letter, task
        self.recipients[letter.recipient] += 1
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
