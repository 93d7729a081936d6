# SPDX-License-Identifier: MIT
"""tests/conftest.py keeps what it promises: each promise is shown to be able to fail."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
INI = """
[pytest]
filterwarnings = error
markers =
    allow_blocking: .
    services: .
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Return a function that runs one test file under our conftest."""

    def run(code: str, *options: str) -> pytest.RunResult:
        pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
        pytester.makefile(".ini", pytest=INI)
        pytester.makepyfile("import asyncio, os, time\nimport pytest\n\n" + textwrap.dedent(code))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:cov", *options)

    return run


def test_async_test_passes_when_nothing_is_left(run):
    run("""
        async def test_it(tmp_path):
            await asyncio.sleep(0)
            assert asyncio.get_running_loop().get_debug()
    """).assert_outcomes(passed=1)


def test_async_test_runs_on_uvloop_when_asked(run):
    run(
        """
        async def test_it():
            assert "uvloop" in type(asyncio.get_running_loop()).__module__
        """,
        "--loop=uvloop",
    ).assert_outcomes(passed=1)


def test_async_test_runs_on_its_own_loop_when_loop_factory_is_overridden(run):
    run("""
        class Mine(asyncio.SelectorEventLoop):
            pass

        @pytest.fixture
        def loop_factory():
            return Mine

        async def test_it():
            assert type(asyncio.get_running_loop()) is Mine
    """).assert_outcomes(passed=1)


def test_async_test_fails_with_its_own_error_when_it_fails(run):
    result = run("""
        async def test_it():
            assert 1 == 2
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_async_test_fails_when_it_leaves_a_task(run):
    result = run("""
        async def test_it():
            asyncio.create_task(asyncio.sleep(60), name="forgotten")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test left tasks behind:", "*forgotten*"])


def test_async_test_fails_when_an_exception_is_never_read(run):
    result = run("""
        async def test_it():
            async def fail():
                raise ValueError("unread")
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the event loop reported:", "*never retrieved: ValueError('unread')*"])


def test_async_test_fails_when_a_callback_raises(run):
    result = run("""
        async def test_it():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ZeroDivisionError*"])


def test_async_test_fails_when_a_coroutine_is_never_awaited(run):
    result = run("""
        async def test_it():
            asyncio.sleep(0)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*was never awaited*"])


def test_async_test_fails_when_it_blocks_the_loop(run):
    result = run("""
        async def test_it():
            time.sleep(0.001)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BlockingError: Blocking call to time.sleep*"])


def test_async_test_may_block_when_it_says_why(run):
    run("""
        @pytest.mark.allow_blocking("the watchdog needs something to see")
        async def test_it():
            time.sleep(0.001)
    """).assert_outcomes(passed=1)


def test_async_test_fails_when_allow_blocking_has_no_reason(run):
    result = run("""
        @pytest.mark.allow_blocking
        async def test_it():
            pass
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["allow_blocking: expected a reason, got none"])


def test_test_in_a_node_fails_when_it_blocks_the_loop(run):
    result = run("""
        async def test_it(node):
            time.sleep(0.001)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*BlockingError: Blocking call to time.sleep*"])


def test_test_in_a_node_may_block_when_it_says_why(run):
    run("""
        @pytest.mark.allow_blocking("there is a reason")
        async def test_it(node):
            time.sleep(0.001)
    """).assert_outcomes(passed=1)


def test_parametrized_property_runs_each_time_on_the_loop_of_its_parameters(run):
    run("""
        from hypothesis import given, strategies

        @pytest.fixture
        def loop_factory(kind):
            return type(kind, (asyncio.SelectorEventLoop,), {})

        @pytest.mark.parametrize("kind", ["first", "second", "third"])
        @given(number=strategies.integers(0, 3))
        async def test_it(kind, number):
            assert type(asyncio.get_running_loop()).__name__ == kind
    """).assert_outcomes(passed=3)


def test_async_test_may_have_arguments_of_its_own(run):
    run("""
        async def test_it(tmp_path, number=3):
            assert number == 3
    """).assert_outcomes(passed=1)


def test_service_test_skips_when_the_service_is_missing(run, monkeypatch):
    monkeypatch.delenv("STANCHION_REQUIRE_SERVICES", raising=False)
    result = run(
        """
        @pytest.mark.services("postgresql")
        def test_it():
            pass
        """,
        "-rs",
    )
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no postgresql: STANCHION_TEST_POSTGRESQL is not set*"])


def test_service_test_fails_when_the_service_is_missing_but_required(run, monkeypatch):
    monkeypatch.setenv("STANCHION_REQUIRE_SERVICES", "1")
    run("""
        def test_it(require_service):
            require_service("postgresql")
    """).assert_outcomes(failed=1)


def test_service_test_gets_the_url_when_it_is_set(run, monkeypatch):
    monkeypatch.setenv("STANCHION_TEST_POSTGRESQL", "postgresql://here")
    run("""
        def test_it(require_service):
            assert require_service("postgresql") == "postgresql://here"
    """).assert_outcomes(passed=1)


@given(number=st.integers())
async def test_property_runs_async_for_each_example(number):
    assert asyncio.get_running_loop().get_debug()
    assert await asyncio.sleep(0, number) == number
