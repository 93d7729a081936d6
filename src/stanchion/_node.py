# SPDX-License-Identifier: MIT
"""The node that users make: a kernel node together with the services that they asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stanchion import kernel
from stanchion._validate import Seconds, cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Clock, Service

if TYPE_CHECKING:
    from stanchion.dead_letters import DeadLetterQueue


class Node(kernel.Node):
    """Everything that lives together: processes, names, clock, telemetry, and the dead-letter queue.

    Enter it with ``async with``: the processes that are started inside belong to it, and leaving it stops them all,
    the latest first, then closes the queue. Code in the block, and in tasks started there, addresses the node's
    processes by name. Two nodes in one interpreter do not see each other.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def main():
        ...     async with st.Node("shop", dead_letters="memory:") as node:
        ...         return await st.send_supervised("nobody", "hello", retries=0, on_error="dead_letter")
        >>> asyncio.run(main()).reason
        <Reason.NOPROC: 'noproc'>
    """

    def __init__(
        self,
        name: str = "node",
        *,
        dead_letters: DeadLetterQueue | str | None = None,
        redeliver: bool = True,
        clock: Clock | None = None,
        call_timeout: Seconds = 5.0,
        shutdown_timeout: Seconds | None = 30.0,
        exit_grace: Seconds = 5.0,
        block_threshold: Seconds | None = 0.25,
        seed: int | None = None,
        services: Sequence[Service] = (),
    ) -> None:
        """Make a node; nothing runs before ``async with``.

        Args:
            name: A word without spaces or dots.
            dead_letters: A queue, or the URL of its store (``"sqlite:///letters.db"``, ``"memory:"``); None for none.
                The node opens it first and closes it last.
            redeliver: Whether the node sends waiting letters again when they are due.
            clock: Where to read the time; None for the machine's clock.
            call_timeout: Seconds a call or a supervised send waits where the caller gives no timeout.
            shutdown_timeout: Seconds that each process started outside of processes has to stop when the node is
                left; then it is killed with all beneath it. None waits as long as it takes; 0 kills at once.
            exit_grace: Seconds that a process's task has to end after an exit signal; then the process is declared
                dead, and reported.
            block_threshold: Seconds that a handler may block the event loop before it is reported; None reports none.
            seed: The seed of the jitter, to have the same delays again; None for another one each time.
            services: What else opens with the node, in this order, and closes in reverse.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        super().__init__(
            name,
            clock=clock,
            call_timeout=call_timeout,
            shutdown_timeout=shutdown_timeout,
            exit_grace=exit_grace,
            block_threshold=block_threshold,
            seed=seed,
            services=[*_letter_services(dead_letters, redeliver), *services],
        )

    @property
    def dead_letters(self) -> DeadLetterQueue:
        """The dead-letter queue.

        Raises:
            InvalidOptionError: the node has none.
        """
        from stanchion.dead_letters import DeadLetterQueue

        queue = self.service(DeadLetterQueue)
        if queue is None:
            raise InvalidOptionError(
                "Node.dead_letters",
                expected="a node with a dead-letter queue",
                got=repr(self),
                fix="make it with Node(dead_letters='sqlite:///letters.db').",
            )
        return queue


def _letter_services(dead_letters: DeadLetterQueue | str | None, redeliver: bool) -> list[Service]:
    if dead_letters is None:
        return []
    from stanchion.dead_letters import DeadLetterQueue
    from stanchion.delivery import Redelivery

    queue = DeadLetterQueue(dead_letters) if isinstance(dead_letters, str) else dead_letters
    if not isinstance(queue, DeadLetterQueue):
        raise InvalidOptionError(
            "Node(dead_letters)", expected="a DeadLetterQueue, the URL of a store, or None", got=cut(dead_letters)
        )
    return [queue, Redelivery(queue)] if redeliver else [queue]
