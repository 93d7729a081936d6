# SPDX-License-Identifier: MIT
"""One message to many servers: abcast and multi_call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, overload

from stanchion._validate import Seconds, cut, seconds
from stanchion.errors import CallError, CallSelfError, InvalidOptionError
from stanchion.kernel import CALL, Pid, Process, Ref, Via, find, is_self, wait_limit
from stanchion.server._asked import Asked, asked, outcomes
from stanchion.server._call import cast, not_sent
from stanchion.server._failures import Failure, gone, no_reply, refused
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.messages import Call

_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class MultiCallResult(NamedTuple, Generic[_R_co]):
    """What ``multi_call`` returns. Each ref is in one of the two, in the order of the refs; ``dict()`` makes a mapping.

    Attributes:
        replies: Who replied, and what.
        failures: Who did not, and the error that ``call`` would have raised.
    """

    replies: tuple[tuple[Ref, _R_co], ...]
    failures: tuple[tuple[Ref, CallError], ...]


def abcast(refs: Iterable[Ref], message: object) -> None:
    """Cast a message to many servers and return at once; nobody learns what became of it.

    Use ``broadcast_supervised`` when it must not be lost.

    Args:
        refs: Pids and names. One that comes twice gets the message twice.
        message: What each ``handle_cast`` gets: the same object.

    Raises:
        InvalidOptionError: ``refs``, or one of them, is wrong. Nothing was sent to anybody.
        NoNodeError: a name, outside of every node.

    Delivery: as ``cast``, for each.

    Source: ``gen_server:abcast/3``, which takes nodes and one name; here it is a list of servers.
    """
    targets = _refs("abcast(refs)", refs, "put the ref into a list, or use cast().")
    for ref in targets:
        find(ref, "abcast(refs)")
    for ref in targets:
        cast(ref, message)


@overload
async def multi_call(
    refs: Iterable[Ref], request: Call[_R], *, timeout: Seconds | Policy | None = POLICY
) -> MultiCallResult[_R]: ...
@overload
async def multi_call(
    refs: Iterable[Ref], request: object, *, timeout: Seconds | Policy | None = POLICY
) -> MultiCallResult[object]: ...
async def multi_call(
    refs: Iterable[Ref], request: object, *, timeout: Seconds | Policy | None = POLICY
) -> MultiCallResult[object]:
    """Call many servers at the same time, and wait until each has replied or failed, or the time is up.

    Args:
        refs: Pids and names. One that comes twice is called twice.
        request: What each ``handle_call`` gets: the same object.
        timeout: Seconds for all of them together; 0 and None as in ``call``. By default what the node's
            ``TimeoutPolicy`` says of such a call to the first of them that is there. A deadline in force cuts it, and
            goes with the requests.

    Returns:
        The replies, and the failures: nobody there, an exit, a full mailbox, the timeout, no clause, or the calling
        process itself among the refs. A reply that comes after the timeout is dropped.

    Raises:
        InvalidOptionError: an argument, or one of the refs, is wrong. Nothing was sent to anybody.
        NoNodeError: a name, outside of every node.

    Cancellation: as ``call``, for each.

    Delivery: as ``call``, for each.

    Source: ``gen_server:multi_call/4``, which takes nodes and one name, and says only who failed; here it is a list of
        servers, and each failure has its error.
    """
    targets = _refs("multi_call(refs)", refs, "put the ref into a list, or use call().")
    pids = [find(ref, "multi_call(refs)") for ref in targets]
    processes = [None if pid is None else pid._process for pid in pids]
    ruled_by = next((process for process in processes if process is not None), None)
    limit = _limit(ruled_by, request, timeout)
    sent = [_send(ref, process, request, timeout) for ref, process in zip(targets, processes, strict=True)]
    waiting = [one for one in sent if isinstance(one, Asked)]
    outcome = iter(await outcomes(waiting, limit))
    replies: list[tuple[Ref, object]] = []
    failures: list[tuple[Ref, CallError]] = []
    for ref, one in zip(targets, sent, strict=True):
        result = next(outcome) if isinstance(one, Asked) else one
        if isinstance(one, CallError):
            failures.append((ref, one))
        elif isinstance(result, Failure):
            error = no_reply(one.process, result, one.envelope, limit, timeout, ruled_by=ruled_by)
            error.__cause__ = result.error
            failures.append((ref, error))
        else:
            replies.append((ref, result))
    return MultiCallResult(tuple(replies), tuple(failures))


def _send(ref: Ref, process: Process | None, request: object, timeout: Seconds | Policy | None) -> Asked | CallError:
    if process is None:
        return gone(ref, request)
    if is_self(process):
        return CallSelfError(target=repr(process.pid), request=cut(request))
    one = asked(process, CALL, request)
    if one.sender.deadline is not None and one.sender.deadline.passed:
        return not_sent(process, one.envelope, timeout)
    refusal = process.mailbox.put(one.envelope)
    if refusal is None or process.mailbox.line_up(one.envelope):
        return one
    return refused(process, refusal, request)


def _limit(ruled_by: Process | None, request: object, timeout: Seconds | Policy | None) -> float | None:
    if ruled_by is not None:
        return wait_limit("multi_call(timeout)", ruled_by, request, timeout)
    # Nobody is there to wait for; a wrong option is an error all the same.
    return None if timeout is None or timeout is POLICY else seconds("multi_call(timeout)", timeout)


def _refs(subject: str, refs: Iterable[Ref], fix: str) -> list[Ref]:
    if isinstance(refs, str | Pid | Via) or not isinstance(refs, Iterable):
        raise InvalidOptionError(
            subject,
            expected="an iterable of pids and names",
            got=cut(refs),
            fix=fix if isinstance(refs, str | Pid | Via) else None,
        )
    return list(refs)
