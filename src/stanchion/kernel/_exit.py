# SPDX-License-Identifier: MIT
"""The exit of a process: everybody who depends on it is told, in one step and in a fixed order."""

from __future__ import annotations

import logging
from typing import cast

from stanchion._validate import cut
from stanchion.kernel._bounded import Bounded
from stanchion.kernel._dropped import undeliverable
from stanchion.kernel._exit_reasons import ExitReason
from stanchion.kernel._links import disconnect
from stanchion.kernel._mailbox import CLOSED_MAILBOX, STOP, Notification
from stanchion.kernel._monitors import unwatch
from stanchion.kernel._owned import release_owned
from stanchion.kernel._process import Process
from stanchion.kernel._signals import signal
from stanchion.kernel._site import waits_at
from stanchion.telemetry import PROCESS_EXIT, PROCESS_RUNAWAY

_log = logging.getLogger("stanchion.process")


def finish(process: Process, reason: ExitReason) -> None:
    """Tell everybody that a process has ended; the second call for one process does nothing.

    The order is part of the contract. The mailbox closes first, so that nothing comes after. The name is free, and what
    the process owned is gone, before anyone hears of the exit, so that whoever restarts it can take both. Those who
    wait for an answer come before links and monitors, so that nobody acts on the exit while a caller still hangs.
    """
    if process.finished:
        return
    process.finished = True
    if process.reaper is not None:
        process.reaper.cancel()
        process.reaper = None
    node, pid = process.node, process.pid
    heard = _is_heard(process)
    process.mailbox.closed = True
    pid._mailbox = CLOSED_MAILBOX
    pid._process = None
    node.names.release(pid)
    release_owned(process)
    node.forget(process)
    left = _abandon_tokens(process, reason)
    _release_monitors(process)
    _signal_links(process, reason)
    _notify_watchers(process, reason)
    _report(process, reason, left, heard=heard)


def declare_dead(process: Process, grace: float) -> None:
    """Finish a process whose task did not end in time after an exit signal.

    Its task is cancelled once more, but nobody waits for it any longer.
    """
    reason = cast("ExitReason", process.exiting)  # what set it made the deadline too
    telemetry = process.node.telemetry
    _log.error(
        "%r was told to exit (%s) and its task did not end within %g s: it is declared dead. "
        "Its code swallows CancelledError or waits in a finally; fix it at: %s",
        process,
        cut(reason),
        grace,
        waits_at(process.task),
    )
    if telemetry.attached:
        telemetry.emit(PROCESS_RUNAWAY, {"grace": grace}, {**_identity(process), "reason": reason})
    process.task.cancel()
    process.node.runaways.add(process.task)
    process.task.add_done_callback(process.node.runaways.discard)
    finish(process, reason)


def _abandon_tokens(process: Process, reason: ExitReason) -> int:
    """Answer all who wait for this process, the longest first; return how many messages it never saw."""
    deferred, process.deferred = process.deferred, None
    for token, (handled, _) in (deferred or {}).items():
        token.abandoned(reason, handled=handled)
    if process.handling is not None and process.handling[2] is not None:
        crashed = process.exiting is None and isinstance(reason, BaseException)
        process.handling[2].abandoned(reason, handled=True, crashed=crashed)
    mailbox = process.mailbox
    # First, for each message that is taken out would let one of them in.
    in_line = mailbox.close_line()
    left = 0
    while mailbox.queue:
        kind, message, waiting = mailbox.queue.popleft()
        if waiting is not None:
            waiting.abandoned(reason, handled=False)
        elif kind == STOP or issubclass(type(message), Notification):
            continue  # settled with the process
        else:
            undeliverable(process.node, process.pid, message, "noproc")
        left += 1
    for token in in_line:
        token.abandoned(reason, handled=False)
    return left


def _release_monitors(process: Process) -> None:
    held, process.held_monitors = process.held_monitors, None
    if held is not None:
        del process.node.monitor_owners[process]
        for ref, target in held.items():
            unwatch(target, ref)


def _signal_links(process: Process, reason: ExitReason) -> None:
    links, process.links = process.links, None
    for peer in links or ():
        disconnect(process, peer)
        # A parent that still waits for the start hears of this exit from the start.
        if not (process.starting and peer.pid is process.parent):
            signal(peer, process.pid, reason, linked=True)


def _notify_watchers(process: Process, reason: ExitReason) -> None:
    watchers, process.watchers = process.watchers, None
    for watcher in watchers or ():
        watcher.down(reason)


def _is_heard(process: Process) -> bool:
    """Return whether anybody is about to hear of the exit: by a link or a monitor, or who waits for an answer."""
    token = None if process.handling is None else process.handling[2]
    in_hand = token is not None and type(token) is not Bounded
    return in_hand or bool(process.links or process.watchers or process.deferred)


def _report(process: Process, reason: ExitReason, left: int, *, heard: bool) -> None:
    telemetry = process.node.telemetry
    if telemetry.attached:
        telemetry.emit(PROCESS_EXIT, {"unhandled": left}, {**_identity(process), "reason": reason, "heard": heard})
    # An exception that came by an exit signal is somebody else's crash, and one in init is told by the start.
    if isinstance(reason, BaseException) and process.exiting is None and not process.starting:
        message = "" if process.handling is None else f" on {cut(process.handling[1])}"
        _log.error("%r crashed%s; %d messages were left in its mailbox", process, message, left, exc_info=reason)


def _identity(process: Process) -> dict[str, object]:
    return {"node": process.node.name, "pid": process.pid, "name": process.pid.name}
