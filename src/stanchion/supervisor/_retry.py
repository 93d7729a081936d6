# SPDX-License-Identifier: MIT
"""A start that is put off: until the supervisor has heard what else came, or until a backoff's delay is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stanchion.kernel import INFO, Bucket, Notification, Owned, Possession, Process, disown, own

if TYPE_CHECKING:
    from stanchion.supervisor._child import Child


@Notification.register
class Retry(Owned):
    """A supervisor's message to itself: it is time to start a child again.

    Attributes:
        child: The child. The message counts only while it is what the child waits for (``child.retry``).
        failure: Why its last start failed, which is yet to be counted as a restart; None for a restart that has been
            counted and told, and only waited for its delay.
    """

    __slots__ = ("_bucket", "_process", "child", "failure")

    is_limit = False

    def __init__(self, process: Process, child: Child, failure: object = None) -> None:
        self._process = process
        # None when no deadline runs.
        self._bucket: Bucket | None = None
        self.child = child
        self.failure = failure

    def post(self) -> None:
        """Put the message behind what the supervisor's mailbox holds; its limit does not count."""
        self._process.mailbox.put_system((INFO, self, None))

    def post_later(self, delay: float) -> None:
        """Put the message into the mailbox in ``delay`` seconds, at most one tick of the node's deadlines later."""
        self._bucket = self._process.node.wheel.add(delay, self)
        own(self._process, self)

    def expire(self) -> None:
        """Take note that the delay is over; the deadline calls this."""
        self._bucket = None
        disown(self._process, self)
        self.post()

    def release(self) -> None:
        """Take note that the supervisor exits; the kernel calls this."""
        if self._bucket is not None:
            self._bucket.pop(self, None)
            self._bucket = None

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        return [Possession("timer", f"for the next start of child {self.child.spec.id!r}")]

    def cancel(self) -> None:
        """End the wait; a message that is in the mailbox already counts no more."""
        self.release()
        disown(self._process, self)
