# SPDX-License-Identifier: MIT
"""Signals whose handling is awaited: what takes them out of the buffer, one after another, while there are any."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextvars import Context
from typing import Final

from stanchion.kernel import BURST
from stanchion.router._entry import Entry
from stanchion.router._session import Session
from stanchion.router._subscription import SignalSubscription


class Pump(ABC):
    """How the signals of one subscription come to a target that is waited for: a task, while there is something to do.

    Args:
        session: The router's.
        subscription: Whose signals these are.
        context: Where the task runs.
    """

    __slots__ = ("_context", "_reason", "_session", "_subscription", "_task")

    def __init__(self, session: Session, subscription: SignalSubscription, context: Context) -> None:
        self._session: Final = session
        self._subscription: Final = subscription
        self._context: Final = context
        self._task: asyncio.Task[None] | None = None
        # Why the task was cancelled: by the router, or else by the target's own code.
        self._reason = "failed"

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What delivers, while there is something to do."""
        return self._task

    @abstractmethod
    async def deliver(self, entry: Entry) -> None:
        """Deliver one signal, and count it."""

    @abstractmethod
    def interrupted(self, entry: Entry, reason: str) -> None:
        """Do what is to be done with the signal in hand, as the task is cancelled."""

    @abstractmethod
    async def give_up(self) -> None:
        """Do what is to be done with what is left in the buffer as the router stops; the task has ended."""

    def put(self, entry: Entry) -> str | None:
        """See ``Outlet.put``."""
        self._subscription.push(entry)
        if self._task is None:
            self.start(self._run())
        return None

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Have a task do this."""
        self._session.pumps[self] = None
        name = f"signals for {self._subscription.subscriber}"
        # Not by the loop's task factory: an eager one would run the target inside of the publisher.
        context = self._context.copy()
        self._task = asyncio.Task(work, loop=self._session.node.loop, name=name, context=context)
        self._task.add_done_callback(self._done, context=context)

    def discard(self, entry: Entry) -> None:
        """See ``Outlet.discard``: nothing else has it."""
        entry.over = True

    def is_running(self) -> bool:
        """See ``Outlet.is_running``."""
        return self._task is not None and self._task is asyncio.current_task()

    def cancel(self, reason: str) -> None:
        """End the task, if there is one and it is not the running one."""
        if self._task is not None and not self.is_running():
            self._reason = reason
            self._task.cancel()

    async def _run(self) -> None:
        """Deliver until the buffer is empty."""
        waiting, budget = self._subscription.waiting, BURST
        while waiting:
            if not budget:
                await asyncio.sleep(0)
                budget = BURST
                continue  # it may have been emptied meanwhile
            budget -= 1
            await self.hand_over(self._subscription.take())
        self._done(self._task)  # in this step: what comes before the loop says so must not be left lying

    async def hand_over(self, entry: Entry) -> None:
        """Deliver a signal that left the buffer."""
        try:
            await self.deliver(entry)
        except asyncio.CancelledError:
            self.interrupted(entry, self._reason)
            raise

    def _done(self, task: asyncio.Task[None] | None) -> None:
        if self._task is task:
            self._task = None
            self._session.pumps.pop(self, None)
            if self._subscription.waiting and self._session.open:  # the target's code cancelled it
                self.start(self._run())
