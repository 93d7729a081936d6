# SPDX-License-Identifier: MIT
"""One test in a world of its own: a fresh loop, a fresh node, and a look at what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
from asyncio import _unregister_task  # what asyncio documents for those who extend it
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar, cast

from stanchion import Node
from stanchion.testing._exits import Exits
from stanchion.testing._left import Left, LeftoverError
from stanchion.testing._seeded import SeededLoop
from stanchion.testing._virtual_time import VirtualClock, VirtualTimeLoop

_T = TypeVar("_T")

_SETTLING_TURNS: Final = 10_000
_CANCELLATIONS: Final = 3


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

    When the function is done, the node is left, which stops its processes as a program's end would, and ends its timers.
    That must go without an error, and leave no task. There must be no exception that nobody read, no crash that nobody
    heard of, and no process that held several monitors of another one which it could not end any more.

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
        node = Node("test", clock=clock, block_threshold=None, leak_check=None, seed=seed)
    left = Left(Exits(node))
    try:
        with asyncio.Runner(debug=debug, loop_factory=lambda: loop) as runner:
            result = runner.run(_run(node, test, args, left))
    except BaseException as error:
        gc.collect()
        if left.texts:
            error.add_note(str(LeftoverError(left.texts)))
        raise
    gc.collect()  # an exception that nobody read is told when its task or future goes
    if left.texts:
        raise LeftoverError(left.texts)
    return result


async def _run(node: Node, test: Callable[..., Coroutine[Any, Any, _T]], args: tuple[object, ...], left: Left) -> _T:
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(left.unread)
    if isinstance(loop, VirtualTimeLoop):
        loop.on_stuck = partial(left.stuck, cast("asyncio.Task[Any]", asyncio.current_task()))
    try:
        async with node:
            try:
                result = await test(*args)
                left.look_inside(node)
                return result
            finally:
                left.begin_to_stop(node)
    except asyncio.CancelledError:
        if left.waiting is None:
            raise
        raise AssertionError(left.waiting) from None
    finally:
        if isinstance(loop, VirtualTimeLoop):
            loop.on_stuck = None
        await _settle(loop)  # a task that only has to take its last steps is not left behind
        left.look_around(other_tasks())
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
        for task in other_tasks():
            task.cancel()
        await _settle(loop)
    for task in other_tasks():
        _unregister_task(task)


def other_tasks() -> list[asyncio.Task[Any]]:
    """Return every task but the running one, in an order that is always the same."""
    current = asyncio.current_task()
    return sorted((task for task in asyncio.all_tasks() if task is not current), key=lambda task: task.get_name())
