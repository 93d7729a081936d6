# SPDX-License-Identifier: MIT
"""child_spec: how a supervisor starts, restarts and stops one child."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Hashable, Iterable
from functools import partial
from typing import Final, Literal, Never, get_args

from stanchion._validate import Seconds, cut, known_options, one_of, seconds_or_none, whole_number
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.kernel import valid_name
from stanchion.server import POLICY, GenServer, Policy

AsyncFunction = Callable[..., Coroutine[object, object, object]]

Restart = Literal["permanent", "transient", "temporary"]
"""When a child that exited is restarted: always, after an abnormal exit, or never."""

ChildType = Literal["worker", "supervisor"]
"""What a child is."""

Shutdown = float | Literal["brutal_kill"] | None
"""Seconds that a child has to stop, None for no limit; or it is killed without being told."""

_BRUTAL_KILL: Final = "brutal_kill"
_WORKER_SHUTDOWN: Final = 5.0
_OPTIONS: Final = ("id", "name", "restart", "shutdown", "mailbox", "timeout")


class ChildSpec:
    """How a supervisor starts, restarts and stops one child. Make it with ``child_spec``; it is not changed after.

    Attributes:
        id: What the child is called in its supervisor, and nowhere else.
        start: A subclass of GenServer, or an async function.
        args: The arguments of its ``init``, or of the function.
        name: The name it is registered under, or None.
        restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.
        shutdown: Seconds it has to stop, None for no limit, or ``"brutal_kill"``.
        mailbox: How many messages its mailbox takes, or None for no limit.
        timeout: Seconds that its ``init`` may take, None for no limit, or ``POLICY``.
        type: ``"worker"`` or ``"supervisor"``.

    Source: ``child_spec()`` of OTP's supervisor.
    """

    __slots__ = ("args", "id", "mailbox", "name", "restart", "shutdown", "start", "timeout", "type")

    def __init__(
        self,
        start: type[GenServer] | AsyncFunction,
        args: tuple[object, ...],
        *,
        id: Hashable,
        name: str | None,
        restart: Restart,
        shutdown: Shutdown,
        mailbox: int | None,
        timeout: Seconds | Policy | None,
    ) -> None:
        self.id = id
        self.start = start
        self.args = args
        self.name = name
        self.restart: Restart = restart
        self.shutdown: Shutdown = shutdown
        self.mailbox = mailbox
        self.timeout = timeout
        self.type: ChildType = _type_of(start)

    def __repr__(self) -> str:
        return f"<child_spec {self.id!r}: {self.restart} {self.type} {_label(self.start)}>"


def child_spec(
    start: type[GenServer] | AsyncFunction,
    *args: object,
    id: Hashable | None = None,
    name: str | None = None,
    restart: Restart = "permanent",
    shutdown: Seconds | Literal["brutal_kill"] | Policy | None = POLICY,
    mailbox: int | None = None,
    timeout: Seconds | Policy | None = POLICY,
    **unknown: Never,
) -> ChildSpec:
    """Say how a supervisor starts, restarts and stops one child.

    For a child that is itself a supervisor, ``supervisor_spec`` is the better choice: it takes the supervisor's options.

    Args:
        start: A subclass of GenServer; or an async function, which runs as a plain process.
        args: The arguments of its ``init``, or of the function: the same objects at each start, so a child that is to
            begin afresh copies what it changes.
        id: What the child is called in its supervisor: anything hashable, unique there. By default ``name``, else the
            qualified name of ``start``.
        name: The name to register at each start, or None.
        restart: ``"permanent"``: restarted whenever it exits. ``"transient"``: when it exits with another reason than
            normal, shutdown or (shutdown, term). ``"temporary"``: never, and forgotten when it exits.
        shutdown: Seconds it has to stop when it is told to, and then it is killed; None for no limit, 0 for at once.
            ``"brutal_kill"`` kills it without telling it. By default 5.0, and None for a supervisor.
        mailbox: How many messages its mailbox takes before it refuses; None for no limit.
        timeout: Seconds that its ``init`` may take; None for no limit. By default the node's ``call_timeout``, and
            no limit for a supervisor, whose children have theirs.
        unknown: No other option is known; the error names the nearest one.

    Raises:
        ChildSpecError: ``start`` is neither.
        InvalidOptionError: an option is unknown, or its value is wrong.

    Source: ``child_spec()`` of OTP's supervisor.
    """
    _check_options(unknown)
    _check_start(start)
    if name is not None:
        valid_name("child_spec(name)", name)
    if id is None:
        id = _label(start) if name is None else name
    hashable("child_spec", id)
    one_of("child_spec(restart)", restart, get_args(Restart))
    if mailbox is not None:
        whole_number("child_spec(mailbox)", mailbox, at_least=1)
    if timeout is not POLICY:
        timeout = seconds_or_none("child_spec(timeout)", timeout)
    return ChildSpec(
        start,
        args,
        id=id,
        name=name,
        restart=restart,
        shutdown=_shutdown(shutdown, _type_of(start)),
        mailbox=mailbox,
        timeout=timeout,
    )


def checked_specs(subject: str, children: Iterable[ChildSpec]) -> list[ChildSpec]:
    """Return the specs as a list: each is one, and no two have the same id.

    Raises:
        InvalidOptionError: ``children`` is no iterable.
        ChildSpecError: something in it is no ChildSpec, or an id comes twice.
    """
    if not isinstance(children, Iterable):
        raise InvalidOptionError(
            subject, expected="a list of child specs", got=cut(children), fix="put it into a list: [child_spec(...)]."
        )
    specs: dict[Hashable, ChildSpec] = {}
    for spec in children:
        checked_spec(spec)
        if spec.id in specs:
            raise ChildSpecError(
                spec.id,
                expected="an id that no other child of the supervisor has",
                got=f"{specs[spec.id]!r} and {spec!r}",
                fix="pass id= to one of them.",
            )
        specs[spec.id] = spec
    return list(specs.values())


def checked_spec(spec: object) -> ChildSpec:
    """Return ``spec`` when it is one.

    Raises:
        ChildSpecError: it is not.
    """
    if isinstance(spec, ChildSpec):
        return spec
    fix = f"write child_spec({_label(spec)})." if callable(spec) else None
    raise ChildSpecError(None, expected="what child_spec() returns", got=cut(spec), fix=fix)


def hashable(operation: str, id: Hashable) -> Hashable:
    """Return ``id`` when it can be a child's.

    Raises:
        InvalidOptionError: it has no hash.
    """
    try:
        hash(id)
    except Exception:
        raise InvalidOptionError(f"{operation}(id)", expected="something hashable, a string say", got=cut(id)) from None
    return id


def _check_options(unknown: dict[str, Never]) -> None:
    for option in unknown:
        if option in ("strategy", "max_restarts", "max_seconds"):
            raise InvalidOptionError(
                "child_spec(options)",
                expected="options among " + ", ".join(_OPTIONS),
                got=repr(option),
                fix=f"write supervisor_spec(children, {option}=...).",
            )
    known_options("child_spec(options)", unknown, _OPTIONS)


def _check_start(start: object) -> None:
    if _can_start(start):
        return
    got = cut(start)
    fix = None
    if isinstance(start, type):
        fix = f"derive {start.__name__} from GenServer."
    elif isinstance(start, GenServer):
        fix = "pass the class, and the arguments of init after it."
    elif inspect.iscoroutine(start):
        start.close()
        fix = "pass the function itself, and its arguments after it."
    elif callable(start):
        fix = "make it an `async def`."
    raise ChildSpecError(None, expected="a subclass of GenServer, or an async function", got=got, fix=fix)


def _can_start(start: object) -> bool:
    if isinstance(start, type):
        return issubclass(start, GenServer)
    # The second is an object whose __call__ is async.
    return inspect.iscoroutinefunction(start) or inspect.iscoroutinefunction(getattr(start, "__call__", None))  # noqa: B004


def _shutdown(value: object, child_type: ChildType) -> Shutdown:
    if value is POLICY:
        return _WORKER_SHUTDOWN if child_type == "worker" else None
    if isinstance(value, str):
        one_of("child_spec(shutdown)", value, (_BRUTAL_KILL,))
        return _BRUTAL_KILL
    return seconds_or_none("child_spec(shutdown)", value)


def _type_of(start: object) -> ChildType:
    # An attribute of the class and not its base: supervisors of other kinds are no subclasses of Supervisor.
    return "supervisor" if getattr(start, "supervises", False) else "worker"


def _label(start: object) -> str:
    if isinstance(start, partial):
        return _label(start.func)  # it has no name of its own
    return getattr(start, "__qualname__", type(start).__name__)
