# SPDX-License-Identifier: MIT
"""What a task comes to: the value that its function returned, or the exit before it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar, cast

from stanchion._validate import cut
from stanchion.kernel import ExitReason, Notification

if TYPE_CHECKING:
    from stanchion.supervisor._task import Task

T_co = TypeVar("T_co", covariant=True)


class TaskOk(Generic[T_co]):
    """A task's function returned.

    Two are equal when their values are.

    Attributes:
        value: What it returned.

    Source: ``{:ok, value}`` of Elixir's Task.
    """

    # No named tuple: in a `match`, type checkers lose the type of a generic one's field.
    __slots__ = ("value",)
    __match_args__ = ("value",)

    def __init__(self, value: T_co) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskOk):
            return NotImplemented
        return bool(self.value == cast("TaskOk[object]", other).value)

    def __hash__(self) -> int:
        return hash((TaskOk, self.value))

    def __repr__(self) -> str:
        return f"TaskOk({cut(self.value)})"


class TaskExit(NamedTuple):
    """A task exited before its function returned.

    Attributes:
        reason: The exit reason; ``"timeout"`` for a task of a stream that was killed because its time was up.
        item: In a stream, the item that the function was given; else None.

    Source: ``{:exit, reason}`` of Elixir's Task, and the option ``zip_input_on_exit`` of its streams.
    """

    reason: ExitReason | Literal["timeout"]
    item: object = None


@Notification.register
class TaskResult(NamedTuple):
    """The message of a task that was started with ``tell=True``: one for each, to ``handle_info``.

    Attributes:
        task: The task.
        outcome: ``TaskOk(value)`` or ``TaskExit(reason)``.

    Source: ``{ref, result}`` and the ``:DOWN`` after it, which Elixir's Task sends.
    """

    task: Task[object]
    outcome: TaskOk[object] | TaskExit
