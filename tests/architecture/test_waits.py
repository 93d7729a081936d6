# SPDX-License-Identifier: MIT
"""No public wait is for ever unless that is written out.

Whatever is public and waits, a coroutine or an asynchronous iterator, has a time limit: a parameter that says it, with
a finite default or none at all. And no parameter that is a time has the default None, which means no limit. The tables
say what is excused and why; what needs no excuse any more must go out of them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections import ChainMap
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from types import ModuleType
from typing import ClassVar, NamedTuple

import pytest

import stanchion
from stanchion.kernel import Service
from stanchion.server import GenServer
from stanchion.timeouts import POLICY, Operation, Policy, TimeoutPolicy, _operations
from tests.architecture.stations import fronts

Seconds = float | timedelta

TIME = re.compile(r"(^|_)(timeout|deadline|grace|within)$|^shutdown$")
"""The names of parameters that limit a wait."""

IN_SECONDS = re.compile(r"^(\w+ \| )*(Seconds|timedelta)\b")
"""What the annotation of a parameter begins with that is a time, whatever it is called."""

AWAITED = re.compile(r"^(\w+\.)?(Async\w+|AbstractAsync\w+|Awaitable|Coroutine|Future|Task)\[")
"""What the annotation of a function begins with whose result is awaited, or iterated or entered asynchronously."""

Excuses = Mapping[str, Mapping[str, str]]
"""By the reason: what is excused, as names by class or station."""

_STORE = "open close write get find page keys claim end_claims next_due count delete remove"

NO_LIMIT = {
    "a service of the node, each step of whose opening and closing has a limit: of a database, a hook, a process": {
        "dead_letters.DeadLetterQueue": "open close __aenter__ __aexit__",
        "outbox.Outbox": "open close",
        "delivery.OutboxDelivery": "open close",
        "delivery.Redelivery": "open close",
        "router.SignalRouter": "open close",
        "scheduler.SchedulerManager": "open close",
    },
    "its processes have its shutdown_timeout, and its services the limits above": {
        "kernel.Node": "__aenter__ __aexit__"
    },
    "a database has limits of its own: busy_timeout, or connect_timeout and timeout": {
        "storage.Database": "open close write read",
        "storage.SqliteDatabase": "open close write read",
        "storage.PostgresDatabase": "open close write read",
        "storage.GroupCommit": "room put close",
        "storage.Lease": "open close hold write",
        "dead_letters.Store": _STORE,
        "dead_letters.MemoryStore": _STORE,
        "dead_letters.SqlStore": _STORE,
        "dead_letters.DeadLetterQueue": "add get list stats lineage export import_ select retry replay discard purge "
        "enforce_retention claim_due delivered failed release next_due",
        "dead_letters.Selection": "retry replay discard purge",
        "outbox.Outbox": "count put wait_room note_under_way has was_handled remember",
        "router.SignalRouter": "replay redrive forget durable_subscriptions",
        "scheduler.SchedulerManager": "pause resume trigger reschedule cancel list info next_run_times",
        "scheduler.Schedule": "info next_run_times pause resume trigger reschedule cancel",
    },
    "whoever iterates over what is still to come leaves when it likes": {
        "dead_letters.Subscription": "__anext__",
        "router.SignalStream": "__anext__",
    },
    "it is what a process runs, and ends with the process": {"outbox.Outbox": "work"},
    "who reads a mailbox is its process, within a wait that has a limit, or none since it is its work": {
        "kernel.Mailbox": "wait"
    },
    "asyncio's own signature": {"testing.VirtualTimeLoop": "run_in_executor"},
    "it waits for nothing": {
        "breakers.CircuitBreaker": "__aenter__ __aexit__",
        "router.SignalStream": "__aenter__ __aexit__ aclose",
        "monitors.MonitorGroup": "__aenter__ __aexit__",
        "monitors.Monitoring": "__aenter__ __aexit__",
        "kernel.DeadlineScope": "__aenter__ __aexit__",
    },
    "the object was made with a limit": {
        "server.Starting": "ready",
        "delivery.CreditSender": "cast __aenter__ __aexit__",
    },
    "the options that it is given have the limits": {"delivery.OutboxDelivery": "send"},
    "the supervisor's answer has the policy's limit": {
        "supervisor.TaskSupervisor": "async_ async_nolink",
        "testing": "start_supervised",
    },
    "it awaits what a server's callback returned, or answers for the server's loop": {
        "server": "finished answer_system"
    },
    "it lasts so many turns of the loop at most": {
        "testing": "wait_quiet advance",
        "testing.VirtualTimeLoop": "quiet",
    },
}
"""Public coroutines without a time limit, by the reason why each is excused."""

NO_DEFAULT = {
    "how long something is kept": {
        "Node": "__init__(remember_keys)",
        "outbox.Outbox": "__init__(remember_keys)",
        "dead_letters.Retention": "__init__(exhausted)",
        "dead_letters.DeadLetterQueue": "purge(older_than)",
    },
    "a bound of limits, which are finite without it": {"timeouts.TimeoutPolicy": "__init__(minimum) __init__(maximum)"},
    "how late something is done at all, which is no wait": {
        "scheduler.SchedulerManager": "at(misfire_grace) after(misfire_grace) every(misfire_grace) cron(misfire_grace)",
    },
    "what is to be explained": {"timeouts.TimeoutPolicy": "explain(deadline) decide(deadline)"},
    "how often a file is looked at": {"timeouts.TimeoutPolicy": "load(watch)"},
    "asyncio's own signature": {"testing.VirtualTimeLoop": "shutdown_default_executor(timeout)"},
}
"""Parameters that are a time and may have the default None, by the reason why each is excused."""


OURS = ("stanchion.", __name__)
"""What the modules of private bases are called that are looked at."""

DUNDERS = {"__init__", "__call__", "__await__", "__aenter__", "__aexit__", "__anext__"}
"""The methods with underscores that users call."""


class Public(NamedTuple):
    """One public function or method."""

    name: str
    function: Callable[..., object]


def public(modules: list[ModuleType]) -> Iterator[Public]:
    """Yield the functions of ``__all__`` and the public methods of its classes, each once."""
    seen: set[object] = set()
    for module in modules:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            home = f"{module.__name__}.{name}".removeprefix("stanchion.")
            function = function_of(value)
            if not isinstance(value, type) and function is None:
                continue
            if value in seen:
                continue
            seen.add(value)
            if function is not None:
                yield Public(home, function)
            elif not issubclass(value, BaseException):  # an error tells of a wait
                yield from methods(home, value)


def function_of(value: object) -> Callable[..., object] | None:
    """Return the function that something is, or is made of by a decorator; None when it is something else."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property | functools.partial | functools.partialmethod):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else None
    return value if inspect.isfunction(value) else None


def methods(home: str, kind: type) -> Iterator[Public]:
    """Yield the public methods and properties of a class, and of those of its bases that are not public themselves.

    Not the callbacks, for whose ends others wait, with limits.
    """
    private = [base for base in kind.__mro__[1:] if is_private(base) and base.__module__.startswith(OURS)]
    for name, value in ChainMap(*(dict(vars(base)) for base in (kind, *private))).items():
        function = function_of(value)
        if function is None or isinstance(value, type) or (name.startswith("_") and name not in DUNDERS):
            continue
        if issubclass(kind, GenServer) and hasattr(GenServer, name) and name != "__init__":
            continue
        if kind is Service:
            continue
        yield Public(f"{home}.{name}", function)


def is_private(base: type) -> bool:
    """Say whether users cannot import a class: its name is private, or the module is that has it."""
    return any(name.startswith("_") for name in (base.__name__, *base.__module__.split(".")))


def waits(function: Callable[..., object]) -> bool:
    """Say whether it is a coroutine function, or gives what is awaited, or iterated or entered asynchronously."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return True
    return function.__name__ == "__await__" or bool(AWAITED.match(str(inspect.signature(function).return_annotation)))


def limits(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters that are a time."""
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if TIME.search(one.name) or IN_SECONDS.match(str(one.annotation))]


def is_finite(default: object) -> bool:
    """Say whether a default, or none at all, leaves no wait without an end."""
    if isinstance(default, timedelta):
        default = default.total_seconds()
    if isinstance(default, int | float):
        return default < float("inf")
    return default is inspect.Parameter.empty or default is not None


def unlimited(found: list[Public], excused: Excuses) -> list[str]:
    """Name the waits without a limit that nobody has excused, and the excuses that nobody needs."""
    names = {one.name for one in found if waits(one.function) and not any(map(bounds, limits(one.function)))}
    return differences(names, excused)


def bounds(parameter: inspect.Parameter) -> bool:
    """Say whether a parameter bounds the wait of its function, rather than something that the function makes."""
    return TIME.search(parameter.name) is not None and not parameter.name.endswith("shutdown")


def endless(found: list[Public], excused: Excuses) -> list[str]:
    """Name the parameters with a default that is no limit, and that nobody has excused; and the needless excuses."""
    names = {
        f"{one.name}({parameter.name})"
        for one in found
        for parameter in limits(one.function)
        if not is_finite(parameter.default)
    }
    return differences(names, excused)


def differences(names: set[str], excused: Excuses) -> list[str]:
    """Say which names are not excused, and which excuses name nothing."""
    known = {f"{home}.{name}" for homes in excused.values() for home, names in homes.items() for name in names.split()}
    wrong = [f"{name}: expected a finite default, a limit that must be given, or an excuse" for name in names - known]
    return sorted(wrong + [f"{name}: its excuse is needed no more" for name in known - names])


def everything() -> list[Public]:
    """Return all that is public."""
    return list(public([*fronts(), stanchion]))


def test_every_public_wait_has_a_limit() -> None:
    assert unlimited(everything(), NO_LIMIT) == []


def test_no_time_limit_is_by_default_none() -> None:
    assert endless(everything(), NO_DEFAULT) == []


def test_servers_have_a_finite_limit_for_their_start() -> None:
    classes = [value for module in fronts() for value in vars(module).values() if isinstance(value, type)]
    servers = [one for one in classes if issubclass(one, GenServer)]
    assert len(servers) > 5
    assert {one.start_timeout for one in servers} == {POLICY}


def test_policy_gives_each_wait_of_the_runtime_a_finite_limit() -> None:
    policy = TimeoutPolicy()
    own = [value for value in vars(_operations).values() if isinstance(value, Operation)]
    assert len(own) > 20
    assert all(0 < policy.limit("server", None, one) < float("inf") for one in own)


# --- it can fail ---------------------------------------------------------------------------------


async def for_ever(ref: object) -> None: ...


async def for_ever_by_default(ref: object, *, timeout: Seconds | None = None) -> None: ...


async def for_ever_by_default_under_another_name(ref: object, *, patience_of: Seconds | None = None) -> None: ...


async def for_ever_by_infinity(ref: object, *, timeout: Seconds | None = float("inf")) -> None: ...


def in_parts(ref: object) -> AsyncGenerator[int, None]:
    raise NotImplementedError


def later(ref: object) -> Awaitable[int]:
    raise NotImplementedError


@asynccontextmanager
async def held(ref: object) -> AsyncGenerator[None, None]:
    yield


@functools.wraps(for_ever)
def decorated(*args: object) -> object:
    return for_ever(*args)


async def ends_something_else(ref: object, *, shutdown: Seconds | Policy = POLICY) -> None: ...


def makes(*, shutdown: Seconds | None = None) -> None: ...


async def by_the_policy(ref: object, *, timeout: Seconds | Policy | None = POLICY) -> None: ...


async def by_a_number(ref: object, *, timeout: Seconds | None = 5.0) -> None: ...


async def by_a_duration(ref: object, *, within: Seconds | None = timedelta(seconds=5)) -> None: ...


async def as_it_must_be_told(ref: object, *, timeout: Seconds | None) -> None: ...


def answers(ref: object) -> int:
    raise NotImplementedError


class _Base:
    async def inherited(self) -> None: ...


class Client(_Base):
    timeout: ClassVar[float] = 5.0

    def __init__(self, *, timeout: Seconds | None = None) -> None: ...

    async def fetch(self) -> None: ...

    @staticmethod
    async def of(ref: object) -> None: ...

    @property
    def answer(self) -> Awaitable[int]:
        raise NotImplementedError

    def __await__(self) -> Generator[None, None, None]:
        raise NotImplementedError

    async def _fetch(self) -> None: ...


class Server(GenServer):
    async def init(self) -> None: ...

    async def handle_call(self, request: object, sender: object, /) -> object: ...

    async def status(self) -> None: ...


def forged(*functions: Callable[..., object]) -> list[Public]:
    return [Public(f"forged.{function.__name__}", function) for function in functions]


@pytest.mark.parametrize("function", [for_ever, in_parts, later, ends_something_else])
def test_wait_without_a_limit_is_found(function: Callable[..., object]) -> None:
    name = f"forged.{function.__name__}"
    problem = f"{name}: expected a finite default, a limit that must be given, or an excuse"
    assert unlimited(forged(function), {}) == [problem]


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (for_ever_by_default, "timeout"),
        (for_ever_by_default_under_another_name, "patience_of"),
        (for_ever_by_infinity, "timeout"),
        (makes, "shutdown"),
    ],
)
def test_default_that_is_no_limit_is_found(function: Callable[..., object], parameter: str) -> None:
    name = f"forged.{function.__name__}({parameter})"
    problem = f"{name}: expected a finite default, a limit that must be given, or an excuse"
    assert endless(forged(function), {}) == [problem]


@pytest.mark.parametrize("function", [by_the_policy, by_a_number, by_a_duration, as_it_must_be_told, answers])
def test_what_has_a_limit_is_left_alone(function: Callable[..., object]) -> None:
    assert unlimited(forged(function), {}) == []
    assert endless(forged(function), {}) == []


def test_methods_of_a_class_are_looked_at() -> None:
    names = {one.name for one in methods("Client", Client)}
    waiting = {f"Client.{name}" for name in ("fetch", "of", "answer", "inherited", "__await__")}
    assert names == {"Client.__init__", *waiting}
    assert {one.name for one in methods("Client", Client) if waits(one.function)} == waiting


def test_methods_of_a_base_that_users_cannot_import_are_looked_at() -> None:
    names = {one.name for one in methods("SignalRouter", stanchion.SignalRouter)}
    assert {"SignalRouter.publish", "SignalRouter.subscribe_durable", "SignalRouter.replay"} <= names


@pytest.mark.parametrize(
    "value", [for_ever, decorated, held, functools.partial(for_ever, 1), functools.cache(for_ever)]
)
def test_function_in_whatever_guise_is_looked_at(value: object) -> None:
    function = function_of(value)
    assert function is not None
    assert waits(function)


def test_what_is_no_function_is_left_alone() -> None:
    assert [function_of(value) for value in (POLICY, 5.0, Seconds, Excuses)] == [None] * 4


def test_callbacks_of_a_server_are_not_looked_at() -> None:
    assert [one.name for one in methods("Server", Server)] == ["Server.status"]


def test_name_that_is_excused_is_left_alone() -> None:
    assert unlimited(forged(for_ever), {"it waits for nothing": {"forged": "for_ever"}}) == []


def test_excuse_that_is_needed_no_more_is_found() -> None:
    assert unlimited(forged(by_a_number), {"it waits for nothing": {"forged": "by_a_number"}}) == [
        "forged.by_a_number: its excuse is needed no more"
    ]
