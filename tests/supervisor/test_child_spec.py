# SPDX-License-Identifier: MIT
from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest

from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.server import GenServer
from stanchion.supervisor import Supervisor, child_spec, supervisor_spec
from stanchion.timeouts import POLICY


class Inventory(GenServer):
    pass


async def worker() -> None: ...


class Job:
    async def __call__(self) -> None: ...


def test_spec_has_the_defaults_of_a_worker():
    spec = child_spec(Inventory, {"pear": 3})
    assert (spec.id, spec.start, spec.args, spec.name) == ("Inventory", Inventory, ({"pear": 3},), None)
    assert (spec.restart, spec.shutdown, spec.mailbox, spec.timeout) == ("permanent", POLICY, None, POLICY)
    assert spec.type == "worker"
    assert repr(spec) == "<child_spec 'Inventory': permanent worker Inventory>"


def test_spec_keeps_what_it_is_given():
    spec = child_spec(
        worker,
        id=("worker", 1),
        name="w",
        restart="transient",
        shutdown=timedelta(seconds=2),
        mailbox=9,
        timeout=timedelta(seconds=3),
    )
    assert (spec.id, spec.name, spec.restart) == (("worker", 1), "w", "transient")
    assert (spec.shutdown, spec.mailbox, spec.timeout) == (2.0, 9, 3.0)


def test_spec_takes_its_id_from_the_name():
    assert child_spec(Inventory, name="stock").id == "stock"


@pytest.mark.parametrize(
    ("start", "id"),
    [(worker, "worker"), (functools.partial(worker), "worker"), (Job(), "Job"), (Inventory, "Inventory")],
)
def test_spec_starts_servers_and_async_functions(start, id):
    assert child_spec(start).id == id


def test_spec_of_a_supervisor_leaves_its_times_to_the_policy():
    spec = supervisor_spec([])
    assert (spec.type, spec.shutdown, spec.timeout) == ("supervisor", POLICY, POLICY)


@pytest.mark.parametrize(("shutdown", "kept"), [(None, None), (0, 0.0), ("brutal_kill", "brutal_kill")])
def test_spec_keeps_the_edge_values_of_shutdown(shutdown, kept):
    assert child_spec(Inventory, shutdown=shutdown).shutdown == kept


def test_spec_refuses_an_unknown_option_and_names_the_nearest():
    with pytest.raises(InvalidOptionError) as caught:
        child_spec(Inventory, restrat="permanent")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "child_spec(options): expected options among id, name, restart, shutdown, mailbox, timeout, type, "
        "significant, backoff, budget, got 'restrat'\n"
        "Fix: write 'restart'."
    )


@pytest.mark.parametrize("option", ["strategy", "max_restarts", "max_seconds", "auto_shutdown"])
def test_spec_refuses_the_options_of_a_supervisor_and_names_its_function(option):
    with pytest.raises(InvalidOptionError) as caught:
        child_spec(Supervisor, [], **{option: 1})
    assert str(caught.value) == (
        "child_spec(options): expected options among id, name, restart, shutdown, mailbox, timeout, type, "
        f"significant, backoff, budget, got {option!r}\n"
        f"Fix: write supervisor_spec(children, {option}=...)."
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"restart": "permanently"},
            (
                "child_spec(restart): expected one of 'permanent', 'transient', 'temporary', got 'permanently'\n"
                "Fix: write 'permanent'."
            ),
        ),
        (
            {"shutdown": "brutal-kill"},
            "child_spec(shutdown): expected one of 'brutal_kill', got 'brutal-kill'\nFix: write 'brutal_kill'.",
        ),
        (
            {"shutdown": -1},
            "child_spec(shutdown): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            {"timeout": "1s"},
            "child_spec(timeout): expected seconds >= 0 as a finite number, or a timedelta, got '1s'",
        ),
        ({"mailbox": 0}, "child_spec(mailbox): expected a whole number >= 1, a MailboxPolicy or None, got 0"),
        ({"name": ""}, "child_spec(name): expected a name (a string that is not empty), got ''"),
        ({"id": ["a"]}, "child_spec(id): expected something hashable, a string say, got ['a']"),
    ],
)
def test_spec_refuses_a_wrong_value(options, text):
    with pytest.raises(InvalidOptionError) as caught:
        child_spec(Inventory, **options)
    assert str(caught.value) == text


WHAT = "child_spec: expected a subclass of GenServer, or an async function, got "


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (Job, f"{WHAT}{Job!r}\nFix: derive Job from GenServer."),
        (len, f"{WHAT}{len!r}\nFix: make it an `async def`."),
        (3, f"{WHAT}3"),
    ],
)
def test_spec_refuses_what_it_cannot_start(start, text):
    with pytest.raises(ChildSpecError) as caught:
        child_spec(start)
    assert str(caught.value) == text


def test_spec_refuses_an_instance_and_a_coroutine():
    with pytest.raises(ChildSpecError, match="Fix: pass the class, and the arguments of init after it"):
        child_spec(Inventory())  # type: ignore[arg-type]
    with pytest.raises(ChildSpecError, match="Fix: pass the function itself, and its arguments after it"):
        child_spec(worker())  # type: ignore[arg-type]


def test_supervisor_spec_gives_its_options_to_the_supervisor():
    children = [child_spec(Inventory)]
    spec = supervisor_spec(
        children,
        strategy="rest_for_one",
        max_restarts=9,
        max_seconds=timedelta(minutes=1),
        name="top",
        shutdown=7,
        timeout=9,
    )
    assert spec.start is Supervisor
    assert spec.args == (children, "rest_for_one", 9, 60.0, "never")
    assert (spec.id, spec.name, spec.type) == ("top", "top", "supervisor")
    assert (spec.shutdown, spec.timeout) == (7.0, 9.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"strategy": "one_for_al"},
            (
                "supervisor_spec(strategy): expected one of 'one_for_one', 'one_for_all', 'rest_for_one', "
                "got 'one_for_al'\nFix: write 'one_for_all'."
            ),
        ),
        ({"max_restarts": -1}, "supervisor_spec(max_restarts): expected a whole number >= 0, got -1"),
        ({"max_seconds": 0}, "supervisor_spec(max_seconds): expected more than 0 seconds, got 0"),
        (
            {"children": 3},
            (
                "supervisor_spec(children): expected a list of child specs, got 3\n"
                "Fix: put it into a list: [child_spec(...)]."
            ),
        ),
    ],
)
def test_supervisor_spec_refuses_a_wrong_value(options: dict[str, Any], text):
    with pytest.raises(InvalidOptionError) as caught:
        supervisor_spec(options.pop("children", []), **options)
    assert str(caught.value) == text


def test_supervisor_spec_refuses_what_is_no_spec():
    with pytest.raises(ChildSpecError) as caught:
        supervisor_spec([Inventory])  # type: ignore[list-item]
    assert str(caught.value) == (
        f"child_spec: expected what child_spec() returns, got {Inventory!r}\nFix: write child_spec(Inventory)."
    )
    with pytest.raises(ChildSpecError) as caught:
        supervisor_spec([3])  # type: ignore[list-item]
    assert str(caught.value) == "child_spec: expected what child_spec() returns, got 3"


def test_supervisor_spec_refuses_an_id_that_comes_twice():
    with pytest.raises(ChildSpecError) as caught:
        supervisor_spec([child_spec(Inventory), child_spec(Inventory)])
    shown = "<child_spec 'Inventory': permanent worker Inventory>"
    assert str(caught.value) == (
        "child_spec 'Inventory': expected an id that no other child of the supervisor has, "
        f"got {shown} and {shown}\nFix: pass id= to one of them."
    )
