# SPDX-License-Identifier: MIT
"""Ways to lose a message, put into a process on purpose: a harness that does not find them proves nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from stanchion._ids import TimeIds
from stanchion.dead_letters import DeadLetter, DeadLetterQueue, Write
from stanchion.dead_letters.stores.sql import SqlStore
from stanchion.delivery import OutboxDelivery, Redelivery
from stanchion.outbox import Held, Outbox, OutboxMessage, _tables
from stanchion.router._durable_sender import Sender
from stanchion.router._journal import Journal
from stanchion.router._signal import Signal
from stanchion.router._tables import Signalled
from stanchion.scheduler import _firing
from stanchion.storage import Lease


def none() -> None:
    """Leave everything as it is."""


def answer_before_commit() -> None:
    """A store that answers at once and commits a little later: whoever reads waits for that, and sees no difference."""
    write, get, page = SqlStore.write, SqlStore.get, SqlStore.page
    committing: set[asyncio.Task[object]] = set()

    async def later(store: SqlStore, writes: Sequence[Write]) -> list[bool]:
        async def commit() -> None:
            await asyncio.sleep(0.25)  # as long as any of them lives
            await write(store, writes)

        committing.add(asyncio.create_task(commit()))
        return [True] * len(writes)

    def afterwards(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def waiting(*arguments: Any, **options: Any) -> Any:
            await asyncio.gather(*committing)
            return await read(*arguments, **options)

        return waiting

    SqlStore.write = later  # type: ignore[method-assign]
    SqlStore.get, SqlStore.page = afterwards(get), afterwards(page)  # type: ignore[method-assign]


def replay_in_two_commits() -> None:
    """A store that makes the change first, and adds the letter that goes with it in another transaction."""
    write = SqlStore.write

    async def apart(store: SqlStore, writes: Sequence[Write]) -> list[bool]:
        made = await write(store, [Write(letter, replaces) for letter, replaces, _ in writes])
        await asyncio.sleep(0.01)
        await write(store, [Write(also) for (_, _, also), done in zip(writes, made, strict=True) if done and also])
        return made

    SqlStore.write = apart  # type: ignore[method-assign]


def deliver_before_handling() -> None:
    """A redelivery that notes the success before it sends."""
    attempt = Redelivery._attempt

    async def hasty(redelivery: Redelivery, node: Any, letter: DeadLetter) -> Any:
        await redelivery._queue.delivered(letter)
        return await attempt(redelivery, node, letter)

    Redelivery._attempt = hasty  # type: ignore[method-assign]


def claim_without_commit() -> None:
    """A queue that hands letters out without a claim that others see."""

    async def careless(queue: DeadLetterQueue, limit: int = 100, **_: object) -> list[DeadLetter]:
        page = await queue.list({"state": "waiting"}, limit=limit)
        return [*page.entries]

    DeadLetterQueue.claim_due = careless  # type: ignore[method-assign]


def migrate_in_pieces() -> None:
    """A migration each of whose statements is committed by itself."""

    def commit(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "ALTER")):
            cursor.execute("COMMIT")
            cursor.execute("BEGIN")

    event.listen(sa.Engine, "after_cursor_execute", commit)


def store_after_answer() -> None:
    """An outbox that says a message is stored, and stores it a little later."""
    put = Outbox.put

    def answered(outbox: Outbox, message: OutboxMessage, *, hold: bool = False) -> asyncio.Future[bool | None]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.25, partial(put, outbox, message, hold=hold))  # as long as any of them lives
        answer: asyncio.Future[bool | None] = loop.create_future()
        answer.set_result(True)
        return answer

    Outbox.put = answered  # type: ignore[method-assign]


def remove_before_sending() -> None:
    """An outbox that removes a message when it begins to send it."""
    send = OutboxDelivery._send

    async def hasty(delivery: OutboxDelivery, held: Held) -> None:
        remove = sa.text("DELETE FROM stanchion_outbox WHERE id = :id").bindparams(id=held.message.id)
        await delivery.outbox._database.write(lambda connection: connection.execute(remove).close())
        await send(delivery, held)

    OutboxDelivery._send = hasty  # type: ignore[method-assign]


def publish_before_commit() -> None:
    """A journal that says a signal is stored, and stores it a little later."""
    append = Journal.append
    storing: set[asyncio.Task[int]] = set()

    async def answered(journal: Journal, signal: Signal) -> int:
        async def store() -> int:
            await asyncio.sleep(0.25)  # as long as any of them lives
            return await append(journal, signal)

        storing.add(asyncio.create_task(store()))
        return 0

    Journal.append = answered  # type: ignore[method-assign]


def pass_before_sending() -> None:
    """A durable subscription that notes a signal as passed when it begins to send it."""
    deliver = Sender.deliver

    async def hasty(sender: Sender, signalled: Signalled, key: str) -> None:
        sender._passed(signalled.position)
        await asyncio.sleep(0.01)
        await deliver(sender, signalled, key)

    Sender.deliver = hasty  # type: ignore[method-assign]


def fire_in_two_commits() -> None:
    """A scheduler that takes a due time first, and puts its message into the outbox in another transaction."""
    write, ids = Lease.write, TimeIds()

    async def apart(lease: Lease, work: Callable[..., Any], *arguments: Any) -> Any:
        put: list[tuple[OutboxMessage, None]] = []

        def keep(
            _connection: object, _subject: str, makes: Sequence[Callable[[str, float], OutboxMessage]]
        ) -> list[str]:
            put.extend((make(ids.next(now := time.time()), now), None) for make in makes)
            return []

        insert, _firing.insert_messages = _firing.insert_messages, keep
        try:
            result = await write(lease, work, *arguments)
        finally:
            _firing.insert_messages = insert
        await asyncio.sleep(0.01)
        await lease._database.write(_tables.insert, put)
        return result

    Lease.write = apart  # type: ignore[assignment, method-assign]


FAULTS: Final[Mapping[str, Callable[[], None]]] = {
    fault.__name__: fault
    for fault in (
        none,
        answer_before_commit,
        replay_in_two_commits,
        deliver_before_handling,
        claim_without_commit,
        migrate_in_pieces,
        store_after_answer,
        remove_before_sending,
        fire_in_two_commits,
        publish_before_commit,
        pass_before_sending,
    )
}
"""By name, for the command line."""
