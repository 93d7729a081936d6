# SPDX-License-Identifier: MIT
"""What a registry says to wrong arguments, in full."""

from __future__ import annotations

from typing import Any

import pytest

from stanchion.errors import InvalidOptionError, NoNodeError, NotInProcessError, StartError
from stanchion.kernel import spawn
from stanchion.registry import Registry
from stanchion.server import start
from tests.kernel.helpers import sleeper
from tests.registry.helpers import Worker, new_node, registry

UNHASHABLE: Any = ["a"]


def nothing(_: object) -> None: ...


FUNCTIONS = [
    ("register", ("a",)),
    ("unregister", ("a",)),
    ("unregister_match", ("a", nothing)),
    ("update_value", ("a", nothing)),
    ("lookup", ("a",)),
    ("match", ("a", nothing)),
    ("count_match", ("a", nothing)),
    ("select", ()),
    ("count", ()),
    ("dispatch", ("a", nothing)),
    ("put_meta", ("a", 1)),
    ("meta", ("a",)),
    ("delete_meta", ("a",)),
]


@pytest.mark.parametrize(("name", "args"), FUNCTIONS)
async def test_registry_that_does_not_run_is_named_by_each_function(name: str, args: tuple[Any, ...]) -> None:
    async with new_node():
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(Registry, name), "sessions", *args)
        assert str(caught.value) == (
            f"Registry.{name}(registry): expected a running registry, got 'sessions', which nobody holds\n"
            "Fix: start it before those who use it: child_spec(Registry, 'unique', name='sessions')."
        )


@pytest.mark.parametrize(
    ("name", "args"), [(name, args) for name, args in FUNCTIONS if name not in ("select", "count")]
)
async def test_key_without_a_hash_is_named_by_each_function(name: str, args: tuple[Any, ...]) -> None:
    async with new_node():
        await registry()
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(Registry, name), "registry", UNHASHABLE, *args[1:])
        assert str(caught.value) == f"Registry.{name}(key): expected something hashable, a string say, got ['a']"


async def test_registry_of_another_name_is_suggested() -> None:
    async with new_node():
        await registry(name="sessions")
        spawn(sleeper, name="session")
        with pytest.raises(InvalidOptionError) as caught:
            Registry.lookup("sesions", "a")
        assert str(caught.value) == (
            "Registry.lookup(registry): expected a running registry, got 'sesions', which nobody holds\n"
            "Fix: write 'sessions'."
        )


async def test_process_that_is_no_registry_is_named() -> None:
    async with new_node():
        await registry(name="sessions")
        pid = spawn(sleeper, name="session")
        with pytest.raises(InvalidOptionError) as caught:
            Registry.lookup("session", "a")
        assert str(caught.value) == (
            "Registry.lookup(registry): expected a running registry, got sleeper <test.2 session>, which is none\n"
            "Fix: write 'sessions'."
        )
        with pytest.raises(InvalidOptionError) as caught:
            Registry.keys(pid, pid)
        assert str(caught.value) == (
            "Registry.keys(registry): expected a running registry, got sleeper <test.2 session>, which is none"
        )


async def test_via_address_of_a_registry_that_is_not_there_is_named() -> None:
    async with new_node():
        await registry(name="registries")
        with pytest.raises(InvalidOptionError) as caught:
            Registry.count(Registry.via("registries", "sessions"))
        assert str(caught.value) == (
            "Registry.count(registry): expected a running registry, got Registry.via('registries', 'sessions'), "
            "which nobody holds\n"
            "Fix: start it before those who use it: "
            "child_spec(Registry, 'unique', name=Registry.via('registries', 'sessions'))."
        )


async def test_what_is_no_ref_is_refused() -> None:
    async with new_node():
        wrong: Any = 7
        for function in (lambda: Registry.count(wrong), lambda: Registry.via(wrong, "a")):
            with pytest.raises(InvalidOptionError, match=r"\(registry\): expected a pid or a registered name, got 7"):
                function()


async def test_entry_belongs_to_a_process() -> None:
    async with new_node():
        await registry()
        with pytest.raises(NotInProcessError) as caught:
            Registry.register("registry", "a")
        assert caught.value.operation == "Registry.register()"


def test_name_of_a_registry_needs_a_node() -> None:
    with pytest.raises(NoNodeError) as caught:
        Registry.lookup("registry", "a")
    assert caught.value.operation == "Registry.lookup(registry)"


async def test_process_of_another_node_cannot_register() -> None:
    async with new_node("outer"):
        outer = await registry()
        async with new_node("inner"):
            worker = Worker()
            with pytest.raises(InvalidOptionError) as caught:
                await worker.do(Registry.register, outer, "a")
            assert str(caught.value) == (
                "Registry.register(registry): expected a registry of the process's node, for <inner.1>, "
                "got Registry <outer.1 registry> of another"
            )
            await worker.do(Registry.unregister, outer, "a")


async def test_value_of_a_key_that_is_somebody_elses_is_not_updated() -> None:
    async with new_node():
        await registry()
        worker, other = Worker(), Worker()
        await worker.do(Registry.register, "registry", "a", 1)
        with pytest.raises(InvalidOptionError) as caught:
            await other.do(Registry.update_value, "registry", "a", nothing)
        assert str(caught.value) == (
            "Registry.update_value(key): expected a key that the running process <test.3> has in "
            "Registry <test.1 registry>, got 'a'\n"
            "Fix: let the process that registered it change its value."
        )
        assert Registry.lookup("registry", "a") == [(worker.pid, 1)]


async def test_value_of_a_duplicate_key_is_not_updated() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(Registry.update_value, "registry", "a", nothing)
        assert str(caught.value) == (
            "Registry.update_value(registry): expected a registry of unique keys, "
            "got Registry <test.1 registry>, whose keys are duplicate\n"
            "Fix: unregister the entry, and register it again with the new value."
        )


TAKING_FUNCTIONS = [
    ("match", ("a",), "match(matches)"),
    ("count_match", ("a",), "count_match(matches)"),
    ("select", (), "select(matches)"),
    ("dispatch", ("a",), "dispatch(function)"),
    ("unregister_match", ("a",), "unregister_match(matches)"),
    ("update_value", ("a",), "update_value(function)"),
]


@pytest.mark.parametrize(("name", "args", "where"), TAKING_FUNCTIONS)
async def test_what_is_no_function_is_refused(name: str, args: tuple[Any, ...], where: str) -> None:
    async with new_node():
        await registry()
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(Registry, name), "registry", *args, "no function")
        assert str(caught.value) == f"Registry.{where}: expected a function, got 'no function'"


@pytest.mark.parametrize(("name", "args", "where"), TAKING_FUNCTIONS)
async def test_async_function_is_refused(name: str, args: tuple[Any, ...], where: str) -> None:
    async def later(_: object) -> None: ...

    async with new_node():
        await registry()
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(Registry, name), "registry", *args, later)
        first, fix = str(caught.value).split("\n")
        assert first.startswith(f"Registry.{where}: expected a function that is not async, got <function ")
        assert fix == "Fix: write def, and await what you need before or after this."


async def test_what_is_no_pid_has_no_keys() -> None:
    async with new_node():
        await registry()
        wrong: Any = "ada"
        with pytest.raises(InvalidOptionError) as caught:
            Registry.keys("registry", wrong)
        assert str(caught.value) == "Registry.keys(pid): expected an instance of Pid, got 'ada'"
        with pytest.raises(InvalidOptionError) as caught:
            Registry.values("registry", "a", wrong)
        assert str(caught.value) == "Registry.values(pid): expected an instance of Pid, got 'ada'"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (
            ("uniqe",),
            "Registry(keys): expected one of 'unique', 'duplicate', got 'uniqe'\nFix: write 'unique'.",
        ),
        (
            ("unique", "ear"),
            "Registry(listeners): expected a list of names of processes, got 'ear'\nFix: write ['ear'].",
        ),
        (("unique", ""), "Registry(listeners): expected a list of names of processes, got ''"),
        (("unique", [1]), "Registry(listeners): expected a list of names of processes, got [1]"),
        (("unique", 1), "Registry(listeners): expected a list of names of processes, got 1"),
        (("unique", (), [1]), "Registry(meta): expected a mapping or None, got [1]"),
    ],
)
async def test_wrong_argument_stops_the_start(args: tuple[Any, ...], text: str) -> None:
    async with new_node():
        with pytest.raises(StartError) as caught:
            await start(Registry, *args)
        assert str(caught.value.__cause__) == text
