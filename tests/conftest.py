# SPDX-License-Identifier: MIT
"""How tests run here.

``async def test_...`` runs on a fresh event loop in debug mode, and fails when it

* leaves tasks behind,
* leaves an exception that nobody read, or
* blocks the loop (mark it ``allow_blocking("why")`` if it must).

A test that takes the fixture ``node`` runs as ``stanchion.testing`` runs it, in a node on virtual time, and must not block
the loop either.

Fixtures are plain functions; an async test opens what it needs with ``async with``. A fixture named
``loop_factory`` decides which loop the tests that see it run on: override it beside your tests, or let
it look at a marker, to get another one (virtual time, say).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

from tests.postgres import PostgresServer, schema_in

# Debug mode and coverage make the time of one example meaningless.
settings.register_profile("stanchion", settings(), deadline=None)
settings.load_profile("stanchion")

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent
WEBHOOKS = ROOT.parent / "shared" / "data" / "github-webhooks.jsonl"

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="loop of async tests")


# --- async tests ---------------------------------------------------------------------------------


@pytest.fixture
def loop_factory(pytestconfig: pytest.Config) -> LoopFactory:
    """Return what makes the event loop of each async test."""
    if pytestconfig.getoption("--loop") == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return asyncio.SelectorEventLoop


def _coroutine_function(item: pytest.Item) -> Callable[..., Coroutine[Any, Any, None]] | None:
    """Return the async function behind a test, hypothesis's inner one included."""
    function = getattr(item, "obj", None)
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inner if inspect.iscoroutinefunction(inner) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and _coroutine_function(item):
        item.fixturenames.append("loop_factory")


def pytest_collection_finish() -> None:
    # What is loaded by now stays; without this, the collection after each test would walk through all of it.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    function = _coroutine_function(pyfuncitem)
    if function is None or _runs_in_node(pyfuncitem):
        return None
    loop_factory = cast("LoopFactory", pyfuncitem.funcargs["loop_factory"])
    may_block = _may_block(pyfuncitem)

    def run(**arguments: Any) -> None:
        _run_async_test(function, arguments, loop_factory, may_block=may_block)

    if function is not pyfuncitem.obj:  # hypothesis calls its inner test once per example
        handle = pyfuncitem.obj.hypothesis
        handle.inner_test = run
        # The function is there once for all parameters of the test: each finds it as it was.
        pyfuncitem.addfinalizer(partial(setattr, handle, "inner_test", function))
        return None
    parameters = inspect.signature(function).parameters
    run(**{name: value for name, value in pyfuncitem.funcargs.items() if name in parameters})
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if not isinstance(item, pytest.Function) or not _runs_in_node(item) or _may_block(item):
        return (yield)
    blockbuster = _blockbuster()
    blockbuster.activate()
    try:
        return (yield)
    finally:
        blockbuster.deactivate()


def _runs_in_node(item: pytest.Function) -> bool:
    """Say whether the plugin of stanchion.testing runs a test."""
    return "stanchion_seed" in item.fixturenames and _coroutine_function(item) is not None


def _blockbuster() -> BlockBuster:
    """Return what makes blocking calls in the loop fail."""
    blockbuster = BlockBuster()
    for function in blockbuster.functions.values():
        # asyncpg looks for a password file and for certificates when it connects.
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        # Alembic has a thread, and in it a loop that nobody else waits for.
        function.can_block_in("stanchion/storage/_schema.py", {"upgrade", "known_revisions"})
        # The file of a time zone is read once, as a module is; who names an unknown one is told of the nearest.
        function.can_block_in("stanchion/scheduler/_zones.py", {"named", "_fix"})
        # Coverage has a lock around its own tables, which the tracers of other threads take too.
        function.can_block_in("coverage/collector.py", "lock_data")
    return blockbuster


def _may_block(item: pytest.Function) -> bool:
    marker = item.get_closest_marker("allow_blocking")
    if marker is None:
        return False
    if not marker.args or not isinstance(marker.args[0], str):
        pytest.fail(
            'allow_blocking: expected a reason, got none\nFix: @pytest.mark.allow_blocking("why")',
            pytrace=False,
        )
    return True


def _run_async_test(
    function: Callable[..., Coroutine[Any, Any, None]],
    arguments: dict[str, Any],
    loop_factory: LoopFactory,
    *,
    may_block: bool,
) -> None:
    unread: list[str] = []
    leftovers: list[str] = []
    blockbuster = _blockbuster()

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: unread.append(_describe(context)))
        if not may_block:
            blockbuster.activate()
        try:
            await function(**arguments)
        finally:
            blockbuster.deactivate()
        await asyncio.sleep(0)  # a task whose last step is already scheduled is not left behind
        leftovers.extend(sorted(repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}))

    with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
        runner.run(body())
    gc.collect()  # an unread exception is reported when its task or future goes
    if leftovers:
        pytest.fail("the test left tasks behind:\n  " + "\n  ".join(leftovers), pytrace=False)
    if unread:
        pytest.fail("the event loop reported:\n  " + "\n  ".join(unread), pytrace=False)


def _describe(context: dict[str, Any]) -> str:
    return f"{context['message']}: {context.get('exception')!r} {context.get('future') or context.get('handle') or ''}"


# --- what tests need from outside ----------------------------------------------------------------


@pytest.fixture(scope="session")
def webhooks() -> list[dict[str, Any]]:
    """Return real GitHub webhooks, each ``{"event": name, "payload": {...}}``."""
    if not WEBHOOKS.exists():
        pytest.skip("real webhook payloads are not part of a clone: ../shared/data/github-webhooks.jsonl")
    return [json.loads(line) for line in WEBHOOKS.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def require_service() -> Callable[[str], str]:
    """Return ``require_service(name)``: the URL of an external server from ``STANCHION_TEST_<NAME>``.

    Without it the test skips, or fails where ``STANCHION_REQUIRE_SERVICES=1``.
    """
    return _service_url


def _service_url(name: str) -> str:
    variable = f"STANCHION_TEST_{name.upper()}"
    return os.environ.get(variable) or _missing(f"no {name}: {variable} is not set")


def _missing(message: str) -> NoReturn:
    if os.environ.get("STANCHION_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{message}, and STANCHION_REQUIRE_SERVICES=1", pytrace=False)
    pytest.skip(message)


@pytest.fixture
def postgres_url() -> Generator[str]:
    """Return the URL of a PostgreSQL schema of the test's own, in the database of ``STANCHION_TEST_POSTGRES``."""
    with schema_in(_service_url("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def _own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[PostgresServer]:
    programs = PostgresServer.find_programs()
    if programs is None:
        _missing("no initdb and pg_ctl: install PostgreSQL's server")
    with PostgresServer.made(programs) as server:
        yield server


@pytest.fixture
def own_postgres(_own_postgres: PostgresServer) -> PostgresServer:
    """Return a PostgreSQL server of our own, which runs and which the test may stop."""
    _own_postgres.start()
    return _own_postgres


@pytest.fixture(autouse=True)
def _services(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("services"):
        for name in marker.args:
            _service_url(name)
