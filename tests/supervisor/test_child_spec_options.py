# SPDX-License-Identifier: MIT
"""The options of child_spec that decide what an end or a restart means."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from stanchion import Backoff
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.kernel import Pid
from stanchion.server import GenServer
from stanchion.supervisor import (
    RestartBudget,
    check_childspecs,
    child_spec,
    start_function,
    supervisor_spec,
)


class Inventory(GenServer):
    pass


@start_function
async def connect(*_: object) -> Pid:
    raise NotImplementedError


def test_spec_is_by_default_insignificant_and_without_backoff_and_budget():
    spec = child_spec(Inventory)
    assert (spec.significant, spec.backoff, spec.budget) == (False, None, None)


def test_spec_keeps_significance_backoff_and_budget():
    backoff, budget = Backoff(), RestartBudget(5, 60)
    spec = child_spec(Inventory, restart="transient", significant=True, backoff=backoff, budget=budget)
    assert (spec.significant, spec.backoff, spec.budget) == (True, backoff, budget)
    above = supervisor_spec([], restart="transient", significant=True, backoff=backoff, budget=budget)
    assert (above.significant, above.backoff, above.budget) == (True, backoff, budget)


def test_spec_of_a_function_is_that_of_a_worker_unless_it_says_otherwise():
    assert child_spec(connect).type == "worker"
    assert child_spec(connect, type="supervisor").type == "supervisor"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"type": "superviser"},
            "child_spec(type): expected one of 'worker', 'supervisor', got 'superviser'\nFix: write 'supervisor'.",
        ),
        ({"significant": 1}, "child_spec(significant): expected True or False, got 1"),
        ({"backoff": 3}, "child_spec(backoff): expected an instance of Backoff, got 3"),
        ({"budget": 3}, "child_spec(budget): expected an instance of RestartBudget, got 3"),
    ],
)
def test_spec_refuses_a_wrong_value(options: dict[str, Any], text):
    with pytest.raises(InvalidOptionError) as caught:
        child_spec(Inventory, **options)
    assert str(caught.value) == text


def test_spec_refuses_a_permanent_child_that_is_significant():
    # As OTP: {bad_combination, [{restart, permanent}, {significant, true}]}.
    with pytest.raises(ChildSpecError) as caught:
        child_spec(Inventory, significant=True)
    assert str(caught.value) == (
        "child_spec 'Inventory': expected restart='transient' or 'temporary' for a significant child, got 'permanent'\n"
        "Fix: pass restart='transient'; a permanent child is always restarted, so its exit is never an end."
    )


@pytest.mark.parametrize(("option", "value"), [("backoff", Backoff()), ("budget", RestartBudget(1, 1))])
def test_spec_refuses_what_concerns_restarts_for_a_child_that_has_none(option, value):
    with pytest.raises(ChildSpecError) as caught:
        child_spec(Inventory, restart="temporary", **{option: value})
    assert str(caught.value) == (
        f"child_spec 'Inventory': expected restart='permanent' or 'transient' for a child with {option}=, "
        f"got 'temporary'\nFix: leave out {option}=; a temporary child is never restarted."
    )


@pytest.mark.parametrize(("option", "value"), [("name", "db"), ("mailbox", 3)])
def test_spec_refuses_for_a_start_function_what_belongs_into_it(option, value):
    with pytest.raises(ChildSpecError) as caught:
        child_spec(connect, id="a", **{option: value})
    assert str(caught.value) == (
        f"child_spec 'a': expected no {option}= for a start function, got {value!r}\n"
        f"Fix: pass {option}= to the start_link() or spawn_link() in connect()."
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((-1, 5), "RestartBudget(max_restarts): expected a whole number >= 0, got -1"),
        ((1.5, 5), "RestartBudget(max_restarts): expected a whole number >= 0, got 1.5"),
        ((1, 0), "RestartBudget(max_seconds): expected more than 0 seconds, got 0"),
        ((1, "5"), "RestartBudget(max_seconds): expected seconds >= 0 as a finite number, or a timedelta, got '5'"),
    ],
)
def test_budget_refuses_a_wrong_value(arguments, text):
    with pytest.raises(InvalidOptionError) as caught:
        RestartBudget(*arguments)
    assert str(caught.value) == text


def test_budget_shows_its_limits():
    assert repr(RestartBudget(5, 60)) == "RestartBudget(5, 60)"


# --- start functions -----------------------------------------------------------------------------


def test_start_function_is_returned_as_it_is():
    async def start_it() -> Pid:
        raise NotImplementedError

    assert start_function(start_it) is start_it


@pytest.mark.parametrize("start", [functools.partial(connect), functools.partial(functools.partial(connect), 1)])
def test_start_function_is_known_through_a_partial(start):
    with pytest.raises(ChildSpecError, match="expected no name= for a start function"):
        child_spec(start, name="db")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (3, "start_function(): expected an async function, got 3"),
        (
            len,
            (
                f"start_function(): expected an async function, got {len!r}\n"
                "Fix: make it an `async def`, and write the decorator beneath others."
            ),
        ),
    ],
)
def test_start_function_refuses_what_is_no_async_function(function, text):
    with pytest.raises(InvalidOptionError) as caught:
        start_function(function)
    assert str(caught.value) == text


# --- significant children and their supervisor ---------------------------------------------------


def significant():
    return child_spec(Inventory, restart="transient", significant=True)


def test_supervisor_spec_refuses_a_significant_child_where_there_is_no_auto_shutdown():
    # As OTP: {bad_combination, [{auto_shutdown, never}, {significant, true}]}.
    with pytest.raises(ChildSpecError) as caught:
        supervisor_spec([significant()])
    assert str(caught.value) == (
        "child_spec 'Inventory': expected a supervisor that a significant child can shut down, "
        "got supervisor_spec with auto_shutdown='never'\n"
        "Fix: pass auto_shutdown='any_significant' or 'all_significant' to the supervisor, or leave out significant=."
    )


def test_supervisor_spec_refuses_an_unknown_auto_shutdown():
    with pytest.raises(InvalidOptionError) as caught:
        supervisor_spec([], auto_shutdown="any_signficant")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "supervisor_spec(auto_shutdown): expected one of 'never', 'any_significant', 'all_significant', "
        "got 'any_signficant'\nFix: write 'any_significant'."
    )


@pytest.mark.parametrize("auto_shutdown", [None, "any_significant", "all_significant"])
def test_check_childspecs_takes_significant_children(auto_shutdown):
    check_childspecs([significant(), child_spec(connect)], auto_shutdown)


def test_check_childspecs_refuses_what_a_supervisor_would_refuse():
    with pytest.raises(ChildSpecError, match="check_childspecs with auto_shutdown='never'"):
        check_childspecs([significant()], "never")
    with pytest.raises(ChildSpecError, match="an id that no other child of the supervisor has"):
        check_childspecs([child_spec(connect), child_spec(connect)])
    with pytest.raises(
        InvalidOptionError, match=r"check_childspecs\(children\): expected a list of child specs, got 3"
    ):
        check_childspecs(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"check_childspecs\(auto_shutdown\): expected one of 'never'"):
        check_childspecs([], "always")  # type: ignore[arg-type]
