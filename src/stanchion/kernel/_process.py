# SPDX-License-Identifier: MIT
"""The process: an asyncio task with a mailbox, links and monitors. Here is what it holds; _run.py runs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from stanchion.kernel._exit_reasons import ExitReason
from stanchion.kernel._limited_mailbox import LimitedMailbox, MailboxPolicy
from stanchion.kernel._mailbox import Envelope, Mailbox, Token
from stanchion.kernel._pid import Pid
from stanchion.timeouts import Limits

if TYPE_CHECKING:
    from stanchion.kernel._deferred import Deferred
    from stanchion.kernel._monitors import MonitorRef
    from stanchion.kernel._node import Node
    from stanchion.kernel._once import Handled
    from stanchion.kernel._owned import Owned


class Watcher(Protocol):
    """What hears of one process's exit."""

    def down(self, reason: ExitReason) -> None:
        """Take note of the exit; called once, in the step of the exit."""
        ...


class Reaper(Protocol):
    """Who waits for a process to end, and declares it dead if it does not."""

    def cancel(self) -> None:
        """Take note that the process ended."""
        ...


BURST: Final = 256
"""Messages handled in one go before other tasks get their turn; what asyncio lacks of Erlang's reductions."""


class Process:
    """One process. Users hold its pid; only the runtime holds this.

    A field whose owner is not named is changed by the process's own task alone.
    """

    __slots__ = (
        "code",
        "deferred",
        "exiting",
        "finished",
        "handled",
        "handling",
        "held_monitors",
        "limits",
        "links",
        "mailbox",
        "node",
        "owned",
        "parent",
        "pid",
        "reaper",
        "served",
        "since",
        "starting",
        "task",
        "trap_exit",
        "turns",
        "watchers",
    )

    def __init__(self, node: Node, *, code: object, parent: Pid | None, policy: MailboxPolicy | None) -> None:
        self.node = node
        # What it runs: the class of a server, the function of a plain process; text for one of the runtime's own.
        self.code = code
        # Who started it by a link. The closing node takes the place of one that is gone (_node.py).
        self.parent = parent
        self.mailbox: Mailbox = Mailbox(node.loop) if policy is None else LimitedMailbox(node, policy)
        self.pid = Pid(node.name, node.next_id(), self.mailbox)
        if isinstance(self.mailbox, LimitedMailbox):
            self.mailbox.owner = self.pid
        self.pid._process = self
        self.trap_exit = False
        # The envelope whose handler runs now, so that its waiting sender learns of an exit in the middle.
        self.handling: Envelope | None = None
        # When what runs now was begun, by the node's monotonic clock, where that is known: what cannot wait, a plain
        # `def`, leaves it as it is.
        self.since: float | None = None
        # Tokens of messages whose outcome was put off, in order (_deferred.py). Made at the first one; whoever ends the
        # wait takes it out.
        self.deferred: dict[Token, Deferred] | None = None
        # The ids of the messages that it handled and that may come again (_once.py). Made at the first one.
        self.handled: Handled | None = None
        # A dict, so that exit signals go out in the order of linking, in each run the same. Both directions are always
        # set in one step (_links.py). Made at the first link.
        self.links: dict[Process, None] | None = None
        # Who hears of this exit, in order, and the processes whose exit this one hears of (_monitors.py). Each made
        # at the first one.
        self.watchers: dict[Watcher, None] | None = None
        self.held_monitors: dict[MonitorRef, Process] | None = None
        # What the node's policy gives requests to it (_limits.py). Made at the first one; anybody may change it.
        self.limits: Limits | None = None
        # What goes with this process, in order (_owned.py). Made at the first thing.
        self.owned: dict[Owned, None] | None = None
        # Set once, by the exit signal that ends this process (_signals.py); from then on the mailbox is closed.
        self.exiting: ExitReason | None = None
        # The deadline of the exit, from the exit signal until the exit (_signals.py, _exit.py).
        self.reaper: Reaper | None = None
        # True while its starter waits for its init: the starter hears of an exit, and the parent gets no signal of it.
        # The starter changes it too, when it stops waiting.
        self.starting = False
        # True when a server's loop reads the mailbox, so that receive() must not.
        self.served = False
        # How many messages a plain process may receive before other tasks get their turn (_spawn.py).
        self.turns = BURST
        # True once everybody has been told of the exit (_exit.py).
        self.finished = False
        # Set in the step that makes the process (_run.py).
        self.task: asyncio.Task[None]

    @property
    def label(self) -> str:
        """What it is, for texts."""
        return text_of(self.code)

    def is_beneath(self, other: Process) -> bool:
        """Return whether this is a process, or was started by it, or by one that was, and so on."""
        one: Process | None = self
        while one is not None and one is not other:
            one = None if one.parent is None else one.parent._process
        return one is not None

    def __repr__(self) -> str:
        return f"{self.label} {self.pid!r}"


def label_of(code: object) -> str:
    """Return what a class or function is called in texts: its qualified name without the functions around it."""
    name = getattr(code, "__qualname__", None)
    return name.rpartition("<locals>.")[2] if isinstance(name, str) else type(code).__name__


def text_of(code: object) -> str:
    """Return what the code of a process is called in texts; text is what it is called itself."""
    return code if isinstance(code, str) else label_of(code)
