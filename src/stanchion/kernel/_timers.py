# SPDX-License-Identifier: MIT
"""Timers: a message that is sent later.

The wheel (_timer_wheel.py) is coarse, since nearly all waits end before their time is up. Timers go off, and their
order counts: each has its exact time, and those of one time go off in the order in which they were set, which the event
loop's own timers do not promise.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from stanchion._validate import Seconds, instance, seconds
from stanchion.errors import NodeStateError
from stanchion.kernel._clock import Clock, TimerHandle
from stanchion.kernel._context import PROCESS, current_node, current_process
from stanchion.kernel._dropped import undeliverable
from stanchion.kernel._mailbox import INFO
from stanchion.kernel._names import Ref, checked_ref, find
from stanchion.kernel._owned import Owned, Possession, disown, own
from stanchion.kernel._site import Site, caller, place_of

if TYPE_CHECKING:
    from stanchion.kernel._node import Node
    from stanchion.kernel._process import Process

_log = logging.getLogger("stanchion.node")

_COMPACT_FROM: Final = 64


class TimerRef(Owned):
    """One message that waits for its time, made by ``send_after``.

    Attributes:
        ref: To whom the message goes.
        message: The message; None once it was sent or cancelled.
        when: When it goes, on the node's monotonic clock.
    """

    __slots__ = ("_made", "_node", "_owner", "_site", "message", "ref", "when")

    def __init__(
        self, node: Node, owner: Process | None, ref: Ref, message: object, delay: float, site: Site | None
    ) -> None:
        # None once the message was sent or cancelled.
        self._node: Node | None = node
        self._owner = owner
        self._site = site
        self._made = node.clock.monotonic()
        self.ref = ref
        self.message = message
        self.when = self._made + delay

    def left(self) -> float | None:
        """Return the seconds that are left, or None when it was sent or cancelled."""
        return None if self._node is None else max(0.0, self.when - self._node.clock.monotonic())

    def fire(self) -> None:
        """Send the message; the node calls this when its time has come."""
        node, owner, message = self._node, self._owner, self.message
        if node is None:
            return
        self._end()
        pid = find(self.ref, "send_after(ref)")
        if pid is not None and owner is not None and pid is owner.pid:
            pid._mailbox.put_system((INFO, message, None))
            return
        refusal = "noproc" if pid is None else pid._mailbox.put((INFO, message, None))
        if refusal is not None:
            undeliverable(node, self.ref, message, refusal)

    def release(self) -> None:
        """Take the message back; harmless when it was sent. Its owner's exit calls this, too."""
        if self._node is not None:
            self._node.timers.cancelled()
            self._end()

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``; nothing once its message was sent or cancelled."""
        if self._node is None:
            return ()
        now = self._node.clock.monotonic()
        text = f"to {self.ref!r}, {max(0.0, self.when - now):.3g} s left"
        return [Possession("timer", text, None if self._site is None else place_of(self._site), now - self._made)]

    def _end(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            disown(owner, self)
        self._node = self.message = None

    def __repr__(self) -> str:
        left = self.left()
        return f"<timer to {self.ref!r}, {'done' if left is None else f'{left:.3g} s left'}>"


class Timers:
    """The timers of one node, on one timer of its clock."""

    __slots__ = ("_cancelled", "_clock", "_closed", "_handle", "_handle_when", "_heap", "_next", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clock: Final[Clock] = node.clock
        self._heap: list[tuple[float, int, TimerRef]] = []
        self._next = itertools.count().__next__
        # How many in the heap were cancelled; they are taken out when they come up, or are more than half.
        self._cancelled = 0
        # Set for the earliest time in the heap when it was set; None while the heap is empty.
        self._handle: TimerHandle | None = None
        self._handle_when = 0.0
        self._closed = False

    def add(self, owner: Process | None, ref: Ref, message: object, delay: float, site: Site | None = None) -> TimerRef:
        """Set a timer.

        Args:
            owner: Whose exit ends it; None leaves that to the node's.
            ref: To whom the message goes.
            message: The message.
            delay: Seconds from now.
            site: Where it is set; None where nobody asks.
        """
        if self._closed:
            name = self._node.name
            raise NodeStateError(name, operation="send_after()", expected="a running node", got="stopped")
        timer = TimerRef(self._node, owner, ref, message, delay, site)
        heapq.heappush(self._heap, (timer.when, self._next(), timer))
        if owner is not None:
            own(owner, timer)
        if self._handle is None or timer.when < self._handle_when:
            self._set()
        return timer

    def unowned(self) -> list[TimerRef]:
        """Return the timers that belong to no process, the earliest first; some may have been cancelled."""
        return [timer for _, _, timer in sorted(self._heap) if timer._owner is None]

    def cancelled(self) -> None:
        """Take note that one of the heap was cancelled."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_FROM and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].left() is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def close(self) -> None:
        """Cancel every timer, and take no new one."""
        self._closed = True
        heap, self._heap = self._heap, []
        for _, _, timer in heap:
            timer.release()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle_when = self._heap[0][0]
        self._handle = self._node.context.run(self._clock.call_at, self._handle_when, self._fire)

    def _fire(self) -> None:
        self._handle = None
        # What is set meanwhile waits for the next step, be it for no time at all.
        last = (self._clock.monotonic(), self._next())
        while self._heap and self._heap[0] < last:
            timer = heapq.heappop(self._heap)[2]
            if timer.left() is None:
                self._cancelled -= 1
            try:
                timer.fire()
            except Exception:  # a via address that fails must not keep the others waiting for ever
                _log.exception("%r: its message was not sent", timer)
        if self._heap:
            self._set()


def send_after(ref: Ref, message: object, delay: Seconds) -> TimerRef:
    """Send a plain message after a while; it comes to ``handle_info``, or to ``receive``.

    The timer belongs to the running process and ends with it. Outside of processes it belongs to the node.

    Args:
        ref: A pid, a registered name or a via address; a name is looked up when the time has come. A message for
            somebody who is gone by then is a DeadLetter event, one for a full mailbox a Dropped event. What a process
            sends to itself is a system message, which a full mailbox takes, too.
        message: The object itself, not a copy.
        delay: Seconds from now; 0 sends at the loop's next step.

    Returns:
        The timer, for ``cancel_timer`` and ``read_timer``; it may be dropped.

    Raises:
        InvalidOptionError: ``ref`` is no ref, or ``delay`` no duration.
        NoNodeError: the code runs outside of every node.
        NodeStateError: the node has stopped.
        NotInProcessError: the running process has ended, and this code outlived it.

    Delivery: at most once; messages of one time come in the order in which their timers were set.

    Source: ``erlang:send_after/3``, whose timers belong to their target, and outlive who set them.
    """
    node = current_node("send_after()")
    wait = seconds("send_after(delay)", delay)
    owner = None if PROCESS.get() is None else current_process("send_after()")
    return node.timers.add(owner, checked_ref(ref, "send_after(ref)"), message, wait, caller())


def cancel_timer(timer: TimerRef) -> float | None:
    """Cancel a timer: its message is not sent. A message that was sent already stays where it is.

    Returns:
        The seconds that were left; None when the message was sent, or the timer cancelled, before.

    Raises:
        InvalidOptionError: ``timer`` is no timer.

    Source: ``erlang:cancel_timer/1``.
    """
    left = instance("cancel_timer(timer)", timer, TimerRef).left()
    timer.release()
    return left


def read_timer(timer: TimerRef) -> float | None:
    """Return the seconds that are left of a timer; None when its message was sent, or it was cancelled.

    Raises:
        InvalidOptionError: ``timer`` is no timer.

    Source: ``erlang:read_timer/1``.
    """
    return instance("read_timer(timer)", timer, TimerRef).left()
