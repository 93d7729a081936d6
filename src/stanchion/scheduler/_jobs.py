# SPDX-License-Identifier: MIT
"""What a schedule does when it is due: it sends a message, or has a TaskSupervisor run a function."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Final, Literal, TypeVarTuple, get_args

from stanchion._validate import Seconds, cut, instance, is_async, one_of, whole_number
from stanchion.breakers import CircuitBreaker, checked_breaker
from stanchion.delivery import DEFAULT_BACKOFF, Ack, Backoff
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Ref, checked_ref, label_of
from stanchion.timeouts import POLICY, Policy, checked_timeout

Ts = TypeVarTuple("Ts")

OnFailure = Literal["log", "dead_letter", "ignore"]

_ACKS: Final = (Ack.ENQUEUED.value, Ack.PROCESSED.value)


class SendMessage:
    """A job: a supervised send of one message; see ``send_supervised``, whose options these are.

    The receiver finds the schedule's id and the due time, in Unix seconds, in ``message_info().metadata`` as
    ``"schedule"`` and ``"due"``; a dead letter keeps them.

    Args:
        ref: To whom: a pid, a registered name or a via address. What is no pid is looked up at each attempt.
        message: What ``handle_cast`` gets: the object itself, the same at each run.
        ack: ``"processed"`` or ``"enqueued"``; None for ``"processed"``.
        timeout: Seconds that one attempt waits for its ack; None for no limit. By default what the node's
            ``TimeoutPolicy`` says of such a message to this recipient.
        retries: How many attempts may follow the first one.
        backoff: How long to wait between attempts.
        deadline: Seconds for all attempts together; None for no limit. By default what the policy says of
            ``stanchion.send``.
        on_error: What to do with a message that was not confirmed: store it as a ``"dead_letter"``, ``"log"`` a
            warning, or ``"ignore"``. None for the first one on a node with a dead-letter queue, for the second on one
            without.
        breaker: As in ``send_supervised``.

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    __slots__ = ("ack", "backoff", "breaker", "deadline", "message", "on_error", "ref", "retries", "timeout")

    def __init__(
        self,
        ref: Ref,
        message: object,
        *,
        ack: Ack | str | None = None,
        timeout: Seconds | Policy | None = POLICY,
        retries: int = 3,
        backoff: Backoff = DEFAULT_BACKOFF,
        deadline: Seconds | Policy | None = POLICY,
        on_error: OnFailure | None = None,
        breaker: CircuitBreaker | str | None = None,
    ) -> None:
        self.ref: Final = checked_ref(ref, "SendMessage(ref)")
        self.message: Final = message
        self.ack: Final = Ack.PROCESSED if ack is None else Ack(one_of("SendMessage(ack)", ack, _ACKS))
        self.timeout: Final = checked_timeout("SendMessage(timeout)", timeout)
        self.retries: Final = whole_number("SendMessage(retries)", retries)
        self.backoff: Final = instance("SendMessage(backoff)", backoff, Backoff)
        self.deadline: Final = checked_timeout("SendMessage(deadline)", deadline)
        if on_error is not None:
            one_of("SendMessage(on_error)", on_error, get_args(OnFailure))
        self.on_error: Final[OnFailure | None] = on_error
        self.breaker: Final = checked_breaker("SendMessage(breaker)", breaker)

    def __repr__(self) -> str:
        return f"SendMessage({self.ref!r}, {cut(self.message, 60)})"


class StartTask:
    """A job: a function that runs as a task of a TaskSupervisor; see ``TaskSupervisor.async_nolink``.

    A function that raises fails that run, which is logged; the schedule goes on.

    Args:
        supervisor: The pid or name of a TaskSupervisor.
        function: An async function.
        args: Its arguments, the same at each run.
        timeout: Seconds that it may take; then it is stopped, and the run has failed. None for no limit. By default
            what the node's ``TimeoutPolicy`` says of ``stanchion.scheduled_task`` (300).

    Raises:
        InvalidOptionError: an argument is wrong.
    """

    __slots__ = ("args", "function", "supervisor", "timeout")

    def __init__(
        self,
        supervisor: Ref,
        function: Callable[[*Ts], Coroutine[object, object, object]],
        *args: *Ts,
        timeout: Seconds | Policy | None = POLICY,
    ) -> None:
        self.supervisor: Final = checked_ref(supervisor, "StartTask(supervisor)")
        self.function: Final[Callable[..., Coroutine[object, object, object]]] = function
        if not is_async(function):
            raise InvalidOptionError(
                "StartTask(function)",
                expected="an async function",
                got=cut(function),
                fix="make it an `async def`; one that blocks is run in a thread by the async function asyncio.to_thread.",
            )
        self.args: Final[tuple[object, ...]] = args
        self.timeout: Final = checked_timeout("StartTask(timeout)", timeout)

    def __repr__(self) -> str:
        return f"StartTask({self.supervisor!r}, {label_of(self.function)})"


Job = SendMessage | StartTask
"""What a schedule does when it is due."""
