# SPDX-License-Identifier: MIT
"""What pytest loads at each start where Stanchion is installed: options, a marker, two fixtures, and when to do more.

It is no part of the package, for importing that would cost every test run something, and hide the imports from the
measuring of coverage. The work is done by ``stanchion.testing``, which is loaded by the first test that asks for it.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stanchion import Node

SEED = "stanchion_seed"
# Set at collection, for other plugins may wrap the function afterwards.
_ASKS = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("stanchion", "order of ready processes")
    group.addoption(
        "--stanchion-seed",
        type=int,
        metavar="SEED",
        help="draw the order from this seed, as a failing test prints it; without it each test draws a seed of its own",
    )
    group.addoption(
        "--stanchion-seeds", type=int, metavar="N", help="run each test in N orders, from --stanchion-seed or 0 on"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker."""
    config.addinivalue_line(
        "markers",
        "stanchion(seed=None, seeds=1, virtual_time=True, **options): run an async test in a fresh stanchion.Node made "
        "with these options, on virtual time, its processes in an order that is drawn from the seed",
    )


@pytest.fixture
def node(request: pytest.FixtureRequest, stanchion_seed: int) -> Node:
    """A fresh stanchion.Node, entered around the test's body; at the end nothing may be left in it."""
    from stanchion.testing import _pytest

    return _pytest.make_node(request, stanchion_seed)


@pytest.fixture
def stanchion_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the running test, for choices of its own."""
    from stanchion.testing import _pytest

    return _pytest.choose_seed(request)


def _asks(item: pytest.Function) -> bool:
    """Say whether a test is async and asks for a node."""
    function: object = getattr(item, "obj", None)
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(function) and (
        item.get_closest_marker("stanchion") is not None or ("node" in item.fixturenames and _is_ours(item))
    )


def _is_ours(item: pytest.Function) -> bool:
    """Say whether the fixture that a test knows as ``node`` is the one here, or made of it."""
    for fixture in reversed(item._fixtureinfo.name2fixturedefs["node"]):
        if fixture.func.__module__ == __name__:
            return True
        if "node" not in fixture.argnames:
            break
    return False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each seed, where there are several."""
    test = metafunc.definition
    if _asks(test):
        from stanchion.testing import _pytest

        _pytest.parametrize(metafunc)
    elif any(marker.name == "stanchion" for marker in test.own_markers):
        raise pytest.Collector.CollectError(
            f"{test.nodeid}: mark.stanchion: expected an async test, got another one\n"
            f"Fix: write `async def {test.name}(...)`, without yield."
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test its seed, also one that has a marker only."""
    if isinstance(item, pytest.Function) and _asks(item):
        item.stash[_ASKS] = True
        if SEED not in item.fixturenames:
            item.fixturenames.append(SEED)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep the garbage collections after such tests from walking through all that is loaded by now."""
    if any(_ASKS in item.stash for item in session.items):
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Have the async fixtures of such a test run in its node."""
    if not (isinstance(request.node, pytest.Function) and _ASKS in request.node.stash):
        return (yield)
    from stanchion.testing import _pytest

    with _pytest.promised(fixturedef, request):
        return (yield)


# A wrapper, so that other plugins for async tests, which come first maybe, see a plain one.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test that asks for a node."""
    if _ASKS not in pyfuncitem.stash:
        return (yield)
    from stanchion.testing import _pytest

    with _pytest.made_plain(pyfuncitem):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the seed of a test that failed, and how to have it again."""
    report = yield
    if report.failed and call.when == "call" and isinstance(item, pytest.Function) and SEED in item.funcargs:
        from stanchion.testing import _pytest

        report.sections.append(("stanchion", _pytest.replay_text(item)))
    return report
