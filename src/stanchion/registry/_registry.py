# SPDX-License-Identifier: MIT
"""The registry: processes found by keys."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, Literal, TypeVar, cast, get_args

from stanchion._validate import cut, hashable, instance, one_of
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Exit, ExitReason, Pid, ProcessExit, Ref, Via, checked_ref, current_process, own
from stanchion.registry._owned_table import running_table
from stanchion.registry._table import Entry, Table
from stanchion.registry._via import START, WHAT, RegistryVia
from stanchion.server import UNHANDLED, GenServer

Keys = Literal["unique", "duplicate"]
"""Whether a key of a registry belongs to one process at a time, or to any number, any number of times."""

_KEYS: Final = get_args(Keys)

_V = TypeVar("_V")


class Registry(GenServer):
    """Finds processes by keys: anything hashable, each with a value.

    A registry is a process, started where its users are, before them: ``child_spec(Registry, "unique",
    name="sessions")``. The functions below take it by its name, and read and write its table at once, without a message
    to its process. An entry belongs to the process that registered it and goes with it, before anyone hears of the
    exit. The two are linked: should the registry crash or stop, nobody stays behind who cannot be found any more.

    Use ``name=`` for the few processes of which there is one each; a registry of unique keys for the many, one per
    session or per device; one of duplicate keys for those that share an interest; ``ProcessGroups`` where processes
    join and leave groups and somebody wants to hear of it.

    Keys are the same when they are equal and have the same hash, as in a dict: 1, 1.0 and True are one key.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Session(st.GenServer):
        ...     def init(self, user):
        ...         self.user = user
        ...     def handle_call(self, request, sender):
        ...         return f"hello {self.user}"
        >>> async def main():
        ...     async with st.Node():
        ...         await st.start(st.Registry, "unique", name="sessions")
        ...         ada = st.Registry.via("sessions", "ada")
        ...         await st.start(Session, "Ada", name=ada)
        ...         return await st.call(ada, "hello")
        >>> asyncio.run(main())
        'hello Ada'

    Source: Elixir's Registry. There keys are compared strictly, the number of partitions is an option, and an entry may
    outlive its process for a moment.
    """

    def init(self, keys: Keys, listeners: Iterable[str] = (), meta: Mapping[Hashable, object] | None = None) -> None:
        """Open the registry.

        Args:
            keys: ``"unique"``: a key belongs to one process at a time. ``"duplicate"``: to any number of processes, and
                to one process any number of times.
            listeners: The names of processes that get a plain message of each entry that comes and goes: ``Registered``
                and ``Unregistered``.
            meta: What else to keep with the registry; see ``put_meta``.

        Raises:
            InvalidOptionError: an argument is wrong.

        Source: ``Registry.start_link/1`` of Elixir.
        """
        one_of("Registry(keys)", keys, _KEYS)
        process = current_process("Registry.init()")
        # One that linked itself with the registry for a reason of its own, and crashes, is not to take it along.
        process.trap_exit = True
        if not (meta is None or isinstance(meta, Mapping)):
            raise InvalidOptionError("Registry(meta)", expected="a mapping or None", got=cut(meta))
        table = Table(process, unique=keys == "unique", listeners=_names(listeners), meta=meta or {})
        own(process, table)

    def handle_info(self, message: object, /) -> object:
        """Go on when a process exits that is linked with the registry."""
        return None if isinstance(message, Exit) else UNHANDLED

    def terminate(self, reason: ExitReason, /) -> None:
        """Exit with ``"shutdown"`` where it would be ``"normal"``, of which those in the registry would not hear."""
        if reason == "normal":
            raise ProcessExit("shutdown")

    # --- entries of the running process ----------------------------------------------------------

    @staticmethod
    def register(registry: Ref, key: Hashable, value: object = None) -> Pid:
        """Register the running process under a key, and link it with the registry.

        Args:
            registry: A registry's name or pid.
            key: Anything hashable.
            value: What ``lookup`` and its kin give back with the pid.

        Returns:
            The pid of the registry: who traps exits sees it in the ``Exit`` message of a registry that crashed.

        Raises:
            KeyTakenError: the registry is unique, and has the key, be it of the running process; the error has the pid.
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``registry`` is no running registry of the process's node, or ``key`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.register/3`` of Elixir.
        """
        process = current_process("Registry.register()")
        table = _table("register", registry)
        table.add(process, _hashable("register", key), value, "Registry.register(registry)")
        return table.process.pid

    @staticmethod
    def unregister(registry: Ref, key: Hashable) -> None:
        """Take all entries of the running process under a key away; harmless when there is none.

        With its last entry goes the link with the registry, if ``register`` made it.

        Args:
            registry: A registry's name or pid.
            key: The key.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``registry`` is no running registry, or ``key`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.unregister/2`` of Elixir.
        """
        process = current_process("Registry.unregister()")
        _table("unregister", registry).remove(process, _hashable("unregister", key))

    @staticmethod
    def unregister_match(registry: Ref, key: Hashable, matches: Callable[[_V], object]) -> None:
        """Take those entries of the running process under a key away whose value matches.

        Args:
            registry: A registry's name or pid.
            key: The key.
            matches: Is given each value, and returns something true for those that go.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: ``registry`` is no running registry, ``key`` has no hash, or ``matches`` is no plain
                function.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.unregister_match/4`` of Elixir, with a function in place of a match specification.
        """
        process = current_process("Registry.unregister_match()")
        test = _function("unregister_match(matches)", matches)
        table = _table("unregister_match", registry)
        table.remove(process, _hashable("unregister_match", key), lambda record: test(cast("_V", record.value)))

    @staticmethod
    def update_value(registry: Ref, key: Hashable, function: Callable[[_V], _V]) -> tuple[_V, _V]:
        """Change the value of the running process under a key of a unique registry.

        Args:
            registry: A registry's name or pid.
            key: A key that the process has.
            function: Is given the value, and returns the new one.

        Returns:
            The new value and the old one.

        Raises:
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: the process does not have the key (Elixir returns ``:error``), the registry is none or
                has duplicate keys, ``key`` has no hash, or ``function`` is no plain one.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.update_value/3`` of Elixir.
        """
        process = current_process("Registry.update_value()")
        change = _function("update_value(function)", function)
        table = _table("update_value", registry)
        if not table.unique:
            raise InvalidOptionError(
                "Registry.update_value(registry)",
                expected="a registry of unique keys",
                got=f"{table!r}, whose keys are duplicate",
                fix="unregister the entry, and register it again with the new value.",
            )
        mine = table.of(process, _hashable("update_value", key))
        if not mine:
            raise InvalidOptionError(
                "Registry.update_value(key)",
                expected=f"a key that the running process {process.pid!r} has in {table!r}",
                got=cut(key),
                fix="let the process that registered it change its value.",
            )
        old = cast("_V", mine[0].value)
        new = mine[0].value = change(old)
        return new, old

    # --- finding ---------------------------------------------------------------------------------

    @staticmethod
    def via(registry: Ref, key: Hashable, value: object = None) -> Via:
        """Return the address of whoever has a key of a unique registry.

        It goes wherever a ref goes, and wherever a name does: a process that is started with ``name=via`` is registered
        before its first step. It may be made before the registry runs.

        Args:
            registry: A registry's name or pid; a name, so that the address outlives a restart of the registry.
            key: Anything hashable.
            value: The value of the entry of a process that is started under this address.

        Raises:
            InvalidOptionError: ``registry`` is no ref, or ``key`` has no hash.

        Source: ``{:via, Registry, {registry, key, value}}`` of Elixir.
        """
        return RegistryVia(checked_ref(registry, "Registry.via(registry)"), _hashable("via", key), value)

    @staticmethod
    def lookup(registry: Ref, key: Hashable) -> list[tuple[Pid, object]]:
        """Return the pid and the value of each entry under a key, in the order of registration.

        Args:
            registry: A registry's name or pid.
            key: The key.

        Returns:
            The pairs: one at most in a unique registry, none for a key that nobody has.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, or ``key`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.lookup/2`` of Elixir.
        """
        return _table("lookup", registry).pairs(_hashable("lookup", key))

    @staticmethod
    def match(registry: Ref, key: Hashable, matches: Callable[[_V], object]) -> list[tuple[Pid, _V]]:
        """Return the entries under a key whose value matches, as ``lookup`` does.

        Args:
            registry: A registry's name or pid.
            key: The key.
            matches: Is given each value, and returns something true for those that are wanted.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, ``key`` has no hash, or ``matches`` is no plain
                function.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.match/4`` of Elixir, with a function in place of a match specification.
        """
        test = _function("match(matches)", matches)
        pairs = cast("list[tuple[Pid, _V]]", _table("match", registry).pairs(_hashable("match", key)))
        return [(pid, value) for pid, value in pairs if test(value)]

    @staticmethod
    def count_match(registry: Ref, key: Hashable, matches: Callable[[_V], object]) -> int:
        """Return how many entries under a key have a value that matches; see ``match``.

        Raises:
            InvalidOptionError: as ``match``.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.count_match/4`` of Elixir.
        """
        test = _function("count_match(matches)", matches)
        pairs = _table("count_match", registry).pairs(_hashable("count_match", key))
        return sum(bool(test(cast("_V", value))) for _, value in pairs)

    @staticmethod
    def keys(registry: Ref, pid: Pid) -> list[Hashable]:
        """Return the keys of a process in the order of registration, each as often as it registered it.

        Args:
            registry: A registry's name or pid.
            pid: The process; one that is gone has no keys.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, or ``pid`` no pid.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.keys/2`` of Elixir.
        """
        process = instance("Registry.keys(pid)", pid, Pid)._process
        return _table("keys", registry).keys(process)

    @staticmethod
    def values(registry: Ref, key: Hashable, pid: Pid) -> list[object]:
        """Return the values of a process under a key, in the order of registration.

        Args:
            registry: A registry's name or pid.
            key: The key.
            pid: The process; one that is gone has no values.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, ``key`` has no hash, or ``pid`` is no pid.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.values/3`` of Elixir.
        """
        process = instance("Registry.values(pid)", pid, Pid)._process
        return [record.value for record in _table("values", registry).of(process, _hashable("values", key))]

    @staticmethod
    def select(registry: Ref, matches: Callable[[Entry], object] | None = None) -> list[Entry]:
        """Return every entry, or those that match; it looks at all of them.

        Args:
            registry: A registry's name or pid.
            matches: Is given each entry, and returns something true for those that are wanted; None for all.

        Returns:
            The entries: keys in the order of their first registration, and entries under a key in theirs.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, or ``matches`` is no plain function.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.select/2`` of Elixir, with a function in place of a match specification.
        """
        entries = _table("select", registry).entries()
        if matches is None:
            return entries
        test = _function("select(matches)", matches)
        return [entry for entry in entries if test(entry)]

    @staticmethod
    def count(registry: Ref) -> int:
        """Return how many entries there are; it takes the same time for any number of them.

        Args:
            registry: A registry's name or pid.

        Raises:
            InvalidOptionError: ``registry`` is no running registry.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.count/1`` of Elixir.
        """
        return _table("count", registry).count

    @staticmethod
    def dispatch(registry: Ref, key: Hashable, function: Callable[[list[tuple[Pid, object]]], object]) -> None:
        """Call a function with the entries under a key, if there are any; it runs here and now.

        Args:
            registry: A registry's name or pid.
            key: The key.
            function: Is given what ``lookup`` returns; it sends, casts or calls back. What it returns is not looked at.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, ``key`` has no hash, or ``function`` is no plain
                function.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.dispatch/4`` of Elixir.
        """
        run = _function("dispatch(function)", function)
        pairs = _table("dispatch", registry).pairs(_hashable("dispatch", key))
        if pairs:
            run(pairs)

    # --- what belongs to the registry ------------------------------------------------------------

    @staticmethod
    def put_meta(registry: Ref, key: Hashable, value: object) -> None:
        """Keep something with a registry, for as long as it runs.

        Args:
            registry: A registry's name or pid.
            key: What it is called; these keys have nothing to do with the keys of processes.
            value: What is kept.

        Raises:
            InvalidOptionError: ``registry`` is no running registry, or ``key`` has no hash.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.put_meta/3`` of Elixir.
        """
        _table("put_meta", registry).meta[_hashable("put_meta", key)] = value

    @staticmethod
    def meta(registry: Ref, key: Hashable, default: object = None) -> object:
        """Return what ``put_meta`` or the start of the registry kept under a key, else the default.

        Raises:
            InvalidOptionError: as ``put_meta``.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.meta/2`` of Elixir.
        """
        return _table("meta", registry).meta.get(_hashable("meta", key), default)

    @staticmethod
    def delete_meta(registry: Ref, key: Hashable) -> None:
        """Forget what ``put_meta`` kept under a key; harmless when there is nothing.

        Raises:
            InvalidOptionError: as ``put_meta``.
            NoNodeError: a name, outside of every node.

        Source: ``Registry.delete_meta/2`` of Elixir.
        """
        _table("delete_meta", registry).meta.pop(_hashable("delete_meta", key), None)


def _table(operation: str, registry: Ref) -> Table:
    return running_table(registry, Table, f"Registry.{operation}(registry)", WHAT, START)


def _hashable(operation: str, key: Hashable) -> Hashable:
    return hashable(f"Registry.{operation}(key)", key)


_F = TypeVar("_F", bound=Callable[..., object])


def _function(where: str, function: _F) -> _F:
    if not callable(function):
        raise InvalidOptionError(f"Registry.{where}", expected="a function", got=cut(function))
    if inspect.iscoroutinefunction(function):
        raise InvalidOptionError(
            f"Registry.{where}",
            expected="a function that is not async",
            got=cut(function),
            fix="write def, and await what you need before or after this.",
        )
    return function


def _names(listeners: Iterable[str]) -> list[str]:
    if not isinstance(listeners, str) and isinstance(listeners, Iterable):
        names = list(listeners)
        if all(isinstance(name, str) and name for name in names):
            return names
    raise InvalidOptionError(
        "Registry(listeners)",
        expected="a list of names of processes",
        got=cut(listeners),
        fix=f"write [{listeners!r}]." if isinstance(listeners, str) and listeners else None,
    )
