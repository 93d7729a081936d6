# SPDX-License-Identifier: MIT
"""Several requests that wait for their replies together, under one deadline: multi_call, and sys for one."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence
from typing import NamedTuple

from stanchion.kernel import DEADLINE, PROCESS, Envelope, Kind, Process
from stanchion.server._call import Sender


class Asked(NamedTuple):
    """A request that a server's mailbox is offered.

    Attributes:
        process: The server.
        envelope: The request.
        sender: The reply token.
        future: What the reply resolves.
    """

    process: Process
    envelope: Envelope
    sender: Sender
    future: Future[object]


def asked(process: Process, kind: Kind, request: object) -> Asked:
    """Return a request to a server, yet to be put into its mailbox."""
    caller = PROCESS.get()
    future: Future[object] = process.node.loop.create_future()
    sender = Sender(None if caller is None else caller.pid, future, process, request, DEADLINE.get())
    return Asked(process, (kind, request, sender), sender, future)


async def outcomes(waiting: Sequence[Asked], limit: float | None) -> list[object]:
    """Wait until each request has its outcome, a reply or a Failure, and return them in order.

    Cancellation: every reply token is dead.
    """
    # Each on its own node, for a node that stops forgets its deadlines.
    buckets = [None if limit is None else one.process.node.wheel.add(limit, one.sender) for one in waiting]
    try:
        return [await one.future for one in waiting]
    except asyncio.CancelledError:
        for one in waiting:
            one.sender.gave_up()
            one.process.mailbox.leave_line(one.envelope)
        raise
    finally:
        for bucket, (_, _, sender, future) in zip(buckets, waiting, strict=True):
            if bucket is not None:
                bucket.pop(sender, None)
            future.cancel()  # harmless for one that has its outcome
            sender.forget()
