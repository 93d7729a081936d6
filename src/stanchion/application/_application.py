# SPDX-License-Identifier: MIT
"""The application: a whole tree under one name, with its configuration and what it depends on."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, overload

from stanchion._validate import callable_or_none, cut, one_of, word
from stanchion.application._config import ConfigSource, configs_of, is_file, read_tables
from stanchion.application._controller import controller_of
from stanchion.application._master import RestartType
from stanchion.errors import InvalidOptionError, StanchionError, StartError
from stanchion.kernel import current_node
from stanchion.supervisor import ChildSpec, Flags, Strategy, checked_flags
from stanchion.timeouts import POLICY, checked_timeout

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.kernel import Pid
    from stanchion.timeouts import Policy

_C = TypeVar("_C")


class Application:
    """A tree of processes with a name: what ``run`` runs, and what a node can be asked to start.

    It describes the tree and holds nothing that runs, so it can be started in several nodes, and again after it has
    stopped. Applications that others depend on are started before them and stopped after them.

    Attributes:
        name: What it is called; its table in a configuration file is called so too.
        supervisor_name: The name that its top supervisor is registered under: ``name`` with ``_sup`` after it.
        depends_on: The applications that must run while it does.
        all_dependencies: Those, and what they depend on, each behind what it depends on itself.
        config: The class of its configuration, or None.

    Example:
        >>> import asyncio
        >>> from dataclasses import dataclass
        >>> import stanchion as st
        >>> @dataclass
        ... class Words:
        ...     greeting: str = "hello"
        >>> class Greeter(st.GenServer):
        ...     def init(self, greeting):
        ...         self.greeting = greeting
        ...     def handle_call(self, request, sender):
        ...         return f"{self.greeting}, {request}"
        >>> def children(words):
        ...     return [st.child_spec(Greeter, words.greeting, name="greeter")]
        >>> app = st.Application("greetings", config=Words, children=children)
        >>> async def main():
        ...     async with st.Node():
        ...         await app.start(config={"greetings": {"greeting": "good morning"}})
        ...         return await st.call("greeter", "world")
        >>> asyncio.run(main())
        'good morning, world'

    Source: OTP's application. The description is this object and no file, so a cycle of dependencies cannot be
    written; and the processes of an application are those of its tree (OTP also ends others that were started there).
    """

    @overload
    def __init__(
        self,
        name: str,
        *,
        children: Iterable[ChildSpec] | Callable[[], Iterable[ChildSpec]],
        depends_on: Iterable[Application] = (),
        prep_stop: Callable[[], object] | None = None,
        stop: Callable[[], object] | None = None,
        callback_timeout: Seconds | Policy | None = POLICY,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
    ) -> None: ...
    @overload
    def __init__(
        self,
        name: str,
        *,
        config: type[_C],
        children: Iterable[ChildSpec] | Callable[[_C], Iterable[ChildSpec]],
        depends_on: Iterable[Application] = (),
        prep_stop: Callable[[_C], object] | None = None,
        stop: Callable[[_C], object] | None = None,
        callback_timeout: Seconds | Policy | None = POLICY,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        children: Iterable[ChildSpec] | Callable[..., Iterable[ChildSpec]],
        config: type[object] | None = None,
        depends_on: Iterable[Application] = (),
        prep_stop: Callable[..., object] | None = None,
        stop: Callable[..., object] | None = None,
        callback_timeout: Seconds | Policy | None = POLICY,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
    ) -> None:
        """Describe a tree; nothing runs before ``start`` or ``run``.

        With ``config``, the functions below are called with the configuration, and without it with nothing.

        Args:
            name: A word without spaces or dots.
            children: What ``child_spec`` and ``supervisor_spec`` returned; their ids must differ. Or a function that
                returns them, called at each start, after those that it depends on have started.
            config: A dataclass, or a ``msgspec.Struct``, that says which keys the application's table has, of which
                types and with which defaults. None for an application without configuration.
            depends_on: The applications that are started before it, and stopped after it.
            prep_stop: Called before the tree stops, ``def`` or ``async def``: to refuse new work, say. Also when the
                tree has ended by itself.
            stop: Called after the tree has stopped.
            callback_timeout: Seconds that ``prep_stop`` and ``stop`` may take each, and then it is killed; None for
                no limit. By default what the node's ``TimeoutPolicy`` says of ``stanchion.application_callback`` (5.0).
                One that raises is logged, and what follows goes on.
            strategy: The top supervisor's: ``"one_for_one"``, ``"one_for_all"`` or ``"rest_for_one"``.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.

        Raises:
            ChildSpecError: something in ``children`` is no spec, or an id comes twice.
            InvalidOptionError: another argument is wrong, or two applications that it depends on have one name.
        """
        self.name: Final = word("Application(name)", name)
        self.supervisor_name: Final = f"{name}_sup"
        self.config: Final = _checked_config(config)
        self.depends_on: Final = _checked_applications(depends_on)
        self.all_dependencies: Final[tuple[Application, ...]] = tuple(
            dict.fromkeys(one for app in self.depends_on for one in (*app.all_dependencies, app))
        )
        self._prep_stop: Final = self._checked_function("prep_stop", prep_stop)
        self._stop: Final = self._checked_function("stop", stop)
        self._callback_timeout: Final = checked_timeout("Application(callback_timeout)", callback_timeout)
        function: Callable[..., Iterable[ChildSpec]] | None = None
        specs: Iterable[ChildSpec] = ()
        if callable(children) and not isinstance(children, type):
            function = children
        else:
            specs = cast("Iterable[ChildSpec]", children)
        self._children: Final = self._checked_function("children", function)
        self._flags: Final = checked_flags("Application", specs, strategy, max_restarts, max_seconds)
        self._check_names()

    async def start(
        self,
        *,
        config: ConfigSource | None = None,
        type: RestartType = "temporary",
        timeout: Seconds | Policy | None = POLICY,
    ) -> Pid:
        """Start the tree on the node of the running code, and wait until all of it has started.

        Those that it depends on, and that do not run there yet, are started before it, with the same ``config`` and
        ``type``; when one does not start, those that this call started are stopped again, but for what others depend
        on by then. It stops in order when the node is left, or by ``stop``.

        Args:
            config: A TOML file, or a mapping, with a table for each application that has a ``config``: this one and
                those that it depends on. None, and keys that are not there, leave the defaults. An environment
                variable goes first: ``SHOP__SMTP__HOST`` for the key ``host`` of the table ``[shop.smtp]``.
            type: What it means for the node when the application ends without ``stop``. ``"permanent"``: the others
                are stopped too, and ``run`` ends. ``"transient"``: the same, unless its top supervisor ended with
                reason ``"normal"``. ``"temporary"``: nothing but a line in the log.
            timeout: Seconds that its tree may take to start, and that of each that it depends on; None for no limit. By
                default what the node's ``TimeoutPolicy`` says of ``stanchion.init_supervisor`` (60.0).

        Returns:
            The pid of the top supervisor.

        Raises:
            ApplicationConfigError: the configuration is wrong. Nothing was started.
            ApplicationStateError: it runs or starts already, another application has its name, one that it depends
                on ended meanwhile, or the calling process belongs to one that this call would have to wait for.
            ChildStartError: a child did not start; those before it have been stopped.
            StopTimeoutError: one of them has begun to stop, and did not end in time.
            StartError: it took too long, was told to stop before it had started, or its ``children`` function raised.
            ChildSpecError: the ``children`` function returned what is no spec, or an id comes twice.
            NameTakenError: the name of its top supervisor is taken.
            InvalidOptionError: an argument is wrong.
            NoNodeError: the code runs outside of every node.
            NodeStateError: the node is stopping.

        Cancellation: what this call started is killed, but for what others depend on by then.

        Source: ``application:ensure_all_started/2``; a second start is an error, as that of ``application:start/2``.
        """
        node = current_node("Application.start()")
        one_of("Application.start(type)", type, get_args(RestartType))
        checked_timeout("Application.start(timeout)", timeout)
        found = await asyncio.to_thread(read_tables, config) if is_file(config) else read_tables(config)
        configs = configs_of((*self.all_dependencies, self), found, os.environ)
        master = await controller_of(node).start(self, type, configs, timeout)
        return await master.started()

    async def stop(self, *, timeout: Seconds | Policy | None = POLICY) -> None:
        """Stop it on the node of the running code: ``prep_stop``, the tree in order, ``stop``; wait for all of that.

        Those that it depends on go on. When it does not run there, this returns at once (OTP: an error).

        Args:
            timeout: Seconds to wait; None waits as long as it takes: each child has a limit of its own. By default what
                the node's ``TimeoutPolicy`` says of ``stanchion.stop_application`` (90.0).

        Raises:
            ApplicationStateError: an application that runs depends on it (OTP would stop it all the same), or a
                process of its own asked. Nothing was stopped.
            StopTimeoutError: it has not ended in time; it goes on stopping.
            InvalidOptionError: ``timeout`` is wrong.
            NoNodeError: the code runs outside of every node.

        Cancellation: it is stopped all the same.

        Source: ``application:stop/1``, which waits without a limit.
        """
        checked_timeout("Application.stop(timeout)", timeout)
        await controller_of(current_node("Application.stop()")).stop(self, timeout)

    def _call(self, function: Callable[..., _C], config: object) -> _C:
        """Call one of its functions as ``__init__`` says."""
        return function() if self.config is None else function(config)

    def _supervisor_flags(self, config: object) -> Flags:
        """Return what its top supervisor is started with.

        Raises:
            StartError: the ``children`` function raised.
            ChildSpecError, InvalidOptionError: it returned something else than specs.
        """
        if self._children is None:
            return self._flags
        try:
            children = self._call(self._children, config)
            if inspect.iscoroutine(children):
                children.close()
            children = list(children) if isinstance(children, Iterable) else children
        except StanchionError:
            raise
        except Exception as error:
            what, expected = f"application {self.name!r}", "its children function to return child specs"
            raise StartError(what, reason=error, expected=expected) from error
        flags = self._flags
        subject = f"Application {self.name}"
        specs = checked_flags(subject, children, flags.strategy, flags.max_restarts, flags.max_seconds).children
        return flags._replace(children=specs)

    def _checked_function(self, option: str, function: Callable[..., _C] | None) -> Callable[..., _C] | None:
        """Return a function when it can be called as ``call`` does."""
        callable_or_none(f"Application({option})", function)
        if function is None:
            return None
        arguments: tuple[object, ...] = () if self.config is None else (self.config,)
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError as error:
            raise InvalidOptionError(
                f"Application({option})",
                expected="a function without arguments, since there is no config="
                if self.config is None
                else "a function of one argument, the configuration",
                got=f"{cut(function)}: {error}",
            ) from error
        except ValueError:  # one without a signature: calling it will tell
            pass
        return function

    def _check_names(self) -> None:
        known: dict[str, Application] = {}
        for app in (*self.all_dependencies, self):
            if known.setdefault(app.name, app) is not app:
                raise InvalidOptionError(
                    "Application(depends_on)",
                    expected="applications with different names, and other than its own",
                    got=f"two that are called {app.name!r}: {known[app.name]!r} and {app!r}",
                    fix="give one of the two another name.",
                )

    def __repr__(self) -> str:
        children = "children by a function" if self._children else f"{len(self._flags.children)} children"
        return f"<Application {self.name}, {children}>"


def _checked_config(config: object) -> type[Any] | None:
    if config is None:
        return None
    # By the marks of a Struct and a dataclass, for their modules may not have been loaded.
    if isinstance(config, type) and (hasattr(config, "__struct_fields__") or hasattr(config, "__dataclass_fields__")):
        return config
    raise InvalidOptionError(
        "Application(config)",
        expected="a dataclass or a msgspec.Struct",
        got=cut(config),
        fix="pass the class, and the values to start(config=...) or run(config=...)."
        if hasattr(config, "__struct_fields__") or hasattr(config, "__dataclass_fields__")
        else None,
    )


def _checked_applications(depends_on: Iterable[Application]) -> tuple[Application, ...]:
    applications = tuple(depends_on) if isinstance(depends_on, Iterable) else None
    if applications is None or not all(isinstance(app, Application) for app in applications):
        raise InvalidOptionError(
            "Application(depends_on)",
            expected="a list of applications",
            got=cut(depends_on),
            fix="put it into a list." if isinstance(depends_on, Application) else None,
        )
    return applications
