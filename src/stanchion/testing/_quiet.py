# SPDX-License-Identifier: MIT
"""Waiting until all is done that can be done, and letting time pass."""

from __future__ import annotations

import asyncio
from typing import Final

from stanchion._validate import Seconds, cut, seconds, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Node, current_node
from stanchion.testing._virtual_time import VirtualTimeLoop

_TURNS: Final = 10_000


async def wait_quiet(*, turns: int = _TURNS) -> None:
    """Wait until nobody can go on unless time passes or something comes from outside; the clock stands meanwhile.

    Then every message that was sent has been handled, and so has all that followed from it: a crash, the restart, the
    messages of the restarted process. What waits for a timer, for a reply that nobody gives or for input waits on.
    Jobs in the loop's executor are waited for.

    Args:
        turns: How many turns of the loop to wait at most, so that a process that keeps itself busy for ever is found. In
            one turn each ready process handles up to 256 messages.

    Raises:
        AssertionError: somebody is still busy after so many turns; the text says who.
        InvalidOptionError: ``turns`` is no whole number from 1; or the running loop is no ``VirtualTimeLoop``, where nobody knows what is still to come.

    Cancellation: harmless.
    """
    __tracebackhide__ = True
    whole_number("wait_quiet(turns)", turns, at_least=1)
    if not await virtual_loop("wait_quiet()").quiet(turns):
        raise AssertionError(
            f"wait_quiet(): expected everybody to wait, got somebody who is busy for {turns:,} turns of the loop"
            + _busy(current_node("wait_quiet()"))
            + "\nFix: let it wait for something; or pass more turns=, if its work comes to an end."
        )


async def advance(duration: Seconds) -> None:
    """Let time pass, until all is done that it led to.

    The clock goes from timer to timer, as it does whenever everybody waits, and each finds what those before it did.

    Args:
        duration: Seconds, 0 or more.

    Raises:
        AssertionError: somebody is still busy; see ``wait_quiet``.
        InvalidOptionError: ``duration`` is no duration; or the running loop is no ``VirtualTimeLoop``, where the time
            would really pass.

    Cancellation: the time that has passed has passed.
    """
    __tracebackhide__ = True
    limit = seconds("advance(duration)", duration)
    virtual_loop("advance()")
    await asyncio.sleep(limit)
    await wait_quiet()


def virtual_loop(operation: str) -> VirtualTimeLoop:
    """Return the running loop when its time is virtual.

    Raises:
        InvalidOptionError: it is not.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        return loop
    raise InvalidOptionError(
        operation,
        expected="to run on a VirtualTimeLoop",
        got=cut(loop),
        fix="let the test take the fixture `node`, or run it by run_isolated().",
    )


def _busy(node: Node) -> str:
    """Name the processes that have something to do."""
    lines = [
        f"\n  {process!r}: {len(process.mailbox.queue)} messages wait in its mailbox"
        + ("" if process.handling is None else f", in hand is {cut(process.handling[1])}")
        for process in node.processes.values()
        if process.mailbox.queue or not process.mailbox.waited_on
    ]
    return ":" + "".join(lines) if lines else "; it is no process of the node."
