# SPDX-License-Identifier: MIT
"""Registering and finding."""

from __future__ import annotations

import pytest

from stanchion.errors import KeyTakenError, NameTakenError
from stanchion.kernel import exit, self_pid, wait_exit
from stanchion.registry import Entry, Registry
from stanchion.server import start
from tests.registry.helpers import Worker, new_node, registry


async def test_registered_process_is_found_with_its_value() -> None:
    async with new_node():
        pid = await registry()
        worker = Worker()
        assert await worker.do(Registry.register, "registry", "ada", {"age": 36}) is pid
        assert Registry.lookup("registry", "ada") == [(worker.pid, {"age": 36})]
        assert Registry.lookup(pid, "bob") == []


async def test_value_is_none_where_none_is_given() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", ("user", 1))
        assert Registry.lookup("registry", ("user", 1)) == [(worker.pid, None)]


async def test_unique_key_that_is_taken_is_refused_and_names_its_holder() -> None:
    async with new_node():
        await registry()
        first, second = Worker(), Worker()
        await first.do(Registry.register, "registry", "ada", 1)
        with pytest.raises(KeyTakenError) as caught:
            await second.do(Registry.register, "registry", "ada", 2)
        assert str(caught.value) == (
            "key 'ada' of Registry <test.1 registry>: expected a free key, got one held by <test.2>\n"
            "Fix: go on with that process, which is the error's pid, choose another key, or stop the process first."
        )
        error = caught.value
        assert (error.name, error.holder, error.registry) == ("'ada'", "<test.2>", "Registry <test.1 registry>")
        assert error.pid is first.pid
        assert isinstance(error, NameTakenError)
        assert Registry.lookup("registry", "ada") == [(first.pid, 1)]


async def test_unique_key_that_the_process_has_itself_is_refused_too() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada", 1)
        with pytest.raises(KeyTakenError) as caught:
            await worker.do(Registry.register, "registry", "ada", 2)
        assert str(caught.value) == (
            "key 'ada' of Registry <test.1 registry>: expected a free key, got one held by <test.2>\n"
            "Fix: write Registry.update_value() to change the value of a key that the process has already."
        )


async def test_duplicate_key_belongs_to_many_and_to_one_several_times() -> None:
    async with new_node():
        await registry("duplicate")
        first, second = Worker(), Worker()
        await first.do(Registry.register, "registry", "news", 1)
        await second.do(Registry.register, "registry", "news", 2)
        await first.do(Registry.register, "registry", "news", 3)
        assert Registry.lookup("registry", "news") == [(first.pid, 1), (second.pid, 2), (first.pid, 3)]


async def test_two_registries_know_nothing_of_each_other() -> None:
    async with new_node():
        await registry(name="users")
        await registry(name="rooms")
        worker = Worker()
        await worker.do(Registry.register, "users", "ada")
        assert Registry.lookup("rooms", "ada") == []
        await worker.do(Registry.register, "rooms", "ada")
        assert (Registry.count("users"), Registry.count("rooms")) == (1, 1)


async def test_key_that_is_unregistered_is_free() -> None:
    async with new_node():
        await registry()
        first, second = Worker(), Worker()
        await first.do(Registry.register, "registry", "ada")
        await first.do(Registry.unregister, "registry", "ada")
        await second.do(Registry.register, "registry", "ada")
        assert Registry.lookup("registry", "ada") == [(second.pid, None)]


async def test_process_unregisters_its_own_entries_only_and_all_of_them() -> None:
    async with new_node():
        await registry("duplicate")
        first, second = Worker(), Worker()
        for worker, value in ((first, 1), (second, 2), (first, 3)):
            await worker.do(Registry.register, "registry", "news", value)
        await first.do(Registry.register, "registry", "weather", 4)
        await first.do(Registry.unregister, "registry", "news")
        assert Registry.lookup("registry", "news") == [(second.pid, 2)]
        assert Registry.lookup("registry", "weather") == [(first.pid, 4)]


async def test_unregister_of_what_is_not_there_is_harmless() -> None:
    async with new_node():
        await registry()
        first, second = Worker(), Worker()
        await first.do(Registry.register, "registry", "ada")
        await second.do(Registry.unregister, "registry", "ada")
        await second.do(Registry.unregister, "registry", "bob")
        assert Registry.lookup("registry", "ada") == [(first.pid, None)]


async def test_unregister_match_takes_the_entries_whose_value_matches() -> None:
    async with new_node():
        await registry("duplicate")
        worker, other = Worker(), Worker()
        for value in (1, 2, 3):
            await worker.do(Registry.register, "registry", "news", value)
        await other.do(Registry.register, "registry", "news", 3)
        await worker.do(Registry.unregister_match, "registry", "news", lambda value: value > 1)
        assert Registry.lookup("registry", "news") == [(worker.pid, 1), (other.pid, 3)]
        await worker.do(Registry.unregister_match, "registry", "news", lambda value: value > 1)
        assert Registry.count("registry") == 2


async def test_function_that_changes_the_registry_meanwhile_does_no_harm() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        for value in (1, 2):
            await worker.do(Registry.register, "registry", "news", value)

        def anew(value: object) -> bool:
            Registry.unregister("registry", "news")
            Registry.register("registry", "news", 3)
            return True

        await worker.do(Registry.unregister_match, "registry", "news", anew)
        assert Registry.lookup("registry", "news") == [(worker.pid, 3)]
        assert Registry.count("registry") == 1
        await worker.killed()
        assert Registry.count("registry") == 0


async def test_keys_are_those_of_the_process_each_as_often_as_registered() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        for key in ("b", "a", "b"):
            await worker.do(Registry.register, "registry", key)
        assert Registry.keys("registry", worker.pid) == ["b", "a", "b"]
        assert Registry.keys("registry", Worker().pid) == []


async def test_values_are_those_of_the_process_under_the_key() -> None:
    async with new_node():
        await registry("duplicate")
        worker, other = Worker(), Worker()
        for key, value in (("a", 1), ("b", 2), ("a", 3)):
            await worker.do(Registry.register, "registry", key, value)
        await other.do(Registry.register, "registry", "a", 4)
        assert Registry.values("registry", "a", worker.pid) == [1, 3]
        assert Registry.values("registry", "c", worker.pid) == []
        assert Registry.values("registry", "a", Worker().pid) == []


async def test_process_that_is_gone_has_neither_keys_nor_values() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada")
        await worker.killed()
        assert Registry.keys("registry", worker.pid) == []
        assert Registry.values("registry", "ada", worker.pid) == []


async def test_value_is_updated_by_its_process() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada", 1)
        assert await worker.do(Registry.update_value, "registry", "ada", lambda value: value + 1) == (2, 1)
        assert Registry.lookup("registry", "ada") == [(worker.pid, 2)]


async def test_match_finds_the_entries_whose_value_matches() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        for value in (1, 2, 3):
            await worker.do(Registry.register, "registry", "news", value)

        def odd(value: int) -> bool:
            return value % 2 == 1

        assert Registry.match("registry", "news", odd) == [(worker.pid, 1), (worker.pid, 3)]
        assert Registry.count_match("registry", "news", odd) == 2
        assert Registry.match("registry", "weather", odd) == []
        assert Registry.count_match("registry", "weather", odd) == 0


async def test_select_lists_all_entries_or_those_that_match() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        for key, value in (("b", 1), ("a", 2), ("b", 3)):
            await worker.do(Registry.register, "registry", key, value)
        assert Registry.select("registry") == [
            Entry("b", worker.pid, 1),
            Entry("b", worker.pid, 3),
            Entry("a", worker.pid, 2),
        ]
        assert Registry.select("registry", lambda entry: entry.key == "a") == [("a", worker.pid, 2)]


async def test_count_is_of_entries() -> None:
    async with new_node():
        await registry("duplicate")
        worker = Worker()
        assert Registry.count("registry") == 0
        for key in ("b", "a", "b"):
            await worker.do(Registry.register, "registry", key)
        assert Registry.count("registry") == 3
        await worker.do(Registry.unregister, "registry", "b")
        assert Registry.count("registry") == 1
        await worker.killed()
        assert Registry.count("registry") == 0


async def test_dispatch_calls_the_function_once_with_all_entries() -> None:
    async with new_node():
        await registry("duplicate")
        first, second = Worker(), Worker()
        await first.do(Registry.register, "registry", "news", 1)
        await second.do(Registry.register, "registry", "news", 2)
        given: list[object] = []
        Registry.dispatch("registry", "news", given.append)
        assert given == [[(first.pid, 1), (second.pid, 2)]]


async def test_dispatch_of_a_key_that_nobody_has_calls_nothing() -> None:
    async with new_node():
        await registry("duplicate")
        given: list[object] = []
        Registry.dispatch("registry", "news", given.append)
        assert given == []


async def test_dispatch_works_on_unique_keys_and_goes_on_while_entries_change() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada", 1)

        def unregister_first(entries: list[tuple[object, object]]) -> None:
            Registry.unregister("registry", "ada")
            assert entries == [(self_pid(), 1)]

        await worker.do(Registry.dispatch, "registry", "ada", unregister_first)
        assert Registry.count("registry") == 0


async def test_error_of_a_dispatched_function_is_the_callers() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada", 1)
        with pytest.raises(ZeroDivisionError):
            Registry.dispatch("registry", "ada", lambda _: 1 / 0)


async def test_equal_keys_are_one_key() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", 1, "one")
        assert Registry.lookup("registry", 1.0) == [(worker.pid, "one")]


async def test_key_that_does_not_equal_itself_is_found_by_itself() -> None:
    async with new_node():
        await registry()
        worker = Worker()
        nan = float("nan")
        await worker.do(Registry.register, "registry", nan, 1)
        assert Registry.values("registry", nan, worker.pid) == [1]
        await worker.do(Registry.unregister, "registry", nan)
        assert Registry.count("registry") == 0


async def test_meta_is_kept_with_the_registry() -> None:
    async with new_node():
        await registry("unique", "registry", (), {"limit": 3})
        assert Registry.meta("registry", "limit") == 3
        assert Registry.meta("registry", "colour") is None
        assert Registry.meta("registry", "colour", "red") == "red"
        Registry.put_meta("registry", "colour", "blue")
        assert Registry.meta("registry", "colour", "red") == "blue"
        Registry.delete_meta("registry", "colour")
        Registry.delete_meta("registry", "colour")
        assert Registry.meta("registry", "colour") is None


async def test_registry_needs_no_name() -> None:
    async with new_node():
        pid = await start(Registry, "unique")
        worker = Worker()
        await worker.do(Registry.register, pid, "ada")
        assert Registry.lookup(pid, "ada") == [(worker.pid, None)]


async def test_two_nodes_do_not_see_each_others_registries() -> None:
    async with new_node("outer"):
        outer = await registry()
        worker = Worker()
        await worker.do(Registry.register, "registry", "ada", "outer")
        async with new_node("inner"):
            await registry()
            assert Registry.lookup("registry", "ada") == []
            assert Registry.lookup(outer, "ada") == [(worker.pid, "outer")]


async def test_registry_may_register_itself() -> None:
    class Census(Registry):
        def init(self) -> None:  # type: ignore[override]
            super().init("unique")
            Registry.register(self_pid(), "census")

    async with new_node():
        pid = await start(Census, name="census")
        assert Registry.lookup("census", "census") == [(pid, None)]
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
