# SPDX-License-Identifier: MIT
"""One test in a world of its own: a fresh loop, a fresh node, and a look at what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
from asyncio import _unregister_task  # what asyncio documents for those who extend it
from collections.abc import Callable, Coroutine
from functools import partial
from types import CoroutineType
from typing import Any, Final, TypeVar, cast

from stanchion import Node
from stanchion._validate import cut
from stanchion.kernel import Process
from stanchion.testing._exits import Exits
from stanchion.testing._seeded import SeededLoop
from stanchion.testing._virtual_time import VirtualClock, VirtualTimeLoop

_T = TypeVar("_T")

_SETTLING_TURNS: Final = 10_000
_CANCELLATIONS: Final = 3


class LeftoverError(AssertionError):
    """A test left something behind.

    Attributes:
        leftovers: What, and how to mend it; one text for each.
    """

    def __init__(self, leftovers: list[str]) -> None:
        super().__init__(
            "expected a test that leaves nothing behind, got\n" + "\n".join(f"- {text}" for text in leftovers)
        )
        self.leftovers = leftovers


def run_isolated(
    test: Callable[..., Coroutine[Any, Any, _T]],
    /,
    *args: object,
    seed: int = 0,
    node: Node | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    debug: bool = True,
) -> _T:
    """Run an async function in a fresh node on a fresh event loop, and check that it leaves nothing behind.

    This is what the pytest plugin does with each test that takes the fixture ``node``; call it for other test runners,
    and to try many seeds.

    When the function is done, the node is left, which stops its processes as a program's end would. Then there must be
    no task, no process that had to be killed, and no exception that nobody read.

    Args:
        test: The function.
        args: Its arguments.
        seed: Where the order of ready processes comes from, and the jitter of the node.
        node: A node that was not entered yet; by default one on virtual time that reports no blocked loop.
        loop_factory: What makes the loop; by default a ``SeededLoop``. On any other loop the seed orders nothing.
        debug: Whether the loop is in debug mode, which finds more, and makes all of it about five times as slow: a search
            through thousands of seeds may do without.

    Returns:
        What the function returned.

    Raises:
        LeftoverError: it left something behind. When it failed itself, its own error comes, with a note.
        AssertionError: everybody waits, and for nothing that could still come: no time, no input, no job.
        InvalidOptionError: an argument is wrong.

    Example:
        >>> import stanchion as st
        >>> class Silent(st.GenServer):
        ...     def handle_call(self, request, sender):
        ...         return st.NO_REPLY
        >>> async def ten_minutes():
        ...     try:
        ...         await st.call(await st.start(Silent), "anybody?", timeout=600)
        ...     except st.StanchionError as error:
        ...         return type(error).__name__
        >>> run_isolated(ten_minutes)
        'CallTimeoutError'
    """
    __tracebackhide__ = True
    loop = partial(SeededLoop, seed)() if loop_factory is None else loop_factory()
    if node is None:
        clock = VirtualClock() if isinstance(loop, VirtualTimeLoop) else None
        node = Node("test", clock=clock, block_threshold=None, seed=seed)
    exits, left = Exits(node), _Left()
    try:
        with asyncio.Runner(debug=debug, loop_factory=lambda: loop) as runner:
            result = runner.run(_run(node, test, args, exits, left))
    except BaseException as error:
        gc.collect()
        if left.texts:
            error.add_note(str(LeftoverError(left.texts)))
        raise
    gc.collect()  # an exception that nobody read is told when its task or future goes
    if left.texts:
        raise LeftoverError(left.texts)
    return result


async def _run(
    node: Node, test: Callable[..., Coroutine[Any, Any, _T]], args: tuple[object, ...], exits: Exits, left: _Left
) -> _T:
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(left.unread)
    processes: list[Process] = []
    if isinstance(loop, VirtualTimeLoop):
        loop.on_stuck = partial(left.stuck, cast("asyncio.Task[Any]", asyncio.current_task()))
    try:
        async with node:
            try:
                return await test(*args)
            finally:
                processes = list(node.processes.values())
    except asyncio.CancelledError:
        if left.waiting is None:
            raise
        raise AssertionError(left.waiting) from None
    finally:
        if isinstance(loop, VirtualTimeLoop):
            loop.on_stuck = None
        await _settle(loop)  # a task that only has to take its last steps is not left behind
        left.look(processes, exits)
        await _end_tasks(loop)


async def _settle(loop: asyncio.AbstractEventLoop) -> None:
    """Let everybody go on who can."""
    if isinstance(loop, VirtualTimeLoop):
        await loop.quiet(_SETTLING_TURNS)
    else:
        await asyncio.sleep(0)


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that are left; those that go on all the same are not to keep the loop from closing."""
    for _ in range(_CANCELLATIONS):
        for task in _other_tasks():
            task.cancel()
        await _settle(loop)
    for task in _other_tasks():
        _unregister_task(task)


def _other_tasks() -> list[asyncio.Task[Any]]:
    """Return every task but the running one, in an order that is always the same."""
    current = asyncio.current_task()
    return sorted((task for task in asyncio.all_tasks() if task is not current), key=lambda task: task.get_name())


class _Left:
    """What a test left behind."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._tasks: list[asyncio.Task[Any]] = []
        # Who waits for what will never come, once that is so.
        self.waiting: str | None = None

    def stuck(self, test: asyncio.Task[Any]) -> None:
        """End a test in which everybody waits, and for nothing that could still come; the loop calls this."""
        tasks = sorted(asyncio.all_tasks(asyncio.get_running_loop()), key=lambda task: task.get_name())
        self.waiting = (
            "expected a test that comes to an end, got one in which everybody waits for somebody else"
            + "".join(
                f"\n- {'the test' if task is test else f'task {task.get_name()!r}'} waits at {_where(task)}"
                for task in tasks
            )
        )
        test.cancel()

    def unread(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take note of an exception that nobody read; the loop calls this."""
        task, error = context.get("task"), context.get("exception")
        if task is None:
            where = context.get("future") or context.get("handle") or ""
            text = f"an exception that nobody read: {error!r} ({context['message']}) {where}"
            self.texts.append(f"{text}\n  Fix: await what raised it, or catch it there.")
        elif task not in self._tasks:  # else it was told already
            self.texts.append(
                f"a task that nobody keeps: {task!r} ({context['message']})\n  Fix: keep it, and await it."
            )

    def look(self, processes: list[Process], exits: Exits) -> None:
        """Look around when the node has been left.

        Args:
            processes: Who lived when the test was done.
            exits: Why they ended.
        """
        for runaway in exits.runaways:
            self.texts.append(
                f"a task that runs on: {runaway}\n  Fix: let CancelledError pass, and do not wait in a finally."
            )
        for process in processes:
            # Nobody but the node kills a process that no other started.
            if process.parent is None and exits.reasons.get(process.pid) == "killed":
                self.texts.append(
                    f"a process that had to be killed: {process!r} did not stop when the node told it to\n"
                    "  Fix: let its handlers and its terminate() come to an end, or raise Node(shutdown_timeout=)."
                )
            self.texts.extend(_held_by(process))
        self._tasks = _other_tasks()
        for task in self._tasks:
            if not any(task is process.task for process in processes):
                self.texts.append(
                    f"a task: {task.get_name()!r}, which waits at {_where(task)}\n"
                    "  Fix: await it; or cancel it, and await that. What it waits for may be a reply that nobody gives."
                )


def _held_by(process: Process) -> list[str]:
    """Say what an ended process still holds, which would be the runtime's own fault."""
    held = {
        "links": process.links,
        "monitors": process.held_monitors,
        "watchers": process.watchers,
        "replies": process.deferred,
        "timers or keys": process.owned,
    }
    return [f"{what} of {process!r}, which has ended: {cut(value)}" for what, value in held.items() if value]


def _where(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, from the outermost await to the innermost."""
    places: list[str] = []
    waiting: object = task.get_coro()
    while isinstance(waiting, CoroutineType) and waiting.cr_frame is not None:
        places.append(f"{waiting.cr_frame.f_code.co_filename}:{waiting.cr_frame.f_lineno}")
        waiting = waiting.cr_await
    return " > ".join(places) or "its start"
