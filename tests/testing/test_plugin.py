# SPDX-License-Identifier: MIT
"""The pytest plugin, as it is installed: which tests it takes, and what it says of those that fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

# --- which tests ---------------------------------------------------------------------------------


def test_async_test_runs_in_the_node_that_it_takes(run):
    run("""
        async def test_it(node, tmp_path):
            assert node.running
            assert st.spawn(asyncio.sleep, 0)._process.node is node
            assert isinstance(asyncio.get_running_loop(), SeededLoop)
            await advance(3600)
    """).assert_outcomes(passed=1)


def test_async_test_runs_in_a_node_when_it_is_marked(run):
    run("""
        @pytest.mark.stanchion
        async def test_it():
            st.spawn(asyncio.sleep, 0)
    """).assert_outcomes(passed=1)


def test_method_runs_in_a_node_too(run):
    run("""
        class TestIt:
            async def test_it(self, node):
                assert type(self).__name__ == "TestIt"
    """).assert_outcomes(passed=1)


def test_each_test_has_a_node_of_its_own(run):
    run("""
        nodes = []

        @pytest.mark.parametrize("number", range(3))
        async def test_it(node, number):
            assert node not in nodes
            nodes.append(node)
            Probe("the same name")
    """).assert_outcomes(passed=3)


def test_fixtures_see_the_node_before_it_runs(run):
    run("""
        @pytest.fixture
        def exits(node):
            from stanchion.telemetry import PROCESS_EXIT
            told = []
            node.telemetry.attach(PROCESS_EXIT, lambda *_: told.append(1))
            return told

        async def test_it(exits):
            st.spawn(asyncio.sleep, 0)
            await wait_quiet()
            assert exits == [1]
    """).assert_outcomes(passed=1)


def test_other_tests_are_left_alone(run):
    run("""
        import sys

        def test_plain():
            assert True

        @pytest.fixture
        def loop(request):
            return "theirs"

        def test_with_fixtures(loop, request):
            assert "stanchion_seed" not in request.fixturenames
    """).assert_outcomes(passed=2)


def test_async_test_whose_own_fixture_is_called_node_is_left_alone(run):
    result = run("""
        @pytest.fixture
        def node():
            return "theirs"

        async def test_it(node):
            pass
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*async def functions are not natively supported.*"])
    result.stdout.no_fnmatch_line("*--stanchion-seed=*")


def test_plain_test_that_takes_a_node_is_told_to_be_async(run):
    result = run("""
        def test_it(node):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            (
                "*InvalidOptionError: fixture 'node' of test_it: expected an async test, around which it is entered, "
                "got a plain one"
            ),
            "*Fix: write `async def test_it(...)`, without yield.",
        ]
    )


@pytest.mark.parametrize("body", ["pass", "yield"])
def test_marked_test_that_is_not_async_is_told_at_collection(run, body):
    result = run(f"""
        @pytest.mark.stanchion(seeds=3)
        {"async " * (body == "yield")}def test_it():
            {body}
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_it: mark.stanchion: expected an async test, got another one",
            "Fix: write `async def test_it(...)`, without yield.",
        ]
    )


def test_plain_test_in_a_module_that_is_marked_is_left_alone(run):
    run("""
        pytestmark = pytest.mark.stanchion(timeouts=7)

        def test_plain():
            pass

        async def test_it(node):
            assert node.timeouts.default == 7
    """).assert_outcomes(passed=2)


def test_async_generator_that_takes_a_node_is_told_so(run):
    result = run("""
        async def test_it(node):
            yield
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*expected an async test, around which it is entered, got an async generator"])


def test_test_may_have_arguments_of_its_own(run):
    run("""
        async def test_it(node, number=3):
            assert number == 3
    """).assert_outcomes(passed=1)


def test_fixture_may_stand_for_the_node_and_use_it(run):
    run("""
        @pytest.fixture
        def node(node):
            node.timeouts.set(7)
            return node

        async def test_it(node):
            assert (node.running, node.timeouts.default) == (True, 7)
    """).assert_outcomes(passed=1)


def test_property_runs_each_example_in_a_node_of_its_own(run):
    run("""
        from hypothesis import HealthCheck, given, settings, strategies

        nodes = []
        few = {"max_examples": 5, "database": None}

        @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], **few)
        @given(number=strategies.integers())
        async def test_fixture(node, number):
            assert node.running
            assert node not in nodes
            nodes.append(node)

        @settings(**few)
        @pytest.mark.stanchion(seeds=3)
        @given(strategies.integers())
        async def test_marker(number):
            Probe("the same name")

        class TestMethod:
            @settings(**few)
            @pytest.mark.stanchion
            @given(nothing=strategies.none())
            async def test_method(self, nothing):
                assert nothing is None
    """).assert_outcomes(passed=5)


# --- options -------------------------------------------------------------------------------------


def test_marker_gives_options_to_the_node(run):
    run("""
        @pytest.mark.stanchion(name="mine", timeouts=7, dead_letters="memory:")
        async def test_it(node):
            assert (node.name, node.timeouts.default) == ("mine", 7)
            delivery = await st.send_supervised("nobody", "x", retries=0, on_error="dead_letter")
            assert delivery.dead_letter_id
    """).assert_outcomes(passed=1)


def test_marker_may_ask_for_real_time(run):
    run("""
        @pytest.mark.stanchion(virtual_time=False)
        async def test_it(node):
            assert type(node.clock) is not None
            assert not isinstance(asyncio.get_running_loop(), SeededLoop)
    """).assert_outcomes(passed=1)


def test_nearer_marker_wins_option_by_option(run):
    run("""
        pytestmark = pytest.mark.stanchion(name="outer", timeouts=7)

        @pytest.mark.stanchion(name="inner")
        async def test_it(node):
            assert (node.name, node.timeouts.default) == ("inner", 7)
    """).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("sed=1", "mark.stanchion: expected options among seed, seeds, virtual_time, name, *, got 'sed'"),
        ("7", "mark.stanchion: expected options by name, got (7,)"),
        ("seeds=0", "mark.stanchion(seeds): expected a whole number >= 1, got 0"),
        ("seed='x'", "mark.stanchion(seed): expected a whole number >= 0, got 'x'"),
        ("virtual_time=1", "mark.stanchion(virtual_time): expected an instance of bool, got 1"),
    ],
)
def test_wrong_marker_is_told_at_collection(run, arguments, text):
    result = run(f"""
        @pytest.mark.stanchion({arguments})
        async def test_it():
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"test_it.py::test_it: {text}"])


# --- seeds ---------------------------------------------------------------------------------------

RACE = """
    async def worker(log, name):
        log.append(name)

    async def test_race(node{more}):
        log = []
        for number in range(5):
            st.spawn(worker, log, number)
        await wait_quiet()
        assert log == [0, 1, 2, 3, 4]
"""


def test_failing_test_prints_the_command_that_replays_it(run, pytester):
    # Of 120 orders one passes; a seed that draws it would be bad luck, but it may come.
    results = (run(RACE.format(more="")) for _ in range(5))
    result = next(result for result in results if result.parseoutcomes() == {"failed": 1})
    result.stdout.fnmatch_lines(["*stanchion*", "The order of processes was drawn from seed *. To have it again:"])
    (command,) = [line for line in result.outlines if line.startswith("  pytest ")]
    assert re.fullmatch(r"  pytest test_it.py::test_race --stanchion-seed=\d+", command)
    order = [line for line in result.outlines if "assert [" in line]
    again = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:cov", *command.split()[1:])
    again.assert_outcomes(failed=1)
    assert [line for line in again.outlines if "assert [" in line] == order


def test_several_seeds_run_the_test_as_often_and_name_those_that_fail(run):
    result = run(RACE.format(more=""), "--stanchion-seeds=20")
    outcomes = result.parseoutcomes()
    assert sum(outcomes.values()) == 20
    assert outcomes["failed"] > 10
    result.stdout.fnmatch_lines(["*test_race?seed=1? *", "  pytest test_it.py::test_race --stanchion-seed=1"])


def test_seeds_begin_where_they_are_told_to(run):
    result = run(RACE.format(more=""), "--stanchion-seeds=2", "--stanchion-seed=70", "-v")
    result.stdout.fnmatch_lines(["*test_race?seed=70? *", "*test_race?seed=71? *"])


@pytest.mark.parametrize(
    ("options", "seeds"),
    [([], [5, 6, 7]), (["--stanchion-seed=9"], [9]), (["--stanchion-seeds=2"], [5, 6])],
)
def test_marker_may_ask_for_several_seeds_and_the_command_line_wins(run, options, seeds):
    result = run(
        """
        @pytest.mark.stanchion(seed=5, seeds=3)
        async def test_it(stanchion_seed):
            print("seed is", stanchion_seed)
        """,
        "-s",
        *options,
    )
    assert re.findall(r"seed is (\d+)", result.stdout.str()) == [str(seed) for seed in seeds]


def test_marker_may_fix_the_seed(run):
    run("""
        @pytest.mark.stanchion(seed=5)
        async def test_it(node, stanchion_seed):
            assert stanchion_seed == asyncio.get_running_loop().seed == 5
    """).assert_outcomes(passed=1)


def test_test_with_other_parameters_is_replayed_by_its_own_name(run):
    result = run(
        """
        @pytest.mark.parametrize("word", ["a b"])
        async def test_it(node, word):
            assert False
        """,
        "--stanchion-seeds=2",
    )
    result.stdout.fnmatch_lines(["  pytest 'test_it.py::test_it[[]a b[]]' --stanchion-seed=1"])


def test_seed_on_the_command_line_must_be_a_whole_number(run):
    result = run(RACE.format(more=""), "--stanchion-seed=-1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--stanchion-seed: expected a whole number >= 0, got -1"])


def test_plain_test_may_draw_from_the_seed_and_prints_it(run):
    result = run("""
        def test_it(stanchion_seed):
            assert stanchion_seed is None
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  pytest test_it.py::test_it --stanchion-seed=*"])


def test_hypothesis_runs_all_examples_with_one_seed(run):
    result = run("""
        from hypothesis import given, settings, strategies

        seeds = set()

        @settings(max_examples=10, database=None)
        @pytest.mark.stanchion
        @given(strategies.integers())
        async def test_it(number):
            seeds.add(asyncio.get_running_loop().seed)
            assert len(seeds) == 1
            assert number < 0
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*number=0,*", "  pytest test_it.py::test_it --stanchion-seed=*"])


# --- failures ------------------------------------------------------------------------------------


def test_leftovers_fail_the_test_without_a_traceback(run):
    result = run("""
        kept = []

        async def test_it(node):
            kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["expected a test that leaves nothing behind, got", "- a task: 'forgotten', made at *, which waits at *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*_isolated.py*:*in*")


def test_failure_shows_the_test_and_not_the_kit(run):
    result = run("""
        async def test_it(node):
            probe = Probe()
            await probe.expect("hello")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*AssertionError: Probe <test.1>: expected 'hello' within 1 s, got no message"])
    result.stdout.no_fnmatch_line("*_probe.py:*")
    result.stdout.no_fnmatch_line("*_isolated.py:*")


def test_test_that_is_skipped_inside_is_skipped(run):
    run("""
        async def test_it(node):
            pytest.skip("not today")
    """).assert_outcomes(skipped=1)


# --- being a guest -------------------------------------------------------------------------------


def test_other_plugins_for_async_tests_see_a_plain_one(run, pytester):
    pytester.makeconftest("""
        import inspect
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            handle = getattr(pyfuncitem.obj, "hypothesis", None)
            assert not inspect.iscoroutinefunction(pyfuncitem.obj if handle is None else handle.inner_test)

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_teardown(item):
            handle = getattr(item.obj, "hypothesis", None)
            assert inspect.iscoroutinefunction(item.obj if handle is None else handle.inner_test)
    """)
    run("""
        from hypothesis import given, settings, strategies

        async def test_it(node):
            assert node.running

        @settings(max_examples=2, database=None)
        @pytest.mark.parametrize("word", ["a", "b"])
        @pytest.mark.stanchion
        @given(number=strategies.none())
        async def test_property(word, number):
            st.spawn(asyncio.sleep, 0)
    """).assert_outcomes(passed=3)


def test_plugin_loads_nothing_of_ours_before_a_test_asks(tmp_path):
    """Coverage begins after the plugins were loaded, and other people's test runs shall not pay."""
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it(): assert not any(name.split('.')[0] == 'stanchion' for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_is_not_loaded_by_the_kit():
    code = "import sys, stanchion.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_and_marker_are_in_pytests_help(pytester):
    shown = pytester.runpytest_inprocess("--help").stdout.str() + pytester.runpytest_inprocess("--markers").stdout.str()
    assert all(
        word in shown for word in ("--stanchion-seed", "--stanchion-seeds", "@pytest.mark.stanchion(seed=None, ")
    )
