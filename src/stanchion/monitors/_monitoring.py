# SPDX-License-Identifier: MIT
"""A monitor for as long as a block of code runs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Final

from stanchion.kernel import PROCESS, Keeper, MonitorRef, Pid, Ref, Site, caller, demonitor, monitor


class _Block(Keeper):
    """A block keeps its monitor, whatever becomes of the ref."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "a block"


BLOCK: Final = _Block()


class Monitoring:
    """A block in which the running process monitors a target; see ``monitoring``, which makes it."""

    __slots__ = ("_ref", "_site", "_tag", "_target")

    def __init__(self, target: Ref, tag: str | None, site: Site) -> None:
        self._target = target
        self._tag = tag
        self._site = site
        # Set on entering.
        self._ref: MonitorRef

    async def __aenter__(self) -> MonitorRef:
        """Monitor the target.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: the target is no ref.
        """
        ref = self._ref = monitor(self._target, tag=self._tag)
        ref.until = BLOCK
        ref.made_at(self._site)
        return ref

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the monitor, whatever ended the block; its ``Down`` never arrives after that."""
        run_as(self._ref.owner, demonitor, self._ref)


def run_as(owner: Pid, function: Callable[..., None], *args: object) -> None:
    """Run what only the owner may do when a block is left, wherever that is; not at all when the owner has ended.

    Python may close an async generator, with the block that it waits in, in whatever process collects the garbage. And an
    owner may be declared dead in the block; all that it had went with it.
    """
    process = owner._process
    if process is not None:
        context = Context()
        context.run(PROCESS.set, process)
        context.run(function, *args)


def monitoring(target: Ref, *, tag: str | None = None) -> Monitoring:
    """Return a block in which the running process monitors another one.

    Write ``async with monitoring(target) as ref:``. The monitor is ended when the block is left, by an error or a
    cancellation, too. After that its ``Down`` never arrives, even if it was already in the mailbox. Use ``monitor`` where it
    is a message later on that ends the need for it, and ``monitor_group`` for many targets.

    Args:
        target: A pid or a registered name.
        tag: A word of the caller's, given back in the ``Down``.

    Raises:
        NotInProcessError: on entering, outside of all processes.
        InvalidOptionError: on entering, when ``target`` is no ref.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def worker():
        ...     await st.receive(timeout=None)
        >>> async def watch(done):
        ...     pid = st.spawn(worker)
        ...     async with st.monitoring(pid, tag="worker"):
        ...         st.send(pid, "go")
        ...         down = await st.receive(timeout=5)
        ...     done.set_result((down.reason, down.tag))
        >>> async def main():
        ...     async with st.Node():
        ...         done = asyncio.get_running_loop().create_future()
        ...         st.spawn(watch, done)
        ...         return await done
        >>> asyncio.run(main())
        ('normal', 'worker')

    Source: ``erlang:monitor/2`` and ``erlang:demonitor/2`` with ``flush``, in a ``try ... after``.
    """
    return Monitoring(target, tag, caller())
