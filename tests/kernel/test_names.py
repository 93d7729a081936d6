# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.errors import InvalidOptionError, NameTakenError, NoNodeError
from stanchion.kernel import (
    exit,
    find,
    register,
    registered,
    self_pid,
    spawn,
    unregister,
    wait_exit,
    whereis,
)
from tests.kernel.helpers import quick_node, run_in_process, sleeper


async def test_registered_process_is_found_by_its_name() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        register("clerk", pid)
        assert whereis("clerk") is pid
        assert find("clerk", "x") is pid
        assert registered() == ["clerk"]
        assert repr(pid) == "<test.1 clerk>"


async def test_name_is_freed_by_the_exit_and_the_pid_remembers_it() -> None:
    async with quick_node():
        pid = spawn(sleeper, name="clerk")
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert whereis("clerk") is None
        assert registered() == []
        assert pid.name == "clerk"


async def test_unregistered_process_lives_on_without_a_name() -> None:
    async with quick_node():
        pid = spawn(sleeper, name="clerk")
        unregister("clerk")
        unregister("clerk")
        assert (whereis("clerk"), pid.name, pid.alive) == (None, None, True)
        register("other", pid)
        assert whereis("other") is pid


async def test_name_that_went_to_another_process_stays_with_it() -> None:
    async with quick_node():
        first = spawn(sleeper, name="clerk")
        unregister("clerk")
        second = spawn(sleeper, name="clerk")
        exit(first, "kill")
        await wait_exit(first, timeout=1)
        assert whereis("clerk") is second


async def test_init_may_register_itself() -> None:
    async with quick_node():
        assert await run_in_process(lambda: [register("me", self_pid()), whereis("me") is self_pid()]) == [None, True]


async def test_register_refuses_a_name_that_is_held() -> None:
    async with quick_node():
        spawn(sleeper, name="clerk")
        with pytest.raises(
            NameTakenError, match=r"^name 'clerk': expected a free name, got one held by <test.1 clerk>"
        ):
            register("clerk", spawn(sleeper))


async def test_register_refuses_a_second_name() -> None:
    async with quick_node():
        pid = spawn(sleeper, name="clerk")
        with pytest.raises(InvalidOptionError) as caught:
            register("boss", pid)
        assert str(caught.value) == (
            "register(name): expected a process without a name, got <test.1 clerk>\nFix: unregister('clerk') first."
        )


async def test_register_refuses_the_dead() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        with pytest.raises(InvalidOptionError) as caught:
            register("clerk", pid)
        assert str(caught.value) == "register(pid): expected a live process, got <test.1>, which has ended"


async def test_register_refuses_a_process_of_another_node() -> None:
    async with quick_node("a"):
        pid = spawn(sleeper)
        async with quick_node("b"):
            with pytest.raises(InvalidOptionError) as caught:
                register("clerk", pid)
        assert str(caught.value) == "register(pid): expected a process of node 'b', got <a.1> of another node"


@pytest.mark.parametrize(
    ("operation", "subject"),
    [
        (lambda: register("", None), "register(name)"),
        (lambda: whereis(""), "whereis(name)"),
        (lambda: unregister(""), "unregister(name)"),
    ],
)
async def test_names_are_strings_that_are_not_empty(operation, subject: str) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            operation()
        assert str(caught.value) == f"{subject}: expected a name (a string that is not empty), got ''"


async def test_register_takes_pids_only() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            register("clerk", "boss")
        assert str(caught.value) == "register(pid): expected an instance of Pid, got 'boss'"


@pytest.mark.parametrize(
    ("operation", "subject"),
    [
        (lambda: register("x", None), "register()"),
        (lambda: unregister("x"), "unregister()"),
        (lambda: whereis("x"), "whereis()"),
        (registered, "registered()"),
        (lambda: find("x", "call(ref)"), "call(ref)"),
    ],
)
async def test_names_need_a_node(operation, subject: str) -> None:
    with pytest.raises(NoNodeError) as caught:
        operation()
    assert str(caught.value).startswith(f"{subject}: expected a running node, got none in this context\n")
    assert caught.value.operation == subject


async def test_find_takes_a_pid_as_it_is_even_outside_of_nodes() -> None:
    async with quick_node():
        pid = spawn(sleeper)
    assert find(pid, "x") is pid


@pytest.mark.parametrize("ref", ["", None, 3])
async def test_find_refuses_what_is_no_ref(ref) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        find(ref, "call(ref)")
    assert str(caught.value) == (
        f"call(ref): expected a pid or a registered name, got {ref!r}\n"
        "Fix: pass what start() or spawn() returned, or the name= the process was started with."
    )
