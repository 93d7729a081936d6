# SPDX-License-Identifier: MIT
"""The wait for a message that does not come: what a server does that returned a Timeout."""

from __future__ import annotations

from stanchion.kernel import INFO, SYSTEM, ExitReason, Mailbox, Process, skip_repeated
from stanchion.server._directives import TIMEOUT, Timeout
from stanchion.server._gen_server import GenServer
from stanchion.server._system import answer_system


async def idle(process: Process, server: GenServer, wait: Timeout) -> ExitReason | None:
    """Wait until there is a message: if none comes in time, it is TIMEOUT.

    System messages are answered meanwhile, and messages that were handled before are skipped; the wait begins anew after
    each, as OTP's does. Returns the reason when one of them led to the server's end.
    """
    mailbox = process.mailbox
    # One that swallowed the cancellation of its exit does not wait for another one.
    while process.exiting is None:
        await _message(process, wait.seconds)
        if not mailbox.queue:
            # By the one reader, who looks into the mailbox next: nothing comes in between.
            mailbox.queue.append((INFO, TIMEOUT, None))
        if skip_repeated(process):
            continue
        if mailbox.queue[0][0] != SYSTEM:
            return None
        stop = await answer_system(process, server, mailbox.queue.popleft())
        if stop is not None:
            return stop
    return None


async def _message(process: Process, seconds: float) -> None:
    """Wait until there is a message, or the time is up."""
    mailbox = process.mailbox
    if mailbox.queue or not seconds:
        return
    deadline = _Deadline(mailbox)
    bucket = process.node.wheel.add(seconds, deadline)
    try:
        # A message that woke this may have been withdrawn since.
        while not mailbox.queue and not deadline.passed:
            await mailbox.wait()
    finally:
        bucket.pop(deadline, None)


class _Deadline:
    """When the wait is over."""

    __slots__ = ("_mailbox", "passed")

    is_limit = False

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.passed = False

    def expire(self) -> None:
        self.passed = True
        self._mailbox.wake()
