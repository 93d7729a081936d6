# SPDX-License-Identifier: MIT
"""run: an application as a whole program, from start to signal."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, Literal, get_args

from stanchion._validate import cut, instance, one_of
from stanchion.application._application import Application
from stanchion.application._config import ConfigSource, configs_of, read_tables
from stanchion.application._controller import controller_of
from stanchion.errors import ApplicationExitError, InvalidOptionError
from stanchion.kernel import Node, terminate, wait_exit
from stanchion.timeouts import TimeoutPolicy

_log = logging.getLogger("stanchion.run")

Loop = Literal["auto", "asyncio", "uvloop"]
"""Which event loop to run on; ``"auto"`` is uvloop where it is installed."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Seconds that tasks which belong to no process have to end by, once they are cancelled. A task that swallows its
# cancellation must not keep the program alive.
_TASK_GRACE: Final = 2.0


def run(
    app: Application,
    *,
    config: ConfigSource | None = None,
    node: Node | None = None,
    timeouts: TimeoutPolicy | str | os.PathLike[str] | None = None,
    loop: Loop = "auto",
) -> None:
    """Run an application, and those that it depends on, as the program, until a signal comes or one of them ends.

    They are started as ``app.start(config=..., type="permanent")`` does.

    The first SIGINT or SIGTERM stops them in order, the second kills at once what is left of it, and from the
    third on signals mean what they meant before. Signals are heard only in the main thread. ``sys.exit()`` in a
    process, or anywhere else on the loop, stops the tree as the first signal does; the server that called it is not
    restarted. Inside a running event loop, use ``async with Node()`` and ``app.start()`` instead.

    Args:
        app: The application.
        config: A TOML file, or a mapping, with a table for each of the applications; see ``Application.start``.
        node: The node to run on, not entered yet: one with services, say. None for a plain one with the
            application's name. Its ``shutdown_timeout`` bounds the orderly stop.
        timeouts: The policy of the node's timeouts, or the file that it is loaded from. None loads it as
            ``TimeoutPolicy.load()`` does: from the ``pyproject.toml`` of the current folder, say, and the environment. A
            ``node`` that is passed has one already.
        loop: ``"asyncio"``, ``"uvloop"``, or ``"auto"``: uvloop where it is installed.

    Returns:
        After a signal, after ``app.stop()``, or when the top supervisor of ``app`` was stopped with reason
        ``"normal"``.

    Raises:
        ApplicationConfigError: the configuration is wrong. Nothing was started.
        TimeoutsConfigError: the configuration of the timeouts is. Nothing was started.
        ChildStartError: a child did not start; those before it have been stopped.
        StartError, ChildSpecError, NameTakenError: as ``Application.start`` says; the same holds.
        ApplicationExitError: an application ended without having been told to: its top supervisor gave up, say.
        InvalidOptionError: an argument is wrong, uvloop is not installed, or an event loop runs already.
        NodeStateError: the node was entered before.
        SystemExit: ``sys.exit()`` was called; the tree has been stopped in order. Of several, the first one is raised.
    """
    instance("run(app)", app, Application)
    new_loop = _loop_factory(loop)
    node = _node_for(app, node, timeouts)
    configs = configs_of((*app.all_dependencies, app), read_tables(config), os.environ)
    event_loop = new_loop()
    event_loop.set_exception_handler(_report)
    orders = _Orders(event_loop, node)
    main = event_loop.create_task(_main(app, configs, node, orders))
    try:
        with _signals(orders):
            try:
                event_loop.run_until_complete(main)
            except SystemExit:
                orders.exit_called()
                _run_until_done(event_loop, asyncio.gather(main, return_exceptions=True))
                raise
    finally:
        _close(event_loop)


def _node_for(app: Application, node: Node | None, timeouts: TimeoutPolicy | str | os.PathLike[str] | None) -> Node:
    if node is None:
        if not isinstance(timeouts, TimeoutPolicy):
            if not isinstance(timeouts, str | os.PathLike | None):
                raise InvalidOptionError(
                    "run(timeouts)", expected="a TimeoutPolicy, the path of a TOML file, or None", got=cut(timeouts)
                )
            timeouts = TimeoutPolicy.load(timeouts)
        return Node(app.name, timeouts=timeouts)
    if timeouts is not None:
        raise InvalidOptionError(
            "run(timeouts)",
            expected="None beside node=, which has its timeouts",
            got=cut(timeouts),
            fix="pass it to the node: Node(timeouts=TimeoutPolicy.load(...)).",
        )
    return instance("run(node)", node, Node)


class _Orders:
    """What the signals so far, and a ``sys.exit()``, add up to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, node: Node) -> None:
        self._loop = loop
        self._node = node
        self._count = 0
        self.told_to_stop: Final = asyncio.Event()

    def signalled(self, signum: int) -> bool:
        """Take one signal, in the middle of whatever the main thread does; return whether it was the last one."""
        self._count += 1
        self._loop.call_soon_threadsafe(self._stop if self._count == 1 else self._kill, signal.Signals(signum).name)
        return self._count > 1

    def exit_called(self) -> None:
        """Take note of a SystemExit that stopped the loop."""
        self._stop("SystemExit")

    def _stop(self, name: str) -> None:
        _log.info("%s: node %s stops in order; a second signal kills what is left", name, self._node.name)
        self.told_to_stop.set()

    def _kill(self, name: str) -> None:
        left = list(self._node.processes.values())
        _log.warning("%s again: %d processes of node %s are killed", name, len(left), self._node.name)
        for process in left:
            terminate(process, "killed")


@contextmanager
def _signals(orders: _Orders) -> Generator[None, None, None]:
    """Hear signals inside the block; after the second one, and behind the block, they are what they were before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    # A handler of Python's and not of the loop's, for it runs even while a handler of a process blocks the loop.
    def handle(signum: int, _: FrameType | None) -> None:
        if orders.signalled(signum):
            restore()

    def restore() -> None:
        for signum, handler in before.items():
            signal.signal(signum, handler or signal.SIG_DFL)

    before = {signum: signal.signal(signum, handle) for signum in _SIGNALS}
    try:
        yield
    finally:
        restore()


async def _main(app: Application, configs: Mapping[str, object], node: Node, orders: _Orders) -> None:
    async with node:
        life = asyncio.create_task(_live(app, configs, node), name=f"run {app.name}")
        told_to_stop = asyncio.create_task(orders.told_to_stop.wait())
        await asyncio.wait([life, told_to_stop], return_when=asyncio.FIRST_COMPLETED)
        told_to_stop.cancel()
        ended_by_itself = not orders.told_to_stop.is_set()
        # Leaving the block stops everything in order, even what has not started to its end.
    # Whether it had started, and how it ended, is all one when it was told to.
    [outcome] = await asyncio.gather(life, return_exceptions=True)
    if ended_by_itself:
        ended = controller_of(node).ended
        if ended is not None and (ended.name, ended.reason) != (app.name, "normal"):
            raise ApplicationExitError(ended.name, reason=ended.reason)
        if isinstance(outcome, BaseException):
            raise outcome


async def _live(app: Application, configs: Mapping[str, object], node: Node) -> None:
    master = await controller_of(node).start(app, "permanent", configs)
    await wait_exit(master.process.pid, timeout=None)


def _loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop]:
    one_of("run(loop)", loop, get_args(Loop))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise InvalidOptionError(
            "run()",
            expected="a thread without a running event loop",
            got="one with a running loop",
            fix="in async code, write `async with Node(): await app.start()`.",
        )
    if loop == "asyncio":
        return asyncio.new_event_loop
    if importlib.util.find_spec("uvloop") is None:
        if loop == "auto":
            return asyncio.new_event_loop
        raise InvalidOptionError(
            "run(loop)",
            expected="uvloop to be installed",
            got="'uvloop' without it",
            fix="pip install 'stanchion[uvloop]'.",
        )
    import uvloop

    return uvloop.new_event_loop


def _run_until_done(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
    """Run the loop until the future is done, whatever stops the loop before."""
    ended = False

    def end(_: object) -> None:
        nonlocal ended
        ended = True
        loop.stop()

    # Not run_until_complete(): of the one that a SystemExit cut short, a callback may be left that stops the loop.
    future.add_done_callback(end)
    while not ended:
        with suppress(SystemExit):
            loop.run_forever()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what the loop complains of: not a task's SystemExit that nobody read, for ``run`` raises it."""
    if not isinstance(context.get("exception"), SystemExit):
        loop.default_exception_handler(context)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left on the loop, and close it."""
    try:
        loop.run_until_complete(_end_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_TASK_GRACE)
    for task in left:
        _log.error("%r did not end within %g s of its cancellation and is left behind", task, _TASK_GRACE)
