# SPDX-License-Identifier: MIT
"""The waits of Stanchion's own, by the names that a policy's rules know them by."""

from __future__ import annotations

from typing import Final


class Operation:
    """A wait that is for no answer to a request of the user's.

    Attributes:
        operation: Its name; no two have the same.
        default: Seconds it lasts where no rule speaks of it; None for the policy's default.
    """

    __slots__ = ("default", "operation")

    def __init__(self, operation: str, default: float | None = None) -> None:
        self.operation: Final = operation
        self.default: Final = default

    def __repr__(self) -> str:
        return self.operation


# One with a default of its own is not to change with that of calls, or takes longer than one of them.
INIT: Final = Operation("stanchion.init")
# The children start in it.
INIT_SUPERVISOR: Final = Operation("stanchion.init_supervisor", 60.0)
STOPPING: Final = Operation("stanchion.stop")
# As in OTP; there, a supervisor has no limit, so that it may wait for its children.
SHUTDOWN: Final = Operation("stanchion.shutdown", 5.0)
SHUTDOWN_SUPERVISOR: Final = Operation("stanchion.shutdown_supervisor", 60.0)

# Longer than a child takes that is a supervisor, to start or to stop.
START_CHILD: Final = Operation("stanchion.start_child", 90.0)
RESTART_CHILD: Final = Operation("stanchion.restart_child", 90.0)
TERMINATE_CHILD: Final = Operation("stanchion.terminate_child", 90.0)
DELETE_CHILD: Final = Operation("stanchion.delete_child")
WHICH_CHILDREN: Final = Operation("stanchion.which_children")
COUNT_CHILDREN: Final = Operation("stanchion.count_children")
GET_CHILDSPEC: Final = Operation("stanchion.get_childspec")

START_TASK: Final = Operation("stanchion.start_task")
AWAIT: Final = Operation("stanchion.await")
STREAM: Final = Operation("stanchion.stream")

# Longer than its tree takes to stop, and its callbacks.
STOP_APPLICATION: Final = Operation("stanchion.stop_application", 90.0)
APPLICATION_CALLBACK: Final = Operation("stanchion.application_callback", 5.0)

GET_STATE: Final = Operation("stanchion.get_state")
REPLACE_STATE: Final = Operation("stanchion.replace_state")
GET_STATUS: Final = Operation("stanchion.get_status")
SUSPEND: Final = Operation("stanchion.suspend")
RESUME: Final = Operation("stanchion.resume")

# Longer than it takes until the messages of a node that died are taken over, and delivered.
WAIT_EMPTY: Final = Operation("stanchion.wait_empty", 300.0)


class _Send(Operation):
    """Has a class of its own, by which a policy keeps what it finds for it: it is asked at each send."""

    __slots__ = ()


# All attempts of a supervised send, and the waits before and between them.
SEND: Final = _Send("stanchion.send", 30.0)
DRAIN: Final = Operation("stanchion.drain")
# Room in the buffers of those subscribers that have publishers wait.
PUBLISH: Final = Operation("stanchion.publish")
SIGNAL_CALLBACK: Final = Operation("stanchion.signal_callback", 30.0)
# A function that a schedule runs.
SCHEDULED_TASK: Final = Operation("stanchion.scheduled_task", 300.0)
