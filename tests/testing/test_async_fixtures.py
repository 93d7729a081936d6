# SPDX-License-Identifier: MIT
"""Async fixtures of tests that run in a node: they are set up in it, and end in it."""

from __future__ import annotations

import pytest


def test_async_fixture_is_set_up_in_the_node_of_its_test(run):
    run("""
        @pytest.fixture
        async def mailer(node):
            assert node.running
            return Probe("mailer")

        async def test_it(mailer, node):
            st.cast("mailer", 1)
            assert await mailer.expect() == 1
    """).assert_outcomes(passed=1)


def test_async_fixtures_are_set_up_in_their_order_and_end_in_reverse(run):
    result = run(
        """
        @pytest.fixture
        def plain(node):
            yield "plain"
            print("told: plain ends")

        @pytest.fixture
        async def first(plain):
            await asyncio.sleep(1)
            yield f"first of {plain}"
            await asyncio.sleep(1)
            print("told: first ends")

        @pytest.fixture(autouse=True)
        async def always():
            print("told: always")

        class TestIt:
            kind = "method"

            @pytest.fixture(params=["a", "b"])
            async def second(self, first, request):
                yield f"{self.kind} {request.param} after {first}"
                print("told: second ends")

            async def test_it(self, second, node):
                print("told:", second)
        """,
        "-s",
    )
    result.assert_outcomes(passed=2)
    told = [line.partition("told: ")[2] for line in result.outlines if "told: " in line]
    ends = ["second ends", "first ends", "plain ends"]
    assert told == [
        *["always", "method a after first of plain", *ends],
        *["always", "method b after first of plain", *ends],
    ]


def test_async_fixture_is_made_anew_for_each_example(run):
    run("""
        from hypothesis import HealthCheck, given, settings, strategies

        seen = []

        @pytest.fixture
        async def probe():
            return Probe("the same name")

        @settings(max_examples=5, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @pytest.mark.stanchion
        @given(number=strategies.integers())
        async def test_it(probe, number):
            assert probe.pid.alive
            assert probe not in seen
            seen.append(probe)
    """).assert_outcomes(passed=1)


def test_argument_that_is_none_stays_so(run):
    run("""
        @pytest.mark.stanchion
        @pytest.mark.parametrize("nothing", [None])
        async def test_it(nothing):
            assert nothing is None
    """).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("if False: yield", "async fixture 'wrong': expected one yield, got none"),
        ("yield 1; yield 2", "async fixture 'wrong': expected one yield, got a second one"),
    ],
)
def test_async_fixture_that_does_not_yield_once_fails_its_test(run, body, text):
    result = run(f"""
        @pytest.fixture
        async def wrong():
            {body}

        async def test_it(node, wrong):
            pass
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([text])


def test_plain_fixture_that_takes_an_async_one_is_told_to_be_async(run):
    result = run("""
        @pytest.fixture
        async def mailer():
            return Probe()

        @pytest.fixture
        def address(mailer):
            return mailer.pid

        async def test_it(node, address):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*fixture 'address': expected arguments that are there before the node runs, got the async fixture 'mailer'",
            "*Fix: write `async def address(...)`, too.",
        ]
    )


def test_async_fixtures_of_other_tests_are_left_alone(run):
    result = run("""
        @pytest.fixture
        async def theirs():
            return 1

        def test_it(theirs):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*requested an async fixture 'theirs', with no plugin or hook that handled it*"])
