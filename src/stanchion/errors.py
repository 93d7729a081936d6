# SPDX-License-Identifier: MIT
"""Every error that Stanchion raises: one tree, in one piece, so that all their texts are read side by side.

    StanchionError
    ├── InvalidOptionError (also ValueError)   an argument or option is wrong
    │   ├── PatternError                       a pattern of signals, or a signal's type, is malformed
    │   ├── CronError                          a cron line is
    │   └── ConfigError                        what is configured, by a file or the environment, is wrong
    │       ├── ApplicationConfigError         the configuration of an application is
    │       └── TimeoutsConfigError            the configuration of a timeout policy is
    ├── NoNodeError, NotInProcessError         the code runs outside of a node, or of a process
    ├── ReceiveError                           somebody else reads the process's mailbox
    ├── NodeStateError                         the node is not, or no longer, in the state that it takes
    ├── NameTakenError                         a registered name belongs to another live process
    │   └── KeyTakenError                      the same, for a key of a unique registry
    ├── CallError                              a call got no reply
    │   ├── CallTimeoutError (also TimeoutError)
    │   ├── CallExitError                      the target is gone, or went before it replied
    │   ├── CallOverflowError                   the target's mailbox is full
    │   ├── CallSelfError                      a process called or stopped itself
    │   └── UnhandledRequestError              the server has no clause for this request
    ├── StopTimeoutError (also TimeoutError)   a process did not end in time after stop()
    ├── StopExitError                          a process crashed or was killed instead of ending as stop() asked
    ├── DeadlineExceededError (also TimeoutError) the time of a block was up
    ├── BadReturnError                         a callback returned what its contract does not allow
    ├── CallbackFailedError                    a function that was to run in a server raised; the server goes on
    ├── StartError                             a process did not start: init raised, hung, or stopped
    │   └── ChildStartError                    the same, for a supervisor's child
    ├── ChildSpecError (also ValueError)       a child_spec is malformed
    │   └── ChildIdTakenError                  another child of the supervisor has its id
    ├── ChildNotFoundError (also LookupError)  the supervisor has no child with this id
    ├── ChildStateError                        the verb does not fit the child's state
    ├── MaxChildrenError                       a DynamicSupervisor has as many children as it may have
    ├── TaskError                              a task of a TaskSupervisor gave no result
    │   ├── TaskExitError                      it exited before it had one
    │   ├── TaskTimeoutError (also TimeoutError)
    │   ├── TaskOwnerError                     somebody asked for it who did not start it
    │   └── TaskStateError                     its result was taken before, or comes as a message
    ├── ApplicationExitError                   an application ended without having been told to
    ├── ApplicationStateError                  the verb does not fit the state of the node's applications
    ├── CircuitOpenError                       a circuit breaker did not let a call through
    ├── DeliveryError                          a supervised send with on_error="raise" was not confirmed
    ├── MessageEncodeError, MessageDecodeError a message cannot become data, or data a message
    ├── DeadLetterError
    │   ├── DeadLetterNotFoundError
    │   ├── DeadLetterStateError               the verb does not fit the letter's state
    │   ├── DeadLettersClosedError             the queue is not open
    │   ├── BulkError                          a verb on many letters stopped on the way
    │   └── LetterFileError                    a file of exported letters cannot be read or written
    ├── OutboxClosedError                      the outbox is not open
    ├── RouterError
    │   ├── RouterClosedError                  the router is not open
    │   ├── MiddlewareError                    a hook of the router raised; the signal went to nobody
    │   ├── SignalSizeError (also ValueError)  a signal carries more than the router takes
    │   └── SubscriptionNotFoundError (also LookupError) no durable subscription has this name
    ├── SchedulerError
    │   ├── SchedulerClosedError               the scheduler is not open
    │   ├── ScheduleNotFoundError (also LookupError) no schedule has this id
    │   └── ScheduleIdTakenError               another schedule has this id
    └── StoreError                             a database, or another store, failed
        ├── StoreCorruptError                  the file is no database, or is damaged
        ├── StoreSchemaError                   the schema is newer than this version knows
        ├── StoreFullError                     no room left
        ├── StoreReadOnlyError                 the store cannot be written
        ├── StoreRejectedError                 the store works, and cannot keep this one thing
        ├── LeaseLostError                     another node has taken over what this one held
        └── StoreUncertainError                it broke during the commit: stored or not, nobody knows

``ProcessExit`` is not in the tree: it is a signal, derives from BaseException, and is never swallowed.

Each class builds its wording in one place, from the fields that it carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from stanchion.dead_letters import BulkResult
    from stanchion.delivery import Delivery
    from stanchion.kernel import ExitReason, Pid

__all__ = [
    "ApplicationConfigError",
    "ApplicationExitError",
    "ApplicationStateError",
    "BadReturnError",
    "BulkError",
    "CallError",
    "CallExitError",
    "CallOverflowError",
    "CallSelfError",
    "CallTimeoutError",
    "CallbackFailedError",
    "ChildIdTakenError",
    "ChildNotFoundError",
    "ChildSpecError",
    "ChildStartError",
    "ChildStateError",
    "CircuitOpenError",
    "ConfigError",
    "CronError",
    "DeadLetterError",
    "DeadLetterNotFoundError",
    "DeadLetterStateError",
    "DeadLettersClosedError",
    "DeadlineExceededError",
    "DeliveryError",
    "InvalidOptionError",
    "KeyTakenError",
    "LeaseLostError",
    "LetterFileError",
    "MaxChildrenError",
    "MessageDecodeError",
    "MessageEncodeError",
    "MiddlewareError",
    "NameTakenError",
    "NoNodeError",
    "NodeStateError",
    "NotInProcessError",
    "OutboxClosedError",
    "PatternError",
    "ReceiveError",
    "RouterClosedError",
    "RouterError",
    "ScheduleIdTakenError",
    "ScheduleNotFoundError",
    "SchedulerClosedError",
    "SchedulerError",
    "SignalSizeError",
    "StanchionError",
    "StartError",
    "StopExitError",
    "StopTimeoutError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreReadOnlyError",
    "StoreRejectedError",
    "StoreSchemaError",
    "StoreUncertainError",
    "SubscriptionNotFoundError",
    "TaskError",
    "TaskExitError",
    "TaskOwnerError",
    "TaskStateError",
    "TaskTimeoutError",
    "TimeoutsConfigError",
    "UnhandledRequestError",
]


def _with_fix(text: str, fix: str | None) -> str:
    return f"{text}\nFix: {fix}" if fix else text


class StanchionError(Exception):
    """The base of every error that Stanchion raises."""


class InvalidOptionError(StanchionError, ValueError):
    """An argument or option is wrong.

    Attributes:
        subject: Which option of which call.
        expected: What would have been right.
        got: The repr of what came, cut at 200 characters.
        fix: What to write instead, where that is known.
    """

    def __init__(self, subject: str, *, expected: str, got: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"{subject}: expected {expected}, got {got}", fix))
        self.subject = subject
        self.expected = expected
        self.got = got
        self.fix = fix


class PatternError(InvalidOptionError):
    """A pattern of signals, or the type of one, is malformed.

    Attributes:
        pattern: The text.
        position: Which character is wrong, from 0; its length where something is missing at its end.
    """

    def __init__(
        self, subject: str, pattern: str, position: int, *, expected: str, got: str, fix: str | None = None
    ) -> None:
        super().__init__(subject, expected=f"{expected} at position {position} of {pattern!r}", got=got, fix=fix)
        self.pattern = pattern
        self.position = position


class CronError(InvalidOptionError):
    """A cron line is malformed.

    Attributes:
        line: The line.
        field: Which of its fields is wrong, ``"day of month"`` say; None where it is the whole line.
        position: Where that field begins, or the part of it that is wrong, from 0.
    """

    def __init__(
        self,
        subject: str,
        line: str,
        *,
        field: str | None,
        position: int,
        expected: str,
        got: str,
        fix: str | None = None,
    ) -> None:
        where = f"position {position} of {line!r}" + (f", its {field}" if field is not None else "")
        super().__init__(subject, expected=f"{expected} at {where}", got=got, fix=fix)
        self.line = line
        self.field = field
        self.position = position


class ConfigError(InvalidOptionError):
    """What is configured, by a file or the environment, is wrong.

    Attributes:
        source: Where the mistake is: the file, ``"config"`` for a mapping, or the environment variable.
        key: The key with its tables, ``shop.smtp.port``; None where it is the whole source.
    """

    def __init__(
        self, source: str, key: str | None, *, subject: str, expected: str, got: str, fix: str | None = None
    ) -> None:
        super().__init__(subject, expected=expected, got=got, fix=fix)
        self.source = source
        self.key = key


class ApplicationConfigError(ConfigError):
    """The configuration of an application is wrong; nothing was started."""


class TimeoutsConfigError(ConfigError):
    """The configuration of a timeout policy is wrong; it was not made, or stayed as it was."""


class NoNodeError(StanchionError):
    """The code runs outside of every node, and nothing it passed belongs to one.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation}: expected a running node, got none in this context",
                "run it inside `async with stanchion.Node():`, or inside a process, or pass a pid.",
            )
        )
        self.operation = operation


class NodeStateError(StanchionError):
    """The node is not in the state that the operation takes.

    Attributes:
        node: The node's name.
        operation: What was tried.
        state: The state it is in: new, running, stopping or stopped.
    """

    def __init__(self, node: str, *, operation: str, expected: str, got: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation} on node {node!r}: expected {expected}, got one that is {got}",
                "make a new Node for each `async with`, and start processes inside the block.",
            )
        )
        self.node = node
        self.operation = operation
        self.state = got


class NotInProcessError(StanchionError):
    """The operation belongs to a process, and the code runs outside of all processes, or its process has ended.

    Attributes:
        operation: What was tried.
        ended: The process that started this code and has ended, as text; None when there was none.
    """

    def __init__(self, operation: str, *, ended: str | None = None) -> None:
        if ended is None:
            got, fix = (
                "code outside of all processes",
                "call it from a GenServer callback or from a function started by stanchion.spawn().",
            )
        else:
            got, fix = (
                f"code that outlived its process {ended}",
                "let the process wait for the tasks that it starts, or give them a process of their own.",
            )
        super().__init__(_with_fix(f"{operation}: expected to run inside a process, got {got}", fix))
        self.operation = operation
        self.ended = ended


class ReceiveError(StanchionError):
    """Somebody else reads the mailbox of the running process.

    Attributes:
        process: The process, as text.
    """

    def __init__(self, process: str, *, got: str, fix: str) -> None:
        super().__init__(_with_fix(f"receive() in {process}: expected to be the mailbox's one reader, got {got}", fix))
        self.process = process


class NameTakenError(StanchionError):
    """A registered name belongs to another live process.

    Attributes:
        name: The name.
        holder: The repr of the pid that holds it.
    """

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            _with_fix(
                f"name {name!r}: expected a free name, got one held by {holder}",
                "choose another name, or stop the process that holds it first.",
            )
        )
        self.name = name
        self.holder = holder


class KeyTakenError(NameTakenError):
    """A key of a unique registry is taken.

    Attributes:
        name: The repr of the key, cut at 200 characters.
        holder: The repr of the pid that holds it.
        pid: The process that holds it.
        registry: The registry, as text.
    """

    def __init__(self, registry: str, key: str, pid: Pid, *, by_itself: bool) -> None:
        fix = "go on with that process, which is the error's pid, choose another key, or stop the process first."
        if by_itself:
            fix = "write Registry.update_value() to change the value of a key that the process has already."
        StanchionError.__init__(
            self, _with_fix(f"key {key} of {registry}: expected a free key, got one held by {pid!r}", fix)
        )
        self.registry = registry
        self.name = key
        self.holder = repr(pid)
        self.pid = pid


class CallError(StanchionError):
    """A call got no reply. The subclass says why, and whether the request may have been handled.

    Attributes:
        target: What was called, as text.
        request: The repr of the request, cut at 200 characters.
    """

    def __init__(self, text: str, *, target: str, request: str) -> None:
        super().__init__(text)
        self.target = target
        self.request = request


CallOutcome = Literal["not_sent", "expired", "waiting", "postponed", "in_hand", "deferred", "unknown"]
"""What is known of a request whose caller's time is up; see ``CallTimeoutError``."""

_OUTCOMES: Final[dict[CallOutcome, str]] = {
    "not_sent": "the request was not sent",
    "expired": "the request was not handled, and will not be",
    "waiting": "the request waits for its turn, and may yet be handled",
    "postponed": "the request was postponed, and may yet be handled",
    "in_hand": "the request is being handled",
    "deferred": "the request was taken, and the reply put off",
    "unknown": "the request may have been handled, or may yet be",
}


class CallTimeoutError(CallError, TimeoutError):
    """No reply came in time. The request may have been handled, or may yet be; a late reply is dropped.

    Attributes:
        timeout: The limit in seconds.
        caller: Who called, as text; None for code outside of processes.
        rule: What gave the limit, as text: the ``timeout=`` of the call, or a rule of the node's policy.
        cut_by: The deadline that left less than the rule gave, as text; None when none did.
        outcome: What is known of the request. ``"not_sent"``: no time was left to send it. ``"expired"``: its deadline passed
            before its turn, so that it is not handled. ``"waiting"``: it is in the mailbox. ``"postponed"``: a state
            machine keeps it for later. ``"in_hand"``: its callback runs. ``"deferred"``: the callback has returned
            ``NO_REPLY``. ``"unknown"``: nothing is.
        handled: False when the request is known not to have been handled, and not to be handled any more.
        doing: What the target was doing at that time, as text; None where that says nothing.
        waits_for: Who the target waits for in turn, as text, up to the caller: they wait for each other, and none of
            them goes on before the time of one is up. None when that is not so.
    """

    def __init__(
        self,
        *,
        target: str,
        request: str,
        timeout: float,
        caller: str | None = None,
        rule: str | None = None,
        cut_by: str | None = None,
        outcome: CallOutcome = "unknown",
        doing: str | None = None,
        waits_for: str | None = None,
    ) -> None:
        by = "" if caller is None else f" by {caller}"
        limit = timeout if cut_by is None else round(timeout, 3)
        text = f"call to {target}{by}: expected a reply to {request} within {limit:g} s, got none; {_OUTCOMES[outcome]}"
        text += _limit_lines(rule, cut_by, doing)
        fix = "if the handler may take longer, pass timeout=; if it waits for this caller, that is a deadlock: "
        fix += "use cast, or reply later."
        if waits_for is not None:
            text += f"\nDeadlock: the target waits for {waits_for}."
            fix = "have one of them use cast, or return NO_REPLY and reply later."
        elif cut_by is not None:
            fix = _LONGER_DEADLINE
        elif outcome == "waiting":
            fix = "have it do less in one callback, share the work among several processes, or pass a longer timeout=."
        elif outcome == "deferred":
            fix = "have it call reply() in every case, or pass a longer timeout= if that takes longer."
        super().__init__(_with_fix(text, fix), target=target, request=request)
        self.timeout = timeout
        self.caller = caller
        self.rule = rule
        self.cut_by = cut_by
        self.outcome: CallOutcome = outcome
        self.handled = outcome not in ("not_sent", "expired")
        self.doing = doing
        self.waits_for = waits_for


class CallExitError(CallError):
    """The target was not there, or went before it replied.

    Attributes:
        reason: The exit reason; "noproc" when nobody was there at the time of the call.
        handled: False when the request is known not to have been handled.
    """

    def __init__(self, *, target: str, request: str, reason: ExitReason, handled: bool, fix: str | None = None) -> None:
        got = "no such process (noproc)" if reason == "noproc" else f"its exit with reason {reason!r}"
        tail = "" if handled or reason == "noproc" else "; the request was not handled"
        super().__init__(
            _with_fix(f"call to {target}: expected a reply to {request}, got {got}{tail}", fix),
            target=target,
            request=request,
        )
        self.reason = reason
        self.handled = handled


class CallOverflowError(CallError):
    """The target's mailbox is full. The request was not handled.

    Attributes:
        limit: How many messages the mailbox takes.
        waited: How many seconds the caller stood in line for a place; None when it did not.
        displaced: Whether the request had a place, and lost it to a newer message.
    """

    def __init__(
        self, *, target: str, request: str, limit: int, waited: float | None = None, displaced: bool = False
    ) -> None:
        within = "" if waited is None else f" within {waited:g} s"
        got = f"a full one ({limit} messages)"
        if displaced:
            got += ", where a newer message took its place"
        super().__init__(
            _with_fix(
                f"call to {target}: expected room in its mailbox for {request}{within}, got {got}",
                "call again later, slow the callers down, or start the process with a larger mailbox=.",
            ),
            target=target,
            request=request,
        )
        self.limit = limit
        self.waited = waited
        self.displaced = displaced


class CallSelfError(CallError):
    """A process called or stopped itself; it would have waited for itself until the timeout."""

    def __init__(self, *, target: str, request: str, operation: str = "call to", fix: str | None = None) -> None:
        super().__init__(
            _with_fix(
                f"{operation} {target}: expected another process, got the calling process itself with {request}",
                fix or "call the method directly, or cast to yourself and go on.",
            ),
            target=target,
            request=request,
        )


def _limit_lines(rule: str | None, cut_by: str | None, doing: str | None) -> str:
    """Return the lines of an error that say where a limit came from, and what was waited for instead."""
    lines = ""
    if cut_by is not None:
        lines += f"\nLimit: what was left of {cut_by}; without it: {rule}."
    elif rule is not None:
        lines += f"\nLimit: {rule}."
    return lines if doing is None else f"{lines}\nTarget: {doing}."


_LONGER_DEADLINE: Final = "give the deadline more seconds, or do less under it."


class StopTimeoutError(StanchionError, TimeoutError):
    """A process, or an application, did not end in time after ``stop()``. It is still to end.

    Attributes:
        target: The process, or the application, as text.
        timeout: The limit in seconds.
        rule: What gave the limit, as text: the ``timeout=`` of the call, or a rule of the node's policy.
        cut_by: The deadline that left less than the rule gave, as text; None when none did.
        doing: What it was doing at that time, as text; None where that says nothing.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float,
        outcome: str = "the order stays in its mailbox",
        rule: str | None = None,
        cut_by: str | None = None,
        doing: str | None = None,
        fix: str = "pass a longer timeout=, or end it at once with exit(pid, 'kill').",
    ) -> None:
        text = f"stop of {target}: expected its end within {timeout:g} s, got none; {outcome}"
        fix = fix if cut_by is None else _LONGER_DEADLINE
        super().__init__(_with_fix(text + _limit_lines(rule, cut_by, doing), fix))
        self.target = target
        self.timeout = timeout
        self.rule = rule
        self.cut_by = cut_by
        self.doing = doing


class StopExitError(StanchionError):
    """A process ended, but not as ``stop()`` asked: it crashed or was killed before, or its ``terminate`` raised.

    Attributes:
        target: The process, as text.
        expected: The exit reason that was asked for.
        reason: The exit reason that it was; an exception is the ``__cause__``, too.
    """

    def __init__(self, target: str, *, expected: ExitReason, reason: ExitReason) -> None:
        super().__init__(f"stop of {target}: expected its exit with reason {expected!r}, got {reason!r}")
        self.target = target
        self.expected: ExitReason = expected
        self.reason: ExitReason = reason


class UnhandledRequestError(CallError):
    """The server has no clause for this request; it goes on, and the caller gets this.

    Attributes:
        target: The server, as text.
        request: The repr of the request, cut at 200 characters.
    """

    def __init__(self, *, target: str, request: str, callback: str) -> None:
        super().__init__(
            _with_fix(
                f"call to {target}: expected {callback}() to know the request, got {request}",
                f"add a clause for it to {callback}(), or send what it knows.",
            ),
            target=target,
            request=request,
        )


class DeadlineExceededError(StanchionError, TimeoutError):
    """The time of a block with a deadline was up, and the block was cancelled.

    What waited in it for Stanchion fails by itself, by an error of its own; so this is of a block that did something else.

    Attributes:
        seconds: How many seconds the scope was given.
        site: Where in the code it was opened: file and line.
        cut_by: The nearer deadline that was in force there and ended it, as text; None when its own time was up.
    """

    def __init__(self, *, seconds: float, site: str, cut_by: str | None = None) -> None:
        why = "" if cut_by is None else f", or by {cut_by}"
        super().__init__(
            _with_fix(
                f"deadline of {seconds:g} s at {site}: expected the block to end in time{why}, got no end; it was "
                "cancelled where it waited, and messages that it sent and nobody has begun with are not begun any more",
                "give the scope more seconds, or do less in it."
                if cut_by is None
                else "give the nearer deadline more seconds, or do less in it.",
            )
        )
        self.seconds = seconds
        self.site = site
        self.cut_by = cut_by


class BadReturnError(StanchionError):
    """A callback returned what its contract does not allow; the process exits with this as its reason.

    Attributes:
        callback: The callback, as ``Class.method``.
        got: The repr of what it returned, cut at 200 characters.
    """

    def __init__(self, callback: str, *, expected: str, got: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"{callback}(): expected {expected} as its return value, got {got}", fix))
        self.callback = callback
        self.got = got


class CallbackFailedError(StanchionError):
    """A function that was to run in a server for somebody else failed; the server goes on.

    Attributes:
        operation: What was asked for, of whom.
        error: What the function raised.
    """

    def __init__(self, operation: str, *, error: BaseException) -> None:
        super().__init__(f"{operation}: expected the function to return, got {error!r}")
        self.operation = operation
        self.error = error


class StartError(StanchionError):
    """A process did not start.

    Attributes:
        what: What was started, as text.
        reason: Why: the exception of init, ``"timeout"`` when init took too long, ``"ignore"`` when it returned IGNORE,
            or the exit reason.
        timeout: The limit in seconds, where the reason is ``"timeout"``; else None, and so are the other three.
        rule: What gave the limit, as text: the ``timeout=`` of the start, or a rule of the node's policy.
        cut_by: The deadline that left less than the rule gave, as text; None when none did.
        doing: What init was doing at that time, as text; None where it was not begun.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: object,
        expected: str = "init to finish",
        timeout: float | None = None,
        rule: str | None = None,
        cut_by: str | None = None,
        doing: str | None = None,
        fix: str | None = None,
    ) -> None:
        within = "" if timeout is None else f" within {timeout:g} s"
        got = f"{reason!r}, and nothing was started" if timeout is not None and doing is None else repr(reason)
        fix = fix if cut_by is None else _LONGER_DEADLINE
        text = f"start of {what}: expected {expected}{within}, got {got}"
        super().__init__(_with_fix(text + _limit_lines(rule, cut_by, doing), fix))
        self.what = what
        self.reason = reason
        self.timeout = timeout
        self.rule = rule
        self.cut_by = cut_by
        self.doing = doing


class ChildStartError(StartError):
    """A supervisor's child did not start.

    Attributes:
        child_id: The id in its child_spec.
        supervisor: The supervisor, as text.
    """

    def __init__(
        self,
        child_id: object,
        *,
        supervisor: str,
        reason: object,
        timeout: float | None = None,
        rule: str | None = None,
        cut_by: str | None = None,
        doing: str | None = None,
    ) -> None:
        super().__init__(
            f"child {child_id!r} of {supervisor}",
            reason=reason,
            timeout=timeout,
            rule=rule,
            cut_by=cut_by,
            doing=doing,
            fix=None if timeout is None else "give its child_spec() a longer timeout=, or have it start faster.",
        )
        self.child_id = child_id
        self.supervisor = supervisor


class ChildSpecError(StanchionError, ValueError):
    """A child_spec is malformed, or does not fit its supervisor.

    Attributes:
        child_id: The id in the child_spec, None where it has none yet.
    """

    def __init__(self, child_id: object, *, expected: str, got: str, fix: str | None = None) -> None:
        subject = "child_spec" if child_id is None else f"child_spec {child_id!r}"
        super().__init__(_with_fix(f"{subject}: expected {expected}, got {got}", fix))
        self.child_id = child_id


class ChildIdTakenError(ChildSpecError):
    """A child of the supervisor has the id already; nothing was changed.

    Attributes:
        child_id: The id.
        supervisor: The supervisor, as text.
        pid: The process of the child that has it; None while that does not run.
        state: What that child does: running, restarting or stopped.
    """

    def __init__(
        self,
        child_id: object,
        *,
        supervisor: str,
        pid: Pid | None,
        state: Literal["running", "restarting", "stopped"],
    ) -> None:
        if state == "running":
            fix = "go on with that process, which is the error's pid, or pass another id=."
        elif state == "stopped":
            fix = "restart_child() starts the one that has it, delete_child() frees the id; or pass another id=."
        else:
            fix = "wait until the one that has it runs, or pass another id=."
        got = f"that of a child that is {state}" if pid is None else f"that of {pid!r}, which is {state}"
        super().__init__(child_id, expected=f"an id that is free in {supervisor}", got=got, fix=fix)
        self.supervisor = supervisor
        self.pid = pid
        self.state: Literal["running", "restarting", "stopped"] = state


class ChildNotFoundError(StanchionError, LookupError):
    """The supervisor has no child with this id.

    Attributes:
        child_id: The id that was asked for.
        supervisor: The supervisor, as text.
    """

    def __init__(self, child_id: object, *, supervisor: str, fix: str | None = None) -> None:
        super().__init__(
            _with_fix(f"child {child_id!r} of {supervisor}: expected the id of one of its children, got none", fix)
        )
        self.child_id = child_id
        self.supervisor = supervisor


class ChildStateError(StanchionError):
    """The verb does not fit the child's state; nothing was changed.

    Attributes:
        child_id: The id in its child_spec.
        verb: What was asked for.
        state: The state it is in: running, or restarting.
    """

    def __init__(self, child_id: object, *, verb: str, supervisor: str, state: str) -> None:
        super().__init__(
            _with_fix(
                f"{verb} of child {child_id!r} of {supervisor}: expected a stopped child, got one that is {state}",
                f"terminate_child(supervisor, {child_id!r}) first.",
            )
        )
        self.child_id = child_id
        self.verb = verb
        self.state = state


class MaxChildrenError(StanchionError):
    """A DynamicSupervisor has as many children as it may have; nothing was started.

    Attributes:
        child_id: The id in the child_spec, or the function of a task.
        supervisor: The supervisor, as text.
        max_children: How many children it may have.
    """

    def __init__(self, child_id: object, *, supervisor: str, max_children: int) -> None:
        super().__init__(
            _with_fix(
                f"start of child {child_id!r} of {supervisor}: expected fewer than its max_children={max_children}, "
                "got as many",
                "start it again when another child has ended, or give the supervisor a larger max_children=.",
            )
        )
        self.child_id = child_id
        self.supervisor = supervisor
        self.max_children = max_children


class TaskError(StanchionError):
    """A task gave no result. The subclass says why.

    Attributes:
        task: The task, as text.
    """

    def __init__(self, text: str, *, task: str) -> None:
        super().__init__(text)
        self.task = task


class TaskExitError(TaskError):
    """The task exited before it had a result; an exception that ended it is the ``__cause__`` of this one.

    Attributes:
        reason: Its exit reason.
    """

    def __init__(self, task: str, *, reason: ExitReason) -> None:
        super().__init__(f"{task}: expected a result, got its exit with reason {reason!r}", task=task)
        self.reason: ExitReason = reason


class TaskTimeoutError(TaskError, TimeoutError):
    """The task has no result yet. It goes on, but for one of a stream, which was killed.

    Attributes:
        timeout: The limit in seconds.
        rule: What gave the limit, as text: the ``timeout=`` of the call, or a rule of the node's policy.
        cut_by: The deadline that left less than the rule gave, as text; None when none did.
        doing: Where in its code the task waited at that time, as text; None where that says nothing.
        killed: Whether it was killed for that.
    """

    def __init__(
        self,
        task: str,
        *,
        timeout: float,
        killed: bool = False,
        rule: str | None = None,
        cut_by: str | None = None,
        doing: str | None = None,
    ) -> None:
        outcome = "it was killed" if killed else "it goes on"
        text = f"{task}: expected a result within {timeout:g} s, got none; {outcome}"
        if cut_by is not None:
            fix = _LONGER_DEADLINE
        elif killed:
            fix = "pass a longer timeout=, or on_timeout='kill_task' to have TaskExit('timeout', item) instead."
        else:
            fix = "pass a longer timeout=, await it again, or end it with shutdown()."
        super().__init__(_with_fix(text + _limit_lines(rule, cut_by, doing), fix), task=task)
        self.timeout = timeout
        self.rule = rule
        self.cut_by = cut_by
        self.doing = doing
        self.killed = killed


class TaskOwnerError(TaskError):
    """Somebody asked for a task who did not start it.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, task: str, *, operation: str, owner: str, caller: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation} of {task}: expected to be called by its owner, {owner}, got {caller}",
                "let the owner await it and send the result on, or start the task where it is awaited.",
            ),
            task=task,
        )
        self.operation = operation


class TaskStateError(TaskError):
    """The verb does not fit the state of the task.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, task: str, *, operation: str, expected: str, got: str, fix: str) -> None:
        super().__init__(_with_fix(f"{operation} of {task}: expected {expected}, got {got}", fix), task=task)
        self.operation = operation


class ApplicationExitError(StanchionError):
    """An application ended, and nobody had told it to.

    Attributes:
        name: The application.
        reason: The exit reason of its top supervisor; ``"shutdown"`` when that one gave up.
    """

    def __init__(self, name: str, *, reason: ExitReason) -> None:
        hint = (
            "read the log: its children crash more often than max_restarts within max_seconds allows, "
            "or somebody stopped it with this reason."
        )
        super().__init__(
            _with_fix(
                f"application {name!r}: expected to run until it is told to stop, "
                f"got the exit of its top supervisor with reason {reason!r}",
                hint if reason == "shutdown" else "",
            )
        )
        self.name = name
        self.reason = reason


class ApplicationStateError(StanchionError):
    """The verb does not fit the state of the node's applications; nothing was changed.

    Attributes:
        name: The application.
        verb: What was asked for: start or stop.
    """

    def __init__(self, name: str, *, verb: str, expected: str, got: str, fix: str) -> None:
        super().__init__(_with_fix(f"{verb} of application {name!r}: expected {expected}, got {got}", fix))
        self.name = name
        self.verb = verb


class CircuitOpenError(StanchionError):
    """A circuit breaker did not let a call through. Nothing was called or sent.

    Attributes:
        name: The breaker.
        state: The state of its circuit: ``"open"``, or ``"half_open"`` while its one probe is under way.
        reason: Why the circuit came into this state.
        elapsed: Seconds that it has been in it.
        last_failure: The last failure of a call through the breaker, as text; None before the first.
        retry_after: Seconds until a probe is let through; None when it takes something else than time: the end of the
            probe that is under way, or ``reset()`` after ``trip()``.
    """

    def __init__(
        self,
        name: str,
        *,
        state: str,
        reason: str,
        elapsed: float,
        last_failure: str | None,
        retry_after: float | None,
    ) -> None:
        if state == "half_open":
            got = "one that is half-open, whose probe is under way"
            fix = "call again when the probe has ended; it goes alone."
        elif retry_after is None:
            got = f"one that has been open for {elapsed:.1f} s ({reason})"
            fix = "close it with breaker.reset() when the cause is gone; no time does."
        else:
            got = f"one that has been open for {elapsed:.1f} s ({reason})"
            fix = f"call again in {retry_after:.1f} s, when a probe is let through, or do without."
        super().__init__(_with_fix(f"call through circuit breaker {name!r}: expected a closed circuit, got {got}", fix))
        self.name = name
        self.state = state
        self.reason = reason
        self.elapsed = elapsed
        self.last_failure = last_failure
        self.retry_after = retry_after


class DeliveryError(StanchionError):
    """A supervised send with ``on_error="raise"`` was not confirmed, or its dead letter could not be stored.

    Attributes:
        delivery: The whole outcome: reason, attempts, elapsed, message_id, dead_letter_id.
        stored: False when a dead letter was asked for and could not be stored.
    """

    def __init__(self, delivery: Delivery, *, stored: bool = True) -> None:
        meaning = "was not handled" if delivery.outcome == "rejected" else "may have been handled"
        nor = "" if stored else ", and it could not be stored as a dead letter either: it is the caller's again"
        super().__init__(
            f"send of {delivery.message_id} to {delivery.recipient}: expected a confirmation, got {delivery.outcome} "
            f"({delivery.reason_text}) after {delivery.attempts} attempts in {delivery.elapsed:.3f} s; "
            f"the message {meaning}{nor}"
        )
        self.delivery = delivery
        self.stored = stored


# --- messages and dead letters -------------------------------------------------------------------


class MessageEncodeError(StanchionError):
    """A message cannot become data, so it cannot be stored.

    Attributes:
        message_type: The type of the message.
    """

    def __init__(self, message_type: str, *, expected: str, got: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"message of type {message_type}: expected {expected}, got {got}", fix))
        self.message_type = message_type


class MessageDecodeError(StanchionError):
    """Stored data cannot become a message again.

    Attributes:
        message_type: The stored type name.
        version: The stored version.
    """

    def __init__(self, message_type: str, version: int, *, expected: str, got: str, fix: str | None = None) -> None:
        super().__init__(
            _with_fix(f"stored message of type {message_type} version {version}: expected {expected}, got {got}", fix)
        )
        self.message_type = message_type
        self.version = version


class DeadLetterError(StanchionError):
    """The base of the errors of the dead-letter queue."""


class DeadLetterNotFoundError(DeadLetterError, LookupError):
    """There is no letter with this id.

    Attributes:
        id: The id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(
            _with_fix(
                f"dead letter {id!r}: expected a stored letter with this id, got none",
                "list() shows the ids; a purged letter is gone.",
            )
        )
        self.id = id


class DeadLetterStateError(DeadLetterError):
    """The verb does not fit the letter's state; nothing was changed.

    Attributes:
        id: The letter.
        verb: What was asked for.
        state: The state it is in.
    """

    def __init__(self, id: str, *, verb: str, expected: str, state: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"{verb} of dead letter {id!r}: expected {expected}, got one that is {state}", fix))
        self.id = id
        self.verb = verb
        self.state = state


class DeadLettersClosedError(DeadLetterError):
    """The queue is not open: not yet, or no longer.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation}: expected an open dead-letter queue, got a closed one",
                "use it inside `async with`, or while the node that owns it runs.",
            )
        )
        self.operation = operation


class BulkError(DeadLetterError):
    """A verb on many letters stopped on the way; ``__cause__`` is why. What was done stays done.

    Attributes:
        verb: What was asked for.
        result: What became of the letters before it stopped.
        left: How many letters it did not come to.
    """

    def __init__(self, verb: str, *, result: BulkResult, left: int, cause: Exception) -> None:
        super().__init__(
            f"{verb} of selected letters: expected to come to all of them, "
            f"got a failure with {len(result.done)} done and {left} left: {cause}"
        )
        self.verb = verb
        self.result = result
        self.left = left


class LetterFileError(DeadLetterError):
    """A file of exported letters cannot be read or written.

    Attributes:
        file: The file, as text.
        line: The number of the line that is wrong, from 1; None when it is not about one line.
    """

    def __init__(self, file: str, *, expected: str, got: str, line: int | None = None, fix: str | None = None) -> None:
        place = file if line is None else f"{file}, line {line}"
        super().__init__(_with_fix(f"letters in {place}: expected {expected}, got {got}", fix))
        self.file = file
        self.line = line


class OutboxClosedError(StanchionError):
    """The outbox is not open: not yet, or no longer.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation}: expected an open outbox, got a closed one",
                "use it while the node that owns it runs.",
            )
        )
        self.operation = operation


# --- signals and schedules -----------------------------------------------------------------------


class RouterError(StanchionError):
    """The base of the errors of the signal router."""


class RouterClosedError(RouterError):
    """The router is not open: not yet, or no longer.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation}: expected an open router, got a closed one",
                "make the node with Node(services=[router]), and use it while that runs.",
            )
        )
        self.operation = operation


class MiddlewareError(RouterError):
    """A hook that runs before signals are routed raised, which is the ``__cause__``; the signal went to nobody.

    Attributes:
        hook: The hook, as text.
        signal_id: The id of the signal.
        signal_type: Its type.
    """

    def __init__(self, hook: str, *, signal_id: str, signal_type: str, error: Exception) -> None:
        super().__init__(
            f"signal {signal_id} of type {signal_type!r}: expected {hook} to return a signal or None, "
            f"got {type(error).__name__}: {error}; it went to nobody"
        )
        self.hook = hook
        self.signal_id = signal_id
        self.signal_type = signal_type


class SignalSizeError(RouterError, ValueError):
    """A signal carries more than the router takes; it went to nobody.

    Attributes:
        signal_id: The id of the signal.
        signal_type: Its type.
        size: The size of its data, in bytes.
        limit: The largest size that is taken, in bytes.
    """

    def __init__(self, signal_id: str, *, signal_type: str, size: int, limit: int) -> None:
        super().__init__(
            _with_fix(
                f"signal {signal_id} of type {signal_type!r}: expected at most {limit} bytes of data, got {size}",
                "keep the data elsewhere and send where it is, or make the router with a larger max_size=.",
            )
        )
        self.signal_id = signal_id
        self.signal_type = signal_type
        self.size = size
        self.limit = limit


class SubscriptionNotFoundError(RouterError, LookupError):
    """No durable subscription has this name.

    Attributes:
        name: The name that was asked for.
    """

    def __init__(self, name: str, *, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"durable subscription {name!r}: expected one that is stored, got none", fix))
        self.name = name


class SchedulerError(StanchionError):
    """The base of the errors of the scheduler."""


class SchedulerClosedError(SchedulerError):
    """The scheduler is not open: not yet, or no longer.

    Attributes:
        operation: What was tried.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(
            _with_fix(
                f"{operation}: expected an open scheduler, got a closed one",
                "make the node with Node(services=[scheduler]), and use it while that runs.",
            )
        )
        self.operation = operation


class ScheduleNotFoundError(SchedulerError, LookupError):
    """No schedule has this id: it never had, or it is over, or was cancelled.

    Attributes:
        id: The id that was asked for.
    """

    def __init__(self, id: str, *, operation: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"{operation} of schedule {id!r}: expected one that is there, got none", fix))
        self.id = id


class ScheduleIdTakenError(SchedulerError):
    """Another schedule has this id; nothing was added.

    Attributes:
        id: The id.
        holder: The schedule that has it, as text.
    """

    def __init__(self, id: str, *, holder: str) -> None:
        super().__init__(
            _with_fix(
                f"schedule {id!r}: expected a free id, got one held by {holder}",
                "choose another id, cancel that schedule first, or change it with reschedule().",
            )
        )
        self.id = id
        self.holder = holder


class StoreError(StanchionError):
    """A store failed, of letters, messages, signals or schedules; what was to be written is not stored.

    Only ``StoreUncertainError`` cannot tell.

    Attributes:
        store: The store, as text (a URL without its password).
    """

    def __init__(self, store: str, *, expected: str, got: str, fix: str | None = None) -> None:
        super().__init__(_with_fix(f"store {store}: expected {expected}, got {got}", fix))
        self.store = store


class StoreCorruptError(StoreError):
    """The file is no database, or is damaged."""


class StoreSchemaError(StoreError):
    """The schema is newer than this version of Stanchion knows; nothing was changed."""


class StoreFullError(StoreError):
    """There is no room left on the disk or in the database."""


class StoreReadOnlyError(StoreError):
    """The store, or the folder it is in, cannot be written."""


class StoreRejectedError(StoreError):
    """The store works, and cannot keep this one thing: it is too large, or its id is taken."""


class LeaseLostError(StoreError):
    """Another node has taken over what this one held; nothing was written.

    Attributes:
        lease: What was held.
        owner: Who held it, as text.
    """

    def __init__(self, store: str, *, lease: str, owner: str) -> None:
        super().__init__(store, expected=f"the lease {lease!r} to be held by {owner}", got="one that is lost")
        self.lease = lease
        self.owner = owner


class StoreUncertainError(StoreError):
    """The connection broke during the commit: either all that was written together is stored, or nothing.

    Look it up by its id before you write it again; or write it again, if twice is no harm.
    """

    def __init__(self, store: str, *, got: str) -> None:
        super().__init__(
            store,
            expected="an answer to the commit",
            got=got,
            fix="look whether it is stored; whoever wrote it does not know.",
        )
