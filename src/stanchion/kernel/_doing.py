# SPDX-License-Identifier: MIT
"""What a process is doing, and who waits for it: for the errors of those whose time is up."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion._validate import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stanchion.kernel._mailbox import Token
    from stanchion.kernel._pid import Pid
    from stanchion.kernel._process import Process

# How many messages are looked at in the search for a circle: it is made for each caller of a crowd whose time is up, and
# takes a microsecond for each message.
_LOOKED_AT: Final = 64


class Doing(NamedTuple):
    """What a process was doing at one moment.

    Attributes:
        process: The process, as text.
        state: What it does beside handling messages: ``"init"``, ``"terminate"``, ``"exit"`` when it was told to and has
            not ended, or ``"suspended"``; None for nothing else.
        busy: Whether it has a message in hand.
        message: That message.
        seconds: For how long it has been doing that, where that is known.
        mailbox: How many messages wait in its mailbox.
    """

    process: str
    state: str | None
    busy: bool
    message: object
    seconds: float | None
    mailbox: int

    @property
    def text(self) -> str:
        """It in words."""
        lasting = "" if self.seconds is None else f" for {self.seconds:.3g} s"
        if self.state == "suspended":
            what = "is suspended"
        elif self.state == "exit":
            what = "was told to exit, and has not ended"
        elif self.state is not None:
            what = f"has been in its {self.state}(){lasting}"
        elif self.busy:
            what = f"has had {cut(self.message)} in hand{lasting}"
        else:
            what = "has no message in hand"
        waiting = {0: "no message waits", 1: "1 message waits"}.get(self.mailbox, f"{self.mailbox} messages wait")
        return f"{self.process} {what}; {waiting} in its mailbox"


def doing(process: Process) -> Doing:
    """Return what a process is doing now."""
    handling, mailbox, state = process.handling, process.mailbox, None
    if process.exiting is not None:
        state = "exit"
    elif process.starting:
        state = "init"
    elif mailbox.closed:
        state = "terminate"
    elif mailbox.queue and mailbox.waited_on:  # whoever puts a message wakes the reader, but this one slept on
        state = "suspended"
    seconds = None if process.since is None else process.node.clock.monotonic() - process.since
    busy = handling is not None
    return Doing(repr(process), state, busy, handling[1] if handling else None, seconds, len(mailbox.queue))


def waits_for(process: Process, other: Process) -> tuple[Pid, ...] | None:
    """Return the way by which a process waits for another one's reply; None when it does not.

    Args:
        process: Who may wait.
        other: For whom.

    Returns:
        The processes between the two, each of which waits for the next; usually there are none.
    """
    # From the one that is waited for back to those who wait; each with the way to it.
    ways: deque[tuple[Process, tuple[Pid, ...]]] = deque([(other, ())])
    seen, looked_at = {other}, 0
    while ways and looked_at < _LOOKED_AT:
        one, way = ways.popleft()
        for token in _tokens(one):
            looked_at += 1
            pid = getattr(token, "pid", None) if getattr(token, "waiting", False) else None
            caller = None if pid is None else pid._process
            if caller is process:
                return way
            if caller is not None and caller not in seen:
                seen.add(caller)
                ways.append((caller, (caller.pid, *way)))
    return None


def _tokens(process: Process) -> Iterator[Token]:
    """Yield the tokens of what a process has in hand, owes, and has in its mailbox."""
    if process.handling is not None and process.handling[2] is not None:
        yield process.handling[2]
    yield from islice(process.deferred or (), _LOOKED_AT)
    for _, _, token in islice(process.mailbox.queue, _LOOKED_AT):
        if token is not None:
            yield token
