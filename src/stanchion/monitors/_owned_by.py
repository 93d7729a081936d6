# SPDX-License-Identifier: MIT
"""What a process owns, but monitors and tasks: links, timers, entries and memberships, and the replies that it owes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stanchion._validate import cut
from stanchion.kernel import Deferred, Node, Pid, Possession, Process, TimerRef, Token
from stanchion.monitors._audit_records import Leak
from stanchion.server import Sender

Finding = tuple[Possession, Leak | None]
"""One thing, and the leak that it is, if it looks like one."""

_OURS: Final = "this is a fault of Stanchion's: please report it."


def leak_of(kind: str, owner: Process | Node, what: Possession, reason: str, fix: str) -> Leak:
    """Return the leak that a thing is, in words."""
    pid, who = (None, f"node {owner.name}") if isinstance(owner, Node) else (owner.pid, repr(owner))
    made = f", made at {what.made_at}" if what.made_at else ""
    return Leak(kind, pid, what, f"a {what.kind} of {who}, {what.text}{made}: {reason}", fix)


def owned_by(process: Process, owed_for: float | None) -> Iterator[Finding]:
    """Yield each thing that a process owns which has not ended.

    Args:
        process: The process.
        owed_for: Seconds after which a reply looks forgotten; None for never.
    """
    for peer in process.links or ():
        link = Possession("link", f"with {peer!r}")
        yield link, leak_of("target_gone", process, link, "that has ended", _OURS) if peer.finished else None
    for thing in process.owned or ():
        for possession in thing.held():
            yield possession, _timer_leak(process, thing, possession) if isinstance(thing, TimerRef) else None
    for token, deferred in (process.deferred or {}).items():
        age = process.node.clock.monotonic() - deferred.since
        reply = Possession("reply", _reply_text(token, deferred), age=age)
        yield reply, _reply_leak(process, reply, age, token, deferred, owed_for)


def timers_of(node: Node) -> Iterator[Finding]:
    """Yield the timers that belong to no process."""
    for timer in node.timers.unowned():
        for possession in timer.held():
            yield possession, _timer_leak(node, timer, possession)


def entries_of_the_ended(process: Process) -> Iterator[Leak]:
    """Yield what the tables that a process owns keep of processes that have ended."""
    for table in process.owned or ():
        for user in table.users():
            if user._process is None:
                entry = Possession("subscription", f"of {user!r}")
                yield leak_of("owner_gone", process, entry, "that has ended", _OURS)


def _timer_leak(owner: Process | Node, timer: TimerRef, possession: Possession) -> Leak | None:
    if not isinstance(timer.ref, Pid) or timer.ref._process is not None:
        return None
    fix = "cancel_timer() it when the process ends, of which monitor() tells; or send to a name."
    return leak_of("target_gone", owner, possession, "it is for a process that has ended", fix)


def _reply_text(token: Token, deferred: Deferred) -> str:
    request = f" for {cut(token.request)}" if isinstance(token, Sender) else ""
    return f"to {token!r}{request}" + ("" if deferred.handled else ", to be handled later")


def _reply_leak(
    process: Process, reply: Possession, age: float, token: Token, deferred: Deferred, owed_for: float | None
) -> Leak | None:
    if isinstance(token, Sender) and not token.waiting:
        return leak_of("target_gone", process, reply, "nobody waits for it", _OURS)
    if not deferred.handled or owed_for is None or age <= owed_for:
        return None
    fix = "reply() to each sender kept after NO_REPLY, also where the work fails; and call with a timeout."
    return leak_of("overdue", process, reply, f"it has been owed for {age:.3g} s", fix)
