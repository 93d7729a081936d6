# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.errors import ChildSpecError, ChildStartError, InvalidOptionError, NameTakenError, NoNodeError
from stanchion.kernel import whereis
from stanchion.server import stop
from stanchion.supervisor import Application, ChildCounts, child_spec, count_children
from tests.supervisor.servers import InitBy, crash, quick_node, recorder, states


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
        with pytest.raises(NameTakenError):
            await app.start()
        await stop(pid)
        await app.start()


async def test_application_tells_which_child_did_not_start():
    app = Application("shop", children=[child_spec(InitBy, lambda: 3, name="db")])
    async with quick_node("n"):
        with pytest.raises(ChildStartError) as caught:
            await app.start()
    assert str(caught.value).startswith("start of child 'db' of Supervisor <n.1 shop_sup>: expected init to finish")


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
