# SPDX-License-Identifier: MIT
"""Signals for a function: called outside of the publisher's step, with one signal after another."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Final, cast

from stanchion._validate import is_async
from stanchion.kernel import BURST, ProcessExit
from stanchion.router._entry import Entry
from stanchion.router._pump import Pump
from stanchion.router._session import Session
from stanchion.router._subscription import SignalSubscription
from stanchion.timeouts import POLICY, SIGNAL_CALLBACK, Policy

if TYPE_CHECKING:
    from stanchion.router._signal import Signal

_log = logging.getLogger("stanchion.router")

# What an async function returned. Typed, so that what is awaited is no Any.
_COROUTINE: Final = cast("type[Coroutine[object, object, object]]", CoroutineType)


class Callback(Pump):
    """How signals come to a function.

    A plain function is called by the loop, without a task; one that turns out to return what must be awaited has a task
    from then on.
    """

    __slots__ = ("_called", "_function", "_plain", "_timeout")

    def __init__(
        self,
        session: Session,
        subscription: SignalSubscription,
        context: Context,
        function: Callable[[Signal], object],
        timeout: float | Policy | None,
    ) -> None:
        super().__init__(session, subscription, context)
        self._function: Final = function
        self._timeout: Final = timeout
        self._plain = not is_async(function)
        # Whether the loop is about to call a plain function.
        self._called = False

    def put(self, entry: Entry) -> str | None:
        """See ``Outlet.put``."""
        if not self._plain:
            return super().put(entry)
        self._subscription.push(entry)
        if not self._called:
            self._call_soon()
        return None

    def drains(self, reason: str) -> bool:
        """See ``Outlet.drains``."""
        return False

    def end(self, subscription: SignalSubscription, reason: str) -> None:
        """See ``Outlet.end``. A call that has begun goes on, unless its process or the router ends."""
        if reason != "unsubscribed":
            self.cancel(reason)

    async def deliver(self, entry: Entry) -> None:
        """Call the function, and wait for its end."""
        # Most functions wait for nothing, or for nothing that is not there: the first step is all. A limit could not end
        # that step, and to set one costs more than such a call.
        try:
            left = _begin(self._function(entry.signal))
        except (Exception, BaseExceptionGroup, ProcessExit, asyncio.CancelledError) as error:  # noqa: BLE001 - users' code
            self._failed(entry, error)
            return
        if left is None:
            self._subscription.delivered(entry)
        else:
            await self._finish(entry, left)

    async def give_up(self) -> None:
        """Nothing: what was left was dropped as the subscription ended."""

    def interrupted(self, entry: Entry, reason: str) -> None:
        """Drop it: whoever ended took its function's call along."""
        self._subscription.lost(entry, reason)

    async def _finish(self, entry: Entry, left: Awaitable[object]) -> None:
        """Wait for the end of a call that has begun, and count the signal."""
        limit = self._timeout
        if limit is POLICY:
            limit = self._session.node.timeouts.limit(self._function, None, SIGNAL_CALLBACK)
        timeout = asyncio.timeout(limit)
        try:
            async with timeout:
                await left
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._failed(entry, error)  # it awaited something that was cancelled
        except (Exception, BaseExceptionGroup, ProcessExit) as error:  # noqa: BLE001 - the function is users' code
            late = TimeoutError(f"it did not return within {limit:g} s") if timeout.expired() else None
            self._failed(entry, late or error)
        else:
            self._subscription.delivered(entry)

    def _call_soon(self) -> None:
        self._called = True
        self._session.node.loop.call_soon(self._call, context=self._context)

    def _call(self) -> None:
        """Call a plain function with what is in the buffer."""
        self._called = False
        waiting, budget = self._subscription.waiting, BURST
        while waiting and budget:
            budget -= 1
            entry = self._subscription.take()
            try:
                result = self._function(entry.signal)
            except (Exception, BaseExceptionGroup, ProcessExit, asyncio.CancelledError) as error:  # noqa: BLE001 - as above
                self._failed(entry, error)
                continue
            if inspect.isawaitable(result):
                self._plain = False
                self.start(self._go_on(entry, result))
                return
            self._subscription.delivered(entry)
        if waiting:
            self._call_soon()

    async def _go_on(self, entry: Entry, begun: Awaitable[object]) -> None:
        """Wait for the end of a call that has begun, and deliver the others."""
        try:
            await self._finish(entry, begun)
        except asyncio.CancelledError:
            self.interrupted(entry, self._reason)
            raise
        await self._run()

    def _failed(self, entry: Entry, error: BaseException) -> None:
        _log.error("%r failed on signal %s", self._subscription, entry.signal.id, exc_info=error)
        self._subscription.lost(entry, "failed", logged=True)


def _begin(result: object) -> Awaitable[object] | None:
    """Take the first step of what a function returned; return what is left to wait for, None when that was all."""
    if type(result) is _COROUTINE:
        try:
            return _rest(result, result.send(None))
        except StopIteration:
            return None
    return result if inspect.isawaitable(result) else None


@coroutine
def _rest(begun: Coroutine[object, object, object], waits_for: object) -> Generator[object, object, object]:
    """Go on with a coroutine that has begun, and waits for something."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            go_on = partial(begun.throw, error)
        else:
            go_on = partial(begun.send, sent)
        try:
            waits_for = go_on()
        except StopIteration as end:
            return end.value
