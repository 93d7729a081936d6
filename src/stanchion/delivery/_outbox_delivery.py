# SPDX-License-Identifier: MIT
"""Delivery out of the outbox: sends what is stored, and removes what came to its end."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from stanchion.delivery._attempt import recipient
from stanchion.delivery._delivery import Ack, Delivery, Failure, Outcome, Reason
from stanchion.delivery._failed import conclude
from stanchion.delivery._options import Options
from stanchion.delivery._sending import Sending, too_late
from stanchion.delivery._time_limits import give_up_time
from stanchion.errors import DeliveryError, InvalidOptionError, OutboxClosedError, StoreError
from stanchion.kernel import DEADLINE, Node, Process, Ref, run_process
from stanchion.registry import ref_of

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.outbox import Held, Outbox, OutboxMessage

_log = logging.getLogger("stanchion.outbox")

_PROCESS_ENDED: Final = Failure(
    Reason.DOWN, handled=True, retry=True, exit_reason=RuntimeError("its OS process ended"), crashed=True
)
_NO_ROOM: Final = Failure(
    Reason.TIMEOUT, handled=False, retry=False, detail="the deadline passed before the outbox had room for it"
)
_UNCOMMITTED: Final = Failure(
    Reason.TIMEOUT,
    handled=True,
    retry=False,
    detail="the deadline passed before its commit was known; if it is committed, the outbox goes on with it",
)
_GOES_ON: Final = Failure(
    Reason.TIMEOUT, handled=True, retry=False, detail="it is stored, and the outbox goes on with it"
)


class OutboxDelivery:
    """A service of a node: delivers the messages of its outbox, each by a supervised send of its own.

    A message that is confirmed is removed. One that is given up becomes a dead letter, and then is removed; a crash in
    between leaves both, and the message is sent once more. Retries and deadlines begin anew in each life of a node.
    ``Node(database=...)`` makes one by itself.

    Args:
        outbox: Where the messages are; open before this opens, and so must be the node's dead-letter queue.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox: Final = outbox
        # These are set by open(), and the last when its process begins.
        self._node: Node
        self._letters: DeadLetterQueue
        self._last_chance: asyncio.Lock
        self._context: contextvars.Context
        # Sends, which may be cancelled, and what follows from their outcome, which must not be.
        self._sends: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        # Who waits for the end of a message, by its id; each entry is its waiter's, who takes it away.
        self._waiting: dict[str, asyncio.Future[Delivery | None]] = {}
        # Who hears of every end.
        self._heard: list[Callable[[OutboxMessage, Delivery], object]] = []

    async def open(self, node: Node) -> None:
        """Begin: a process of the node does the work.

        Raises:
            InvalidOptionError: the node has no dead-letter queue.
        """
        from stanchion.dead_letters import DeadLetterQueue

        letters = node.service(DeadLetterQueue)
        if letters is None:
            raise InvalidOptionError(
                "OutboxDelivery.open(node)",
                expected="a node with a dead-letter queue, for what is given up",
                got=f"{node!r}, which has none",
                fix="make the node with Node(database='sqlite:///app.db').",
            )
        self._node, self._letters, self._last_chance = node, letters, asyncio.Lock()
        run_process(node, self._run, code="OutboxDelivery")

    async def close(self) -> None:
        """Nothing: the process ended with the others; what was not delivered is in the outbox."""

    def on_end(self, heard: Callable[[OutboxMessage, Delivery], object]) -> Callable[[], None]:
        """Call ``heard`` with each message that this node delivered or gave up, when that is about to be committed.

        When the commit fails, or the OS process ends before it, the message is sent once more, and heard of again.

        Returns:
            What ends it.
        """
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    # --- for who sends ---------------------------------------------------------------------------

    async def send(
        self, ref: Ref, message: object, options: Options, started: float, letters: DeadLetterQueue | None
    ) -> Delivery:
        """Store a message, and wait for what its ``ack`` says; see ``send_supervised``."""
        from stanchion.delivery._durable import Durable  # heavy; only who uses it pays

        if options.ack is not Ack.STORED:
            recipient(ref, options.ack)  # raises when it would wait for itself
        durable = Durable("send_supervised", ref, message, options)
        until, deadline = give_up_time(self._node, options, started), DEADLINE.get()
        stored = durable.stored(self.outbox.new_id(now := self._node.clock.time()), now)
        failure: Failure | None = None
        if deadline is not None and deadline.passed:
            failure = too_late(deadline)
        elif self.outbox.full:
            failure = await self._room(until)
        if failure is not None:  # it is the caller's as one that was never to be stored
            sending = Sending(
                self._node, ref, message, options._replace(breaker=None), stored.message_id, started, until
            )
            return await conclude(self._node, sending, sending.give_up(failure), options, letters)
        delivery = await self._stored(ref, stored, options, started, until)
        if delivery.failure is not None and options.on_error == "raise":
            raise DeliveryError(delivery)
        return delivery

    async def _room(self, until: float | None) -> Failure | None:
        """Wait for room for one more message; return why there is none, when it does not come in time."""
        clock = self._node.clock
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - clock.monotonic())):
                await self.outbox.wait_room()
        except TimeoutError:
            return _NO_ROOM
        return None

    async def _stored(
        self, ref: Ref, stored: OutboxMessage, options: Options, started: float, until: float | None
    ) -> Delivery:
        """Store a message, and return what became of it, as far as its ``ack`` asks for that."""
        node, end = self._node, None
        if options.ack is not Ack.STORED:
            end = self._waiting[stored.id] = node.loop.create_future()
        try:
            wait = _Wait(self.outbox.put(stored, hold=end is not None))
            bucket = None if until is None else node.wheel.add(max(0.0, until - node.clock.monotonic()), wait)
            try:
                made = await wait.future
                if made and end is not None:
                    wait.future = end
                    if not wait.over:
                        await self._wait_end(stored.id, end)
            finally:
                if bucket is not None:
                    bucket.pop(wait, None)
        finally:
            if end is not None:
                del self._waiting[stored.id]
        if made is False or (made and end is None):
            return Delivery(Outcome.CONFIRMED, ref, stored.message_id, 0, self._elapsed(started), duplicate=not made)
        delivery = end.result() if end is not None and end.done() else None
        if delivery is None:
            failure = _UNCOMMITTED if made is None else _GOES_ON
            delivery = Delivery(Outcome.UNKNOWN, ref, stored.message_id, 0, 0.0, failure)
        # The delivery of the outbox knows neither the sender's ref nor when it called.
        delivery.recipient, delivery.elapsed = ref, self._elapsed(started)
        return delivery

    async def _wait_end(self, id: str, end: asyncio.Future[Delivery | None]) -> None:
        """Return when the end of a stored message is known, or will not be in this node."""
        while not (await asyncio.wait([end], timeout=self.outbox.lease))[0]:
            # A node that was taken for dead meanwhile does not hear what became of its messages.
            try:
                if not await self.outbox.has(id):
                    return
            except OutboxClosedError:
                return  # it was stored while the node stopped, when nobody sends any more
            except StoreError:
                pass  # the next look may tell

    def _elapsed(self, started: float) -> float:
        return self._node.clock.monotonic() - started

    # --- sending ---------------------------------------------------------------------------------

    async def _run(self, process: Process) -> None:
        # Sends are begun by whoever stores or ends one, and must not be taken for theirs.
        self._context = contextvars.copy_context()
        self.outbox.serve(self._begin)
        try:
            self._begin()
            await self.outbox.work(process.node)
        finally:
            self.outbox.serve(_nothing)
            await self._stop()

    async def _stop(self) -> None:
        """Cancel the sends, and return when what followed from the others is done."""
        for send in self._sends:
            send.cancel()
        try:
            while waiting := self._sends | self._ends:
                await asyncio.wait(waiting)
        finally:
            for end in [end for end in self._waiting.values() if not end.done()]:
                end.set_result(None)

    def _begin(self) -> None:
        """Begin with as many messages as may be under way."""
        # A node that stops has stopped the recipients: what is left waits for the next one.
        while self._node.running and (held := self.outbox.next()) is not None:
            self._start(self._send(held), self._sends)

    def _start(self, work: Coroutine[object, object, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._node.loop.create_task(work, context=self._context.copy())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _send(self, held: Held) -> None:
        """Send a message, noting that before when it may be what ended the OS process that sent it last."""
        from stanchion.delivery._durable import options_of

        message = held.message
        try:
            options = options_of(message)
        except Exception as error:
            self._start(self._unsendable(message, error), self._ends)
            return
        crashes, limit = message.interrupted, options.poison_after
        if crashes is None or limit is None or crashes >= limit:
            await self._attempt(held, options)
            return
        # The last time one at a time: of those that are under way when the process ends, only one is to blame.
        async with self._last_chance if crashes + 1 == limit else nullcontext():
            try:
                await self.outbox.note_under_way(message)
            except (StoreError, OutboxClosedError) as error:
                _log.error("message %s is sent later, for it cannot be noted that it is: %s", message.id, error)
                self.outbox.put_back(message)
                return
            await self._attempt(held, options)

    async def _attempt(self, held: Held, options: Options) -> None:
        """Make the attempts for a message, and begin with what follows from their outcome."""
        message, crashes, limit = held.message, held.message.interrupted or 0, options.poison_after
        poison = limit is not None and crashes >= limit
        try:
            ref, now = ref_of(message.recipient), self._node.clock.monotonic()
            content = message.content()
            until = give_up_time(self._node, options, now)
            sending = Sending(
                self._node, ref, content, options, message.message_id, now, until,
                handled=held.claimed, crashes=crashes - 1 if poison else crashes,
            )  # fmt: skip
            if poison:
                sending.failed(_PROCESS_ENDED)
            delivery = sending.given_up() if poison else await sending.run()
        except Exception as error:
            self._start(self._unsendable(message, error), self._ends)
            return
        if delivery.failure is not None:
            self._start(self._give_up(message, sending, delivery, options), self._ends)
            return
        self._end(message, delivery, handled=options.ack is Ack.PROCESSED)
        await conclude(self._node, sending, delivery, options, None)

    async def _give_up(self, message: OutboxMessage, sending: Sending, delivery: Delivery, options: Options) -> None:
        """Have a message rest in the dead letters, unless its sender wants nothing of it."""
        if not self._node.running and delivery.failure is not None and delivery.failure.retry:
            self.outbox.put_back(message)  # its recipient was stopped before this: that is no failure of the message
            return
        keep = options.on_error != "ignore"
        # The letter is not instead of what was asked for; but nobody is here to raise to.
        told = options._replace(on_error="dead_letter") if options.on_error == "raise" else options
        try:
            await conclude(self._node, sending, delivery, told, self._letters if keep else None)
        except Exception as error:  # whatever it is, the message must not stay under way for ever
            self._not_kept(message, error.__cause__ or error)
        else:
            self._end(message, delivery)

    async def _unsendable(self, message: OutboxMessage, error: Exception) -> None:
        """Have a message rest in the dead letters that this program does not know, or whose row was changed by hand."""
        try:
            id = await self._letters.add(
                recipient=message.recipient,
                message=message.encoded(preview=f"<{message.message_type}>"),
                reason="invalid",
                error=str(error),
                message_id=message.message_id,
                final=True,
            )
        except Exception as failed:
            self._not_kept(message, failed)
            return
        _log.error("message %s to %s cannot be sent: %s", message.message_id, message.recipient, error)
        failure = Failure(Reason.INVALID, handled=False, retry=False, detail=str(error))
        delivery = Delivery(Outcome.REJECTED, message.recipient, message.message_id, 0, 0.0, failure)
        delivery.dead_letter_id = id
        self._end(message, delivery)

    def _not_kept(self, message: OutboxMessage, error: BaseException) -> None:
        _log.error("message %s could not be stored as a dead letter, and stays in the outbox: %s", message.id, error)
        self.outbox.put_back(message)

    def _end(self, message: OutboxMessage, delivery: Delivery, *, handled: bool = False) -> None:
        """Remove a message, and tell who waits for its end."""
        self.outbox.done(message, delivered=delivery.failure is None, handled=handled)
        end = self._waiting.get(message.id)
        if end is not None and not end.done():
            end.set_result(delivery)
        for heard in list(self._heard):
            heard(message, delivery)


class _Wait:
    """The wait of a durable send, under the node's timer: for its commit, and then for its end.

    Attributes:
        future: What it waits for now.
        over: Whether the time is up.
    """

    __slots__ = ("future", "over")

    def __init__(self, commit: asyncio.Future[bool | None]) -> None:
        self.future: asyncio.Future[bool | None] | asyncio.Future[Delivery | None] = commit
        self.over = False

    def expire(self) -> None:
        """End the wait because the time is up."""
        self.over = True
        if not self.future.done():
            self.future.set_result(None)


def outbox_delivery(node: Node, operation: str) -> OutboxDelivery:
    """Return what delivers out of a node's outbox.

    Raises:
        InvalidOptionError: the node has none.
    """
    found = node.service(OutboxDelivery)
    if found is None:
        raise InvalidOptionError(
            f"{operation}(durable)",
            expected="a node with an outbox for durable=True",
            got=f"{node!r}, which has none",
            fix="make the node with Node(database='sqlite:///app.db').",
        )
    return found


def _nothing() -> None:
    """Begin with nothing: nobody sends any more."""
