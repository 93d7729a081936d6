# SPDX-License-Identifier: MIT
"""Whose an asyncio task is: of the process, or of the node, in whose context it was made."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable, Iterator
from contextvars import Context
from typing import Any, Final

from stanchion.kernel import NODE, PROCESS, Node, Possession, Process, label_of, task_place, waits_at
from stanchion.monitors._audit_records import Leak
from stanchion.monitors._owned_by import Finding, leak_of


def tasks_of(node: Node) -> Iterator[tuple[Process | None, Finding]]:
    """Yield the tasks of a node that have not ended and are no process's own, by name; not the one that asks.

    With each comes the process that it belongs to, which may have ended, or None for the node.
    """
    skipped = {process.task for process in node.processes.values()}
    current = asyncio.current_task(node.loop)
    if current is not None:
        skipped.add(current)
    left = sorted(_references(asyncio.all_tasks(node.loop) - skipped), key=lambda found: found[0].get_name())
    for task, references in left:
        context = _context_of(task)
        owner: Process | None = context.get(PROCESS)
        if (context.get(NODE) if owner is None else owner.node) is node:
            text = f"{task.get_name()!r} ({label_of(task.get_coro())}), which waits at {waits_at(task)}"
            what = Possession("task", text, task_place(task))
            # What it waits for, or the loop that is about to run it, has one reference.
            yield owner, (what, _leak(node, owner, what, task, kept=references > _ALONE + 1))


def _leak(node: Node, owner: Process | None, what: Possession, task: asyncio.Task[Any], *, kept: bool) -> Leak | None:
    if task.cancelling() and task not in node.runaways:
        return None  # it has been told to end, and may not have had its turn yet
    if owner is not None and owner.finished:
        fix = (
            "cancel it in terminate(), after trap_exit() in init(); or give the work to a process that ends with this one: "
            "TaskSupervisor.async_(), or spawn_link()."
        )
        return leak_of("owner_gone", owner, what, "its process has ended", fix)
    if node.state == "stopped":
        return leak_of(
            "owner_gone", node, what, "its node has stopped", "end it, or await it, in the block of the node."
        )
    if not kept:
        fix = "keep what create_task() returns, and await it: what nobody keeps, Python may drop before it is done."
        return leak_of("dropped", node if owner is None else owner, what, "nobody keeps it", fix)
    return None


def _context_of(task: asyncio.Task[Any]) -> Context:
    """Return the context that a task runs in, for which Python 3.11 has no method."""
    # The first one: it has others, where somebody waits for its end.
    return next((thing for thing in gc.get_referents(task) if isinstance(thing, Context)), Context())


def _references(things: Iterable[Any]) -> list[tuple[Any, int]]:
    return [(thing, sys.getrefcount(thing)) for thing in things]


_ALONE: Final = _references({object()})[0][1]
"""What getrefcount() returns for what is in a set and nowhere else, which differs between versions of Python."""
