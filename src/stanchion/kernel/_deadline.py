# SPDX-License-Identifier: MIT
"""Deadlines: by when all that the running code does, and has others do, must be done.

A scope sets one for the code in it. It travels with every message that this code sends, and is in force again while the
receiver handles it. What waits does not wait beyond it, and a message whose deadline has passed is not begun.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stanchion._validate import Seconds
from stanchion._validate import seconds as checked_seconds
from stanchion.errors import DeadlineExceededError, InvalidOptionError
from stanchion.kernel._context import DEADLINE, DEADLINES, current_node
from stanchion.kernel._site import Site, caller, place_of

if TYPE_CHECKING:
    from stanchion.kernel._clock import Clock
    from stanchion.kernel._node import Node
    from stanchion.kernel._timer_wheel import Bucket, TimerWheel

# For how long at least the waits in a block have failed when the block is cancelled: it comes with a later tick of the
# node's wheel, so that their errors, which say more, come first, also when the loop is late.
_BEHIND = 1 / 256


class Deadline:
    """By when something must be done, and who said so. It is never changed.

    Attributes:
        at: The time, by the monotonic time of ``clock``.
        node: Where it was set, which need not be the node where it is in force.
        seconds: How far off it was as it was set.
        site: Where in the code that was.
    """

    __slots__ = ("at", "node", "seconds", "site")

    def __init__(self, at: float, node: Node, seconds: float, site: Site) -> None:
        self.at = at
        self.node = node
        self.seconds = seconds
        self.site = site

    def left(self) -> float:
        """Return the seconds until then, and what a debugger adds to them; 0 when it has passed."""
        left = self.at - self.node.clock.monotonic()
        return left if left > 0.0 else max(0.0, left + self.node.wheel.stretch())

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return not self.left()

    @property
    def clock(self) -> Clock:
        """The clock of its node."""
        return self.node.clock

    def __repr__(self) -> str:
        return f"the deadline of {self.seconds:g} s set at {place_of(self.site)}"


class DeadlineScope:
    """A block of code that has a deadline; see ``deadline``, which makes it."""

    __slots__ = (
        "_bucket",
        "_deadline",
        "_entered",
        "_last",
        "_left",
        "_outer",
        "_seconds",
        "_site",
        "_timeout",
        "_wheel",
    )

    def __init__(self, seconds: float, site: Site) -> None:
        self._seconds = seconds
        self._site = site
        # What cancels the block, and knows its own cancellation from others.
        self._timeout = asyncio.timeout(None)
        self._entered = False
        self._left = False
        # These are set on entering. The deadline is this scope's own, or what was in force before, whichever is nearer.
        self._deadline: Deadline
        self._outer: Deadline | None
        self._wheel: TimerWheel
        self._bucket: Bucket
        # Whether the block is cancelled when the wheel calls next.
        self._last: bool

    async def __aenter__(self) -> Self:
        """Have the time begin.

        Raises:
            NoNodeError: the code runs outside of every node.
            InvalidOptionError: it was entered before.
        """
        if self._entered:
            raise InvalidOptionError(
                "deadline()",
                expected="a scope of its own for each `async with`",
                got="one that was entered before",
                fix=f"write `async with stanchion.deadline({self._seconds:g}):` where you enter it.",
            )
        node = current_node("deadline()")
        await self._timeout.__aenter__()
        self._entered = True
        outer = self._outer = DEADLINE.get()
        left = self._seconds
        if outer is not None and outer.left() <= left:
            left = outer.left()
            self._deadline = Deadline(outer.at, outer.node, outer.seconds, outer.site)
        else:
            self._deadline = Deadline(node.clock.monotonic() + left, node, left, self._site)
        self._wheel = node.wheel
        self._bucket = node.wheel.add(left, self)
        self._last = not left
        DEADLINES.used = True
        DEADLINE.set(self._deadline)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Have what was in force before be so again.

        Raises:
            DeadlineExceededError: the block was cancelled because the time was up.
        """
        self._left = True
        self._bucket.pop(self, None)
        DEADLINE.set(self._outer)
        try:
            await self._timeout.__aexit__(exc_type, exc, traceback)
        except TimeoutError as error:
            by_outer = self._deadline.site is not self._site
            raise DeadlineExceededError(
                seconds=self._seconds,
                site=place_of(self._site),
                cut_by=repr(self._deadline) if by_outer else None,
            ) from error.__cause__

    def remaining(self) -> float:
        """Return the seconds that are left, 0 when there are none: of its own time, or of a nearer deadline around it."""
        return self._deadline.left()

    @property
    def expired(self) -> bool:
        """Whether the time was up, and the block was cancelled."""
        return self._timeout.expired()

    def done(self) -> bool:
        """Return whether the block was left; for what is meant to last as long as it: ``monitor(target, until=scope)``."""
        return self._left

    def expire(self) -> None:
        """Have the block cancelled after a last while; the node's wheel calls this."""
        if self._last:
            self._timeout.reschedule(0.0)
        else:
            self._last = True
            self._bucket = self._wheel.add(_BEHIND, self)

    def __repr__(self) -> str:
        return f"<deadline of {self._seconds:g} s, opened at {place_of(self._site)}>"


class InHand(Deadline):
    """That of the message that a plain process received last; it is in force until the process asks for the next one."""

    __slots__ = ("outer",)

    def __init__(self, deadline: Deadline, outer: Deadline | None) -> None:
        nearer = deadline if outer is None or deadline.left() <= outer.left() else outer
        super().__init__(nearer.at, nearer.node, nearer.seconds, nearer.site)
        # What was in force before: of a scope around the call of receive().
        self.outer = outer


def deadline(seconds: Seconds) -> DeadlineScope:
    """Return a scope that bounds everything inside; enter it with ``async with``.

    Calls, supervised sends and other waits in the block last no longer than what is left, whatever their ``timeout=``
    says. The deadline travels with every message that is sent in it: it is in force in the receiver while that handles the
    message, and in those whom it calls in turn; a message whose deadline has passed before its turn is not begun. Use the
    ``timeout=`` of one call to bound the wait for it, and not what is done for it elsewhere.

    A task that is started in the block keeps the deadline; a process does not, but its ``init`` has it.

    Args:
        seconds: How long, from entering on. With 0 the time is up at once. Inside of another deadline, the nearer one
            counts.

    Returns:
        The scope, to be entered once. ``scope.remaining()`` is what is left, ``scope.expired`` whether the block was
        cancelled.

    Raises:
        InvalidOptionError: ``seconds`` is no time.
        NoNodeError: on entering, outside of every node.
        DeadlineExceededError: on leaving, when the block was cancelled because the time was up. What waits in the block
            for Stanchion has some milliseconds to fail by itself, by an error that says more (``CallTimeoutError`` for
            a call); each is a ``TimeoutError`` too.

    Cancellation: as with ``asyncio.timeout``, on which it is built: a cancellation from outside goes through. Do not
        ``yield`` in the block: the deadline would be in force in the code around, and there for good if the generator
        is not taken to its end.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def main():
        ...     async with st.Node():
        ...         async with st.deadline(60) as scope:
        ...             return st.remaining() <= 60, scope.expired
        >>> asyncio.run(main())
        (True, False)

    Source: the deadlines of gRPC. OTP has none: there each call has a timeout of its own.
    """
    return DeadlineScope(checked_seconds("deadline(seconds)", seconds), caller())


def remaining() -> float | None:
    """Return the seconds that the running code has left, 0 when there are none; None when no deadline is in force.

    In a callback of a server, and after ``receive``, it is that of the message in hand.

    Source: as ``deadline``.
    """
    in_force = DEADLINE.get()
    return None if in_force is None else in_force.left()


def cut_by_deadline(limit: float | None) -> float | None:
    """Return a limit in seconds, or what the deadline in force leaves of it; None for no limit at all."""
    in_force = DEADLINE.get()
    if in_force is None:
        return limit
    left = in_force.left()
    return left if limit is None or left < limit else limit
