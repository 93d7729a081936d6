# SPDX-License-Identifier: MIT
"""Dynamic supervisors, as Elixir's."""

from __future__ import annotations

from typing import Any

from tests.conformance.scenario import (
    Theme,
    advance,
    alive,
    call,
    child,
    crash,
    exit,
    ignores,
    leave,
    named,
    on,
    raises,
    sleep,
    spawn,
    stop,
    supervisor_child,
)
from tests.conformance.scenario_elixir import (
    dynamic,
    dynamic_children,
    dynamic_count,
    dynamic_start,
    dynamic_terminate,
)

dynamic_supervisors = Theme("dynamic_supervisors")


def loose(id: str, *init: Any, **options: Any) -> dict[str, Any]:
    """Return a child whose start and stop have no order among its siblings."""
    return child(id, *init, loose=True, **options)


dynamic_supervisors(
    "start_children",
    "A dynamic supervisor starts children on demand.",
    dynamic("d"),
    dynamic_children("d"),
    dynamic_start("d", child("a")),
    dynamic_start("d", child("b")),
    dynamic_children("d"),
    dynamic_count("d"),
)
dynamic_supervisors(
    "one_spec_many_times",
    "The same spec may be started many times.",
    dynamic("d"),
    dynamic_start("d", child("a")),
    dynamic_start("d", child("a")),
    dynamic_children("d"),
)
dynamic_supervisors(
    "child_ignores",
    "A child whose init ignores is no child.",
    dynamic("d"),
    dynamic_start("d", child("a", ignores())),
    dynamic_count("d"),
)
dynamic_supervisors(
    "child_fails",
    "A child that does not start is no child; the caller hears why.",
    dynamic("d"),
    dynamic_start("d", child("a", raises("boom"))),
    dynamic_count("d"),
)
dynamic_supervisors(
    "name_is_taken",
    "A child whose name is taken does not start.",
    dynamic("d"),
    dynamic_start("d", child("a", name="worker")),
    dynamic_start("d", child("b", name="worker")),
    dynamic_children("d"),
)
dynamic_supervisors(
    "supervisor_as_child",
    "A supervisor may be a child.",
    dynamic("d"),
    dynamic_start("d", supervisor_child("s", child("a"))),
    dynamic_children("d"),
    dynamic_count("d"),
)
dynamic_supervisors(
    "max_children",
    "No more than max_children are started.",
    dynamic("d", max_children=1),
    dynamic_start("d", child("a")),
    dynamic_start("d", child("b")),
    dynamic_terminate("d", "a"),
    dynamic_start("d", child("b")),
)
dynamic_supervisors(
    "max_children_zero",
    "With max_children 0 none is started.",
    dynamic("d", max_children=0),
    dynamic_start("d", child("a")),
)
for restart in ("permanent", "transient", "temporary"):
    for end, step in {
        "crash": crash("a"),
        "normal": leave("a", "normal"),
        "shutdown": leave("a", ("shutdown", "done")),
        "kill": exit("test", "a", "kill"),
    }.items():
        dynamic_supervisors(
            f"{restart}_{end}",
            f"What becomes of a {restart} child at its end: {end}.",
            dynamic("d"),
            dynamic_start("d", child("a", restart=restart)),
            dynamic_start("d", child("b")),
            step,
            dynamic_children("d"),
            dynamic_count("d"),
        )
dynamic_supervisors(
    "restarted_child_has_its_name",
    "A restarted child has its name again.",
    dynamic("d"),
    dynamic_start("d", child("a", name="worker")),
    crash("a"),
    call("test", named("worker"), "ping"),
)
dynamic_supervisors(
    "terminate_child",
    "A child that is terminated is forgotten.",
    dynamic("d"),
    dynamic_start("d", child("a", trap=True)),
    dynamic_terminate("d", "a"),
    dynamic_count("d"),
    dynamic_terminate("d", "a"),
)
dynamic_supervisors(
    "terminate_child_of_somebody_else",
    "A process that is no child cannot be terminated.",
    dynamic("d"),
    spawn("p"),
    dynamic_terminate("d", "p"),
    alive("test", "p"),
)
dynamic_supervisors(
    "terminate_child_too_slow",
    "A child that is terminated and takes too long is killed.",
    dynamic("d"),
    dynamic_start("d", child("a", trap=True, terminate=[sleep(60_000)], shutdown=100)),
    dynamic_terminate("d", "a"),
    advance(200),
)
dynamic_supervisors(
    "terminate_child_brutally",
    "A child with the shutdown brutal_kill is killed.",
    dynamic("d"),
    dynamic_start("d", child("a", trap=True, shutdown="brutal_kill")),
    dynamic_terminate("d", "a"),
)
dynamic_supervisors(
    "stop",
    "A dynamic supervisor that is told to exit stops its children.",
    dynamic("d"),
    dynamic_start("d", loose("a", trap=True)),
    dynamic_start("d", loose("b", trap=True)),
    dynamic_start("d", loose("c")),
    exit("test", "d", "shutdown"),
)
dynamic_supervisors(
    "stop_at_the_same_time",
    "The children are stopped all at once, each within its time.",
    dynamic("d"),
    dynamic_start("d", loose("a", trap=True, terminate=[sleep(200)])),
    dynamic_start("d", loose("b", trap=True, terminate=[sleep(200)])),
    dynamic_start("d", loose("c", trap=True, terminate=[sleep(60_000)], shutdown=100)),
    exit("test", "d", "shutdown"),
    advance(150),
    advance(150),
)
dynamic_supervisors(
    "killed",
    "The children of a dynamic supervisor that is killed end by their links.",
    dynamic("d"),
    dynamic_start("d", loose("a")),
    dynamic_start("d", loose("b", trap=True)),
    exit("test", "d", "kill"),
)
dynamic_supervisors(
    "stop_by_call",
    "stop ends a dynamic supervisor with its children.",
    dynamic("d"),
    dynamic_start("d", loose("a", trap=True)),
    stop("test", "d"),
)
dynamic_supervisors(
    "max_restarts",
    "More restarts than max_restarts: it stops the others, and exits with shutdown.",
    dynamic("d", max_restarts=1, max_seconds=60),
    dynamic_start("d", child("a")),
    dynamic_start("d", child("b", trap=True)),
    crash("a"),
    crash("a"),
)
dynamic_supervisors(
    "max_restarts_zero",
    "With max_restarts 0 the first crash is too much.",
    dynamic("d", max_restarts=0),
    dynamic_start("d", child("a")),
    crash("a"),
)
dynamic_supervisors(
    "temporary_crashes_do_not_count",
    "The crash of a temporary child is no restart.",
    dynamic("d", max_restarts=0),
    dynamic_start("d", child("a", restart="temporary")),
    crash("a"),
    dynamic_count("d"),
)
dynamic_supervisors(
    "restart_fails_once",
    "A restart that fails is tried again.",
    dynamic("d"),
    dynamic_start("d", child("a", on(2, raises("again")))),
    crash("a"),
    dynamic_children("d"),
)
dynamic_supervisors(
    "restart_ignores",
    "A child that ignores at its restart is forgotten.",
    dynamic("d"),
    dynamic_start("d", child("a", on(2, ignores()))),
    crash("a"),
    dynamic_count("d"),
)
dynamic_supervisors(
    "restart_keeps_failing",
    "A restart that keeps failing uses up the restarts.",
    dynamic("d"),
    dynamic_start("d", child("a", *[on(n, raises("again")) for n in range(2, 9)])),
    dynamic_start("d", child("b", trap=True)),
    crash("a"),
)
dynamic_supervisors(
    "restarting_children_count",
    "A child that waits for its restart counts for max_children.",
    dynamic("d", max_children=1, max_restarts=9),
    dynamic_start("d", child("a", *[on(n, sleep(200), raises("again")) for n in range(2, 12)])),
    crash("a"),
    spawn("c"),
    dynamic_start("d", child("b"), by="c"),
    advance(300),
)
dynamic_supervisors(
    "exit_signal_of_a_stranger",
    "An exit signal of somebody else than its parent does nothing to it.",
    dynamic("d"),
    dynamic_start("d", child("a")),
    spawn("c"),
    exit("c", "d", "shutdown"),
    dynamic_count("d"),
)
dynamic_supervisors(
    "request_to_nobody",
    "A request to one that is gone exits with noproc.",
    dynamic("d"),
    stop("test", "d"),
    dynamic_start("d", child("a")),
    dynamic_count("d"),
)
