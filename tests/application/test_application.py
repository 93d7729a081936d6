# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from stanchion.application import Application, which_applications
from stanchion.errors import (
    ApplicationStateError,
    ChildSpecError,
    ChildStartError,
    InvalidOptionError,
    NoNodeError,
    StartError,
)
from stanchion.kernel import whereis
from stanchion.server import stop
from stanchion.supervisor import ChildCounts, child_spec, count_children
from tests.supervisor.servers import InitBy, crash, pid_of, quick_node, recorder, states


async def test_application_starts_and_stops_a_whole_tree():
    log = []
    app = Application("shop", children=[recorder(log, "a"), recorder(log, "b")], strategy="one_for_all")
    assert repr(app) == "<Application shop, 2 children>"
    async with quick_node():
        pid = await app.start()
        assert whereis("shop_sup") is pid
        assert await count_children("shop_sup") == ChildCounts(2, 2, 0, 2)
        await crash("b")
        assert await states(pid) == {"a": "running", "b": "running"}
        assert log == ["+a", "+b", "-b", "-a", "+a", "+b"]
    assert log[6:] == ["-b", "-a"]


async def test_application_can_be_started_on_several_nodes():
    log = []
    app = Application("shop", children=[recorder(log, "a")])
    async with quick_node("one"):
        await app.start()
        async with quick_node("two"):
            await app.start()
        assert log == ["+a", "+a", "-a"]


async def test_application_runs_once_on_a_node_at_a_time():
    app = Application("shop", children=[])
    async with quick_node():
        pid = await app.start()
        with pytest.raises(ApplicationStateError) as caught:
            await app.start()
        assert str(caught.value) == (
            "start of application 'shop': expected one that does not run on the node, got one that is running\n"
            "Fix: stop() it first, or go on with the one that runs."
        )
        await stop(pid)
        await app.start()


async def test_application_tells_which_child_did_not_start():
    app = Application("shop", children=[child_spec(InitBy, lambda: 3, name="db")])
    async with quick_node("n"):
        with pytest.raises(ChildStartError) as caught:
            await app.start()
    assert str(caught.value).startswith("start of child 'db' of Supervisor <n.2 shop_sup>: expected init to finish")


async def test_application_needs_a_node():
    with pytest.raises(NoNodeError):
        await Application("shop", children=[]).start()


@pytest.mark.parametrize("name", ["", "my shop", "my.shop", None])
def test_application_refuses_a_name_that_is_no_word(name):
    with pytest.raises(InvalidOptionError) as caught:
        Application(name, children=[])
    assert str(caught.value) == f"Application(name): expected a word without spaces or dots, got {name!r}"


def test_application_refuses_wrong_options():
    with pytest.raises(InvalidOptionError, match=r"Application\(strategy\): expected one of"):
        Application("shop", children=[], strategy="all")  # type: ignore[arg-type]
    with pytest.raises(ChildSpecError):
        Application("shop", children=[InitBy])  # type: ignore[list-item]


async def test_children_can_be_a_function():
    log = []

    def children():
        log.append("children")
        return (recorder(log, label) for label in "ab")

    app = Application("shop", children=children, strategy="one_for_all")
    assert repr(app) == "<Application shop, children by a function>"
    async with quick_node():
        await app.start()
        await crash("b")
        await states(pid_of("shop_sup"))
    assert log == ["children", "+a", "+b", "-b", "-a", "+a", "+b", "-b", "-a"]


async def later():
    return []


def broken():
    raise ValueError("no shelf")


@pytest.mark.parametrize(
    ("children", "error", "text"),
    [
        (
            broken,
            StartError,
            (
                "start of application 'shop': expected its children function to return child specs, "
                "got ValueError('no shelf')"
            ),
        ),
        (lambda: [3], ChildSpecError, "child_spec: expected what child_spec() returns, got 3"),
        (lambda: [child_spec(InitBy, restart="no")], InvalidOptionError, "child_spec(restart): expected one of "),
        (
            later,
            InvalidOptionError,
            "Application shop(children): expected a list of child specs, got <coroutine object later at ",
        ),
    ],
)
async def test_start_fails_when_the_children_function_returns_no_children(children, error, text):
    app = Application("shop", children=children)
    async with quick_node():
        with pytest.raises(error) as caught:
            await app.start()
        assert which_applications() == []
    assert str(caught.value).startswith(text)


@dataclass
class Town:
    name: str = "Rome"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"config": Town()},
            (
                "Application(config): expected a dataclass or a msgspec.Struct, got Town(name='Rome')\n"
                "Fix: pass the class, and the values to start(config=...) or run(config=...)."
            ),
        ),
        ({"config": dict}, "Application(config): expected a dataclass or a msgspec.Struct, got <class 'dict'>"),
        ({"prep_stop": 3}, "Application(prep_stop): expected a callable or None, got 3"),
        ({"stop": "stop"}, "Application(stop): expected a callable or None, got 'stop'"),
        (
            {"stop": broken, "config": Town},
            "Application(stop): expected a function of one argument, the configuration, got <function broken at ",
        ),
        (
            {"prep_stop": lambda town: None},
            "Application(prep_stop): expected a function without arguments, since there is no config=, got <function",
        ),
        (
            {"children": lambda town: []},
            "Application(children): expected a function without arguments, since there is no config=, got <function",
        ),
        ({"children": InitBy}, "Application(children): expected a list of child specs, got <class "),
        ({"callback_timeout": -1}, "Application(callback_timeout): expected seconds >= 0 as a finite number, or"),
    ],
)
def test_application_refuses(options, text):
    arguments: dict[str, Any] = {"children": [], **options}
    with pytest.raises(InvalidOptionError) as caught:
        Application("shop", **arguments)
    assert str(caught.value).startswith(text)


def test_application_takes_functions_without_a_signature():
    Application("shop", children=[], prep_stop=dict, stop=iter)
