# SPDX-License-Identifier: MIT
"""The pid: how everybody else holds a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stanchion.kernel._mailbox import Mailbox
    from stanchion.kernel._process import Process


class Pid:
    """The identity of one process, valid for ever: a pid of a process that ended never means another one.

    Two pids are equal when they are the same object, and a copy is the same object. A pid keeps neither its process
    nor its mailbox alive once the process has ended.

    Attributes:
        node: The name of its node.
        id: Its number, unique in the node's life.
        name: The name under which it is registered; after its end, the last one; None when it never had one.
    """

    # _mailbox and _process are for the runtime: the stations above read them, by the allowance in tests/architecture.
    __slots__ = ("__weakref__", "_mailbox", "_process", "id", "name", "node")

    def __init__(self, node: str, id: int, mailbox: Mailbox) -> None:
        self.node = node
        self.id = id
        self.name: str | None = None
        # Replaced by the closed mailbox when the process ends.
        self._mailbox = mailbox
        # None once the process has ended.
        self._process: Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the process accepts messages at this moment; False from the moment it begins to exit."""
        return not self._mailbox.closed

    def __copy__(self) -> Pid:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Pid:
        return self

    def __repr__(self) -> str:
        return f"<{self.node}.{self.id} {self.name}>" if self.name else f"<{self.node}.{self.id}>"
