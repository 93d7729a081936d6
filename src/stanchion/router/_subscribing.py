# SPDX-License-Identifier: MIT
"""Making a subscription: what it is for, who is to get the signals, and how."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import Context, copy_context
from typing import Final, Literal, NamedTuple

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, nearest, one_of, plain_function, whole_number
from stanchion.breakers import CircuitBreaker
from stanchion.delivery import DEFAULT_BACKOFF, Ack
from stanchion.errors import InvalidOptionError
from stanchion.kernel import DEADLINE, NODE, PROCESS, Overflow, Pid, Process, Ref, Site, Via, find, label_of
from stanchion.router._callback import Callback
from stanchion.router._cast import Lane
from stanchion.router._pattern import parse_pattern
from stanchion.router._session import Session
from stanchion.router._signal import Signal
from stanchion.router._stream import Reader, SignalStream
from stanchion.router._subscription import SignalSubscription, Wish
from stanchion.router._supervised import OnFailure, Supervised, checked_sends
from stanchion.timeouts import POLICY, Policy, checked_timeout

Mode = Literal["cast", "supervised"]
"""How signals come to a process; see ``SignalRouter.subscribe``."""

Filter = Callable[[Signal], object]
"""Says by a true value which signals a subscription is for; a plain function."""

_OVERFLOWS: Final = ("reject", "drop_newest", "drop_oldest", "block")
_TARGET: Final = "SignalRouter.subscribe(target)"


class How(NamedTuple):
    """How signals come to a target; see ``SignalRouter.subscribe``."""

    mode: Mode
    timeout: Seconds | Policy | None
    ack: Ack | str | None
    retries: int
    backoff: Backoff
    breaker: CircuitBreaker | str | None
    on_error: OnFailure | None


def checked_wish(
    verb: str,
    pattern: str,
    filter: Filter | None,
    buffer: int,
    overflow: Overflow,
    warn_at: float | None,
    site: Site,
) -> Wish:
    """Check what a subscription is for.

    Raises:
        PatternError: the pattern is malformed.
        InvalidOptionError: another argument is wrong.
    """
    name = f"SignalRouter.{verb}"
    segments = parse_pattern(f"{name}(pattern)", pattern)
    if filter is not None:
        plain_function(f"{name}(filter)", filter)
    whole_number(f"{name}(buffer)", buffer, at_least=1)
    one_of(f"{name}(overflow)", overflow, _OVERFLOWS)
    good = isinstance(warn_at, int | float) and not isinstance(warn_at, bool) and 0 < warn_at <= 1
    if warn_at is not None and not good:
        expected = "a part of the buffer, > 0 and <= 1, or None for never"
        raise InvalidOptionError(f"{name}(warn_at)", expected=expected, got=cut(warn_at))
    return Wish(pattern, segments, filter, buffer, overflow, warn_at, site)


def subscribe(session: Session, wish: Wish, target: Ref | Filter, how: How) -> SignalSubscription:
    """Make a subscription of a process, or of a function; see ``SignalRouter.subscribe``.

    Raises:
        InvalidOptionError: an option is wrong, or the target is none.
    """
    one_of("SignalRouter.subscribe(mode)", how.mode, ("cast", "supervised"))
    limit = checked_timeout("SignalRouter.subscribe(timeout)", how.timeout)
    if isinstance(target, Pid | str | Via):
        return _subscribe_process(session, wish, target, how, limit)
    if not callable(target) or isinstance(target, type):  # a server's class can be called, and would be at each signal
        raise InvalidOptionError(
            _TARGET,
            expected="a pid, a registered name, a via address, or a function of one signal",
            got=cut(target),
            fix="pass what start() or spawn() returned, or the name= the process was started with.",
        )
    if how.mode == "supervised":
        raise InvalidOptionError(
            "SignalRouter.subscribe(mode)",
            expected="'cast' for a function, which is called",
            got="'supervised'",
            fix="leave mode= out, or have a process get the signals.",
        )
    _refuse_options(how)
    owner = _owner(session)
    one = SignalSubscription(session, wish, label_of(target), "callback", key=_key(target), owner=owner)
    return one.begin(Callback(session, one, _context(session, owner), target, limit))


def stream(session: Session, wish: Wish) -> SignalStream:
    """Make a stream; see ``SignalRouter.stream``."""
    reader = Reader(session)
    # Each is a target of its own.
    one = SignalSubscription(session, wish, "a stream", "stream", key=reader, owner=_owner(session))
    return SignalStream(one.begin(reader), reader)


def _subscribe_process(
    session: Session, wish: Wish, target: Ref, how: How, limit: float | Policy | None
) -> SignalSubscription:
    if how.mode == "cast":
        _refuse_options(how)
        if limit is not POLICY:
            raise InvalidOptionError(
                "SignalRouter.subscribe(timeout)",
                expected="a timeout with mode='supervised', or for a function",
                got="mode='cast', where nothing is waited for",
                fix="pass mode='supervised' too.",
            )
    process = _process(session, target)
    one = SignalSubscription(session, wish, process.pid, how.mode, key=process.pid, owner=process)
    if how.mode == "cast":
        return one.begin(Lane.to(session, process))
    sends = checked_sends(session.node, how.ack, limit, how.retries, how.backoff, how.breaker, how.on_error)
    return one.begin(Supervised(session, one, target, sends))


def _refuse_options(how: How) -> None:
    """Raise when options of supervised sends are given where there are none."""
    if how[2:] != (None, 3, DEFAULT_BACKOFF, None, None):
        raise InvalidOptionError(
            "SignalRouter.subscribe(mode)",
            expected="'supervised' of a process, with ack, retries, backoff, breaker or on_error",
            got=cut(how.mode),
            fix="pass mode='supervised' too, or leave these out.",
        )


def _process(session: Session, target: Ref) -> Process:
    """Return the live process that a target is, in the node of the router."""
    node = session.node
    pid = node.names.get(target) if isinstance(target, str) else find(target, _TARGET)
    if pid is None:
        fix = "start it before it is subscribed, or have it subscribe in its init()."
        guess = nearest(target, node.names.all()) if isinstance(target, str) else None
        if guess:
            fix = f"write {guess!r}."
        raise InvalidOptionError(_TARGET, expected="a live process", got=f"{target!r}, which nobody holds", fix=fix)
    process = pid._process
    if process is None or not pid.alive:
        raise InvalidOptionError(_TARGET, expected="a live process", got=f"{pid!r}, which has ended or is about to")
    if process.node is not node:
        expected, got = f"a process of node {node.name!r}", f"{pid!r} of another node"
        raise InvalidOptionError(_TARGET, expected=expected, got=got, fix="subscribe it to a router of its own node.")
    return process


def _owner(session: Session) -> Process:
    """Return the process with which a function's subscription ends: the running one; the router's own for the node."""
    process = PROCESS.get()
    if process is None or process.finished or process.node is not session.node:
        return session.process
    return process


def _context(session: Session, owner: Process) -> Context:
    """Return the context that a function is called in: that of who subscribes it, under no deadline."""
    context = copy_context()
    context.run(DEADLINE.set, None)
    context.run(NODE.set, session.node)
    context.run(PROCESS.set, None if owner is session.process else owner)
    return context


def _key(function: object) -> Hashable:
    """Return what is the same for the same function, also for a method that is taken from its object anew."""
    try:
        hash(function)
    except Exception:  # noqa: BLE001 - whatever a __hash__ of the user's raises
        return id(function)
    return function
