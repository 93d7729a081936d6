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
        "node" in item.fixturenames or item.get_closest_marker("stanchion") is not None
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each seed, where there are several."""
    if _asks(metafunc.definition):
        from stanchion.testing import _pytest

        _pytest.parametrize(metafunc)


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


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that asks for a node."""
    if _ASKS not in pyfuncitem.stash:
        return None
    from stanchion.testing import _pytest

    return _pytest.run_test(pyfuncitem)


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
