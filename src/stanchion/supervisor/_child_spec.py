# SPDX-License-Identifier: MIT
"""child_spec: how a supervisor starts, restarts and stops one child."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Literal, Never, get_args

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, hashable, instance, known_options, one_of
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.kernel import MailboxPolicy, Name, mailbox_policy, valid_name
from stanchion.server import GenServer
from stanchion.supervisor._restart_window import RestartBudget
from stanchion.supervisor._starts import (
    AsyncFunction,
    ChildType,
    check_start,
    is_start_function,
    label_of_start,
    type_of,
)
from stanchion.timeouts import POLICY, Policy, checked_timeout

Restart = Literal["permanent", "transient", "temporary"]
"""When a child that exited is restarted: always, after an abnormal exit, or never."""

Shutdown = float | Literal["brutal_kill"] | Policy | None
"""Seconds that a child has to stop, None for no limit, POLICY for the policy's; or it is killed without being told."""

_BRUTAL_KILL: Final = "brutal_kill"
_OPTIONS: Final = (
    "id",
    "name",
    "restart",
    "shutdown",
    "mailbox",
    "timeout",
    "type",
    "significant",
    "backoff",
    "budget",
)


class ChildSpec:
    """How a supervisor starts, restarts and stops one child. Make it with ``child_spec``; it is not changed after.

    Attributes:
        id: What the child is called in its supervisor, and nowhere else.
        start: A subclass of GenServer, an async function, or a start function.
        args: The arguments of its ``init``, or of the function.
        name: The name it is registered under, or None.
        restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.
        shutdown: Seconds it has to stop, None for no limit, ``POLICY``, or ``"brutal_kill"``.
        mailbox: How many messages its mailbox takes, a ``MailboxPolicy``, or None for no limit.
        timeout: Seconds that its start may take, None for no limit, or ``POLICY``.
        type: ``"worker"`` or ``"supervisor"``.
        significant: Whether its end can shut the supervisor down.
        backoff: How long its restarts wait, or None for not at all.
        budget: How many restarts it has of its own, or None when the supervisor's are counted.

    Source: ``child_spec()`` of OTP's supervisor; its ``modules`` are for code upgrades, which Python has none of.
    """

    __slots__ = (
        "args",
        "backoff",
        "budget",
        "id",
        "mailbox",
        "name",
        "restart",
        "shutdown",
        "significant",
        "start",
        "timeout",
        "type",
    )

    def __init__(
        self,
        start: type[GenServer] | AsyncFunction,
        args: tuple[object, ...],
        *,
        id: Hashable,
        name: Name | None,
        restart: Restart,
        shutdown: Shutdown,
        mailbox: int | MailboxPolicy | None,
        timeout: Seconds | Policy | None,
        type: ChildType,
        significant: bool,
        backoff: Backoff | None,
        budget: RestartBudget | None,
    ) -> None:
        self.id = id
        self.start = start
        self.args = args
        self.name = name
        self.restart: Restart = restart
        self.shutdown: Shutdown = shutdown
        self.mailbox = mailbox
        self.timeout = timeout
        self.type: ChildType = type
        self.significant = significant
        self.backoff = backoff
        self.budget = budget

    def __repr__(self) -> str:
        return f"<child_spec {self.id!r}: {self.restart} {self.type} {label_of_start(self.start)}>"


def child_spec(
    start: type[GenServer] | AsyncFunction,
    *args: object,
    id: Hashable | None = None,
    name: Name | None = None,
    restart: Restart = "permanent",
    shutdown: Seconds | Literal["brutal_kill"] | Policy | None = POLICY,
    mailbox: int | MailboxPolicy | None = None,
    timeout: Seconds | Policy | None = POLICY,
    type: ChildType | None = None,
    significant: bool = False,
    backoff: Backoff | None = None,
    budget: RestartBudget | None = None,
    **unknown: Never,
) -> ChildSpec:
    """Say how a supervisor starts, restarts and stops one child.

    For a child that is itself a supervisor, ``supervisor_spec`` is the better choice: it takes the supervisor's options.

    Args:
        start: A subclass of GenServer; or an async function, which runs as a plain process, or which, marked by
            ``start_function``, starts the process.
        args: The arguments of its ``init``, or of the function: the same objects at each start, so a child that is to
            begin afresh copies what it changes.
        id: What the child is called in its supervisor: anything hashable, unique there. By default ``name``, else the
            qualified name of ``start``.
        name: The name or via address to register at each start, or None. A start function names the process itself.
        restart: ``"permanent"``: restarted whenever it exits. ``"transient"``: when it exits with another reason than
            normal, shutdown or (shutdown, term). ``"temporary"``: never, and forgotten when it exits.
        shutdown: Seconds it has to stop when it is told to, and then it is killed; None for no limit, 0 for at once.
            ``"brutal_kill"`` kills it without telling it. By default what the node's ``TimeoutPolicy`` says then: for a
            worker of ``stanchion.shutdown`` (5.0), for a supervisor of ``stanchion.shutdown_supervisor`` (60.0). No
            deadline of whoever has it stopped cuts it.
        mailbox: How many messages its mailbox takes before it refuses, or a ``MailboxPolicy``; None for no limit. Not for
            a start function.
        timeout: Seconds that its ``init``, or the start function, may take; None for no limit. By default what the
            node's ``TimeoutPolicy`` says of ``stanchion.init``, and for a supervisor, whose children start in it, of
            ``stanchion.init_supervisor`` (60.0).
        type: ``"worker"`` or ``"supervisor"``; by default what the class is, and a worker where there is no class.
        significant: Whether its end can shut the supervisor down; see ``Supervisor.init(auto_shutdown)``. Only for a
            transient or temporary child.
        backoff: How long its restarts wait; None for not at all. The n-th restart in a row waits
            ``backoff.delay(n)``. A row ends when the child has run for ``backoff.maximum`` seconds; the next restart is
            again the first. Meanwhile its state is ``"restarting"``, and those whom the strategy restarts with it are
            stopped. Beyond OTP.
        budget: How many restarts it has of its own; None when they count among those of the supervisor. Beyond OTP.
        unknown: No other option is known; the error names the nearest one.

    Raises:
        ChildSpecError: ``start`` is none of these, or the options contradict each other.
        InvalidOptionError: an option is unknown, or its value is wrong.

    Source: ``child_spec()`` of OTP's supervisor; there, a supervisor has no limit for its start and its stop.
    """
    _check_options(unknown)
    check_start(start)
    if name is not None:
        valid_name("child_spec(name)", name)
    if id is None:
        id = label_of_start(start) if name is None else name
    hashable("child_spec(id)", id)
    one_of("child_spec(restart)", restart, get_args(Restart))
    mailbox_policy("child_spec(mailbox)", mailbox)
    timeout = checked_timeout("child_spec(timeout)", timeout)
    if type is not None:
        one_of("child_spec(type)", type, get_args(ChildType))
    if not isinstance(significant, bool):
        raise InvalidOptionError("child_spec(significant)", expected="True or False", got=cut(significant))
    if backoff is not None:
        instance("child_spec(backoff)", backoff, Backoff)
    if budget is not None:
        instance("child_spec(budget)", budget, RestartBudget)
    spec = ChildSpec(
        start,
        args,
        id=id,
        name=name,
        restart=restart,
        shutdown=checked_shutdown("child_spec(shutdown)", shutdown),
        mailbox=mailbox,
        timeout=timeout,
        type=type or type_of(start),
        significant=significant,
        backoff=backoff,
        budget=budget,
    )
    _check_contradictions(spec)
    return spec


def checked_spec(spec: object) -> ChildSpec:
    """Return ``spec`` when it is one.

    Raises:
        ChildSpecError: it is not.
    """
    if isinstance(spec, ChildSpec):
        return spec
    fix = f"write child_spec({label_of_start(spec)})." if callable(spec) else None
    raise ChildSpecError(None, expected="what child_spec() returns", got=cut(spec), fix=fix)


def checked_shutdown(subject: str, shutdown: Seconds | Literal["brutal_kill"] | Policy | None) -> Shutdown:
    """Return a shutdown time as float seconds, None for no limit, POLICY, or ``"brutal_kill"``.

    Raises:
        InvalidOptionError: it is none of these.
    """
    if isinstance(shutdown, str):
        one_of(subject, shutdown, (_BRUTAL_KILL,))
        return _BRUTAL_KILL
    return checked_timeout(subject, shutdown)


def _check_options(unknown: dict[str, Never]) -> None:
    for option in unknown:
        if option in ("strategy", "max_restarts", "max_seconds", "auto_shutdown"):
            raise InvalidOptionError(
                "child_spec(options)",
                expected="options among " + ", ".join(_OPTIONS),
                got=repr(option),
                fix=f"write supervisor_spec(children, {option}=...).",
            )
    known_options("child_spec(options)", unknown, _OPTIONS)


def _check_contradictions(spec: ChildSpec) -> None:
    """Raise when options, each of which is right, do not go together."""
    if spec.significant and spec.restart == "permanent":
        raise ChildSpecError(
            spec.id,
            expected="restart='transient' or 'temporary' for a significant child",
            got="'permanent'",
            fix="pass restart='transient'; a permanent child is always restarted, so its exit is never an end.",
        )
    for option in ("backoff", "budget"):
        if spec.restart == "temporary" and getattr(spec, option) is not None:
            raise ChildSpecError(
                spec.id,
                expected=f"restart='permanent' or 'transient' for a child with {option}=",
                got="'temporary'",
                fix=f"leave out {option}=; a temporary child is never restarted.",
            )
    for option in ("name", "mailbox"):
        if is_start_function(spec.start) and getattr(spec, option) is not None:
            raise ChildSpecError(
                spec.id,
                expected=f"no {option}= for a start function",
                got=cut(getattr(spec, option)),
                fix=f"pass {option}= to the start_link() or spawn_link() in {label_of_start(spec.start)}().",
            )
