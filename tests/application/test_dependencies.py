# SPDX-License-Identifier: MIT
"""Applications that depend on others: the order of start and stop, and what becomes of one when another fails."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.application import Application, ApplicationInfo, which_applications
from stanchion.errors import (
    ApplicationStateError,
    ChildStartError,
    InvalidOptionError,
    NodeStateError,
    StartError,
)
from stanchion.kernel import whereis
from stanchion.server import stop
from stanchion.supervisor import child_spec
from tests.supervisor.servers import InitBy, hang, pid_of, quick_node, recorder


def app_of(log: list[str], name: str, *depends_on: Application, **options) -> Application:
    """Return an application of one Recorder, called as the application."""
    return Application(name, children=[recorder(log, name)], depends_on=depends_on, **options)


class Gate:
    """What an init waits at."""

    def __init__(self, result: object = None) -> None:
        self._open = asyncio.Event()
        self._result = result
        self.set = self._open.set

    async def wait(self) -> object:
        await self._open.wait()
        return self._result


def failing(name: str, *depends_on: Application) -> Application:
    return Application(name, children=[child_spec(InitBy, lambda: 3)], depends_on=depends_on)


def names() -> list[str]:
    return [info.name for info in which_applications()]


async def test_application_starts_after_those_it_depends_on_and_stops_before_them():
    log = []
    disk = app_of(log, "disk")
    db, cache = app_of(log, "db", disk), app_of(log, "cache", disk)
    shop = app_of(log, "shop", db, cache)
    async with quick_node():
        pid = await shop.start()
        assert which_applications() == [
            ApplicationInfo("disk", pid_of("disk_sup"), "temporary"),
            ApplicationInfo("db", pid_of("db_sup"), "temporary"),
            ApplicationInfo("cache", pid_of("cache_sup"), "temporary"),
            ApplicationInfo("shop", pid, "temporary"),
        ]
    assert log == ["+disk", "+db", "+cache", "+shop", "-shop", "-cache", "-db", "-disk"]


async def test_application_that_runs_is_not_started_again_for_another():
    log = []
    db = app_of(log, "db")
    async with quick_node():
        await db.start()
        await app_of(log, "shop", db).start()
        await app_of(log, "admin", db).start()
        assert names() == ["db", "shop", "admin"]
    assert log == ["+db", "+shop", "+admin", "-admin", "-shop", "-db"]


async def test_application_that_starts_already_is_waited_for():
    log = []
    go = Gate()
    db = Application("db", children=[child_spec(InitBy, go.wait), recorder(log, "db")])
    async with quick_node():
        starts = [asyncio.ensure_future(app_of(log, name, db).start()) for name in ("shop", "admin")]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*starts)
    assert log[:3] == ["+db", "+shop", "+admin"]


async def test_all_who_wait_for_an_application_hear_that_it_did_not_start():
    db = failing("db")
    async with quick_node():
        starts = [asyncio.ensure_future(app_of([], name, db).start()) for name in ("shop", "admin")]
        outcomes = await asyncio.gather(*starts, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ChildStartError, ChildStartError]
        assert names() == []


async def test_start_that_fails_stops_what_it_had_started_in_reverse():
    log = []
    before = app_of(log, "before")
    disk = app_of(log, "disk", before)
    shop = failing("shop", app_of(log, "db", disk))
    async with quick_node():
        await before.start()
        with pytest.raises(ChildStartError) as caught:
            await shop.start()
        assert names() == ["before"]
        assert str(caught.value).startswith("start of child 'InitBy' of Supervisor <test.")
    assert log == ["+before", "+disk", "+db", "-db", "-disk", "-before"]


async def test_start_that_fails_leaves_alone_what_others_depend_on_by_then():
    log = []
    go = Gate(3)
    db = app_of(log, "db")
    shop = Application("shop", children=[child_spec(InitBy, go.wait)], depends_on=[db])
    async with quick_node():
        starting = asyncio.ensure_future(shop.start())
        while whereis("shop_sup") is None:
            await asyncio.sleep(0)
        await app_of(log, "admin", db).start()
        go.set()
        with pytest.raises(ChildStartError):
            await starting
        assert names() == ["db", "admin"]


async def test_start_that_is_cancelled_kills_what_it_had_started():
    log = []
    db = app_of(log, "db", stop=lambda: log.append("stop"))
    shop = Application("shop", children=[child_spec(InitBy, hang, timeout=None)], depends_on=[db])
    async with quick_node() as node:
        starting = asyncio.ensure_future(shop.start())
        while whereis("shop_sup") is None:
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        while node.processes:
            await asyncio.sleep(0)
        assert names() == []
    assert log == ["+db"]


async def test_start_that_is_cancelled_while_it_stops_what_it_had_started_kills_it():
    async def prep_stop():
        stops.set()
        await hang()

    stops = asyncio.Event()
    db = Application("db", children=[], prep_stop=prep_stop, callback_timeout=None)
    cache = Application("cache", children=[])
    async with quick_node() as node:
        starting = asyncio.ensure_future(failing("shop", cache, db).start())
        await stops.wait()
        assert names() == ["cache"]
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        while node.processes:
            await asyncio.sleep(0)


async def test_start_that_is_cancelled_leaves_alone_what_others_depend_on_by_then():
    log = []
    disk = app_of(log, "disk")
    db = app_of(log, "db", disk)
    shop = Application("shop", children=[child_spec(InitBy, hang, timeout=None)], depends_on=[db])
    async with quick_node():
        starting = asyncio.ensure_future(shop.start())
        while whereis("shop_sup") is None:
            await asyncio.sleep(0)
        await app_of(log, "admin", db).start()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert names() == ["disk", "db", "admin"]


async def test_start_fails_when_one_that_it_depends_on_was_started_anew_meanwhile():
    go, never = Gate(), Gate()
    gates = [Gate(), never]
    gates[0].set()
    db = Application("db", children=lambda: [child_spec(InitBy, gates.pop(0).wait)])
    cache = Application("cache", children=[child_spec(InitBy, go.wait)])
    shop = Application("shop", children=[], depends_on=[db, cache])
    async with quick_node():
        starting = asyncio.ensure_future(shop.start())
        while whereis("cache_sup") is None:
            await asyncio.sleep(0)
        await db.stop()
        anew = asyncio.ensure_future(db.start())
        while whereis("db_sup") is None:
            await asyncio.sleep(0)
        go.set()
        with pytest.raises(ApplicationStateError, match="application 'db', which it depends on, to run until then"):
            await starting
        never.set()
        await anew
        assert names() == ["db"]


async def test_application_cannot_wait_for_one_whose_start_waits_for_it():
    refusals = []

    async def start_shop():
        with pytest.raises(ApplicationStateError) as caught:
            await shop.start()
        refusals.append(str(caught.value))

    db = Application("db", children=[child_spec(InitBy, start_shop, timeout=None)])
    shop = Application("shop", children=[], depends_on=[db])
    async with quick_node():
        await db.start()
        assert names() == ["db"]
    assert refusals == [
        (
            "start of application 'db': expected to be asked from outside of it, "
            "got its own InitBy <test.3>, which would wait for itself\n"
            "Fix: write spawn(app.start), which does it in a process of its own."
        )
    ]


async def test_start_fails_when_one_that_it_depends_on_ends_meanwhile():
    log = []
    go = Gate()
    db = app_of(log, "db")
    cache = Application("cache", children=[child_spec(InitBy, go.wait)], depends_on=[])
    shop = app_of(log, "shop", db, cache)
    async with quick_node():
        starting = asyncio.ensure_future(shop.start())
        while whereis("cache_sup") is None:
            await asyncio.sleep(0)
        await stop("db_sup")
        go.set()
        with pytest.raises(ApplicationStateError) as caught:
            await starting
        assert names() == []
    assert str(caught.value) == (
        "start of application 'shop': expected application 'db', which it depends on, to run until then, got its end\n"
        "Fix: read the log for why it ended."
    )


async def test_application_that_others_depend_on_is_not_stopped():
    log = []
    db = app_of(log, "db")
    shop, admin = app_of(log, "shop", db), app_of(log, "admin", db)
    async with quick_node():
        await shop.start()
        await admin.start()
        with pytest.raises(ApplicationStateError) as caught:
            await db.stop()
        assert names() == ["db", "shop", "admin"]
        assert (caught.value.name, caught.value.verb) == ("db", "stop")
        assert str(caught.value) == (
            "stop of application 'db': expected no running application to depend on it, got 'shop', 'admin'\n"
            "Fix: stop those first."
        )
        for app in (admin, shop, db):
            await app.stop()
        assert names() == []
    assert log == ["+db", "+shop", "+admin", "-admin", "-shop", "-db"]


async def test_application_that_was_started_anew_stops_after_those_that_depend_on_it():
    log = []
    db = app_of(log, "db")
    async with quick_node():
        await app_of(log, "shop", db).start()
        await stop("db_sup")
        await db.start()
        assert names() == ["shop", "db"]
        log.clear()
    assert log == ["-shop", "-db"]


async def test_other_application_of_the_same_name_is_not_taken_for_it():
    db, other = app_of([], "db"), app_of([], "db")
    async with quick_node():
        await other.start()
        with pytest.raises(ApplicationStateError) as caught:
            await app_of([], "shop", db).start()
        assert str(caught.value) == (
            "start of application 'db': expected a name that no other application of the node has, "
            "got that of another one, which is running: <Application db, 1 children>\n"
            "Fix: give one of the two another name."
        )
        await db.stop()
        assert names() == ["db"]


async def test_nothing_starts_behind_the_order_to_stop_the_node():
    log = []
    go = Gate()
    db = Application("db", children=[child_spec(InitBy, go.wait)], prep_stop=lambda: log.append("prep_stop"))
    shop = app_of(log, "shop", db)
    cache = app_of(log, "cache", prep_stop=go.set)
    async with quick_node():
        await cache.start()
        starting = asyncio.ensure_future(shop.start())
        while whereis("db_sup") is None:
            await asyncio.sleep(0)
    with pytest.raises(StartError):
        await starting
    assert log == ["+cache", "-cache"]


async def test_application_does_not_start_on_a_node_that_stops():
    log = []

    async def start_another():
        with pytest.raises(NodeStateError) as caught:
            await app_of(log, "admin").start()
        log.append(str(caught.value).splitlines()[0])

    async with quick_node():
        await app_of(log, "shop", prep_stop=start_another).start()
    assert log == [
        "+shop",
        "start of application admin on node 'test': expected a running node, got one that is stopping",
        "-shop",
    ]


def test_two_applications_of_one_name_cannot_depend_on_each_other():
    db, other = app_of([], "db"), app_of([], "db")
    with pytest.raises(InvalidOptionError) as caught:
        app_of([], "shop", app_of([], "cache", db), other)
    assert str(caught.value) == (
        "Application(depends_on): expected applications with different names, and other than its own, "
        "got two that are called 'db': <Application db, 1 children> and <Application db, 1 children>\n"
        "Fix: give one of the two another name."
    )
    with pytest.raises(InvalidOptionError, match="got two that are called 'db'"):
        app_of([], "db", db)


@pytest.mark.parametrize(
    ("depends_on", "text"),
    [
        (["db"], "Application(depends_on): expected a list of applications, got ['db']"),
        (None, "Application(depends_on): expected a list of applications, got None"),
        (
            Application("db", children=[]),
            (
                "Application(depends_on): expected a list of applications, got <Application db, 0 children>\n"
                "Fix: put it into a list."
            ),
        ),
    ],
)
def test_application_depends_on_applications(depends_on, text):
    with pytest.raises(InvalidOptionError) as caught:
        Application("shop", children=[], depends_on=depends_on)
    assert str(caught.value) == text
