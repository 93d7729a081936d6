# SPDX-License-Identifier: MIT
"""Supervisors: who is restarted, when, and how often."""

from __future__ import annotations

from typing import Any

from tests.conformance.scenario import (
    Step,
    Theme,
    advance,
    align,
    call,
    child,
    children,
    continues,
    count,
    crash,
    do,
    exit,
    finish,
    ignores,
    leave,
    named,
    on,
    op,
    plain_child,
    raises,
    sleep,
    spawn,
    stop,
    stops,
    supervisor,
    supervisor_child,
    whereis,
)

supervisors_restart = Theme("supervisors_restart")

# --- restart types -------------------------------------------------------------------------------

ENDS: dict[str, tuple[Step, str]] = {
    "crash": (crash("a"), "crashes"),
    "normal": (leave("a", "normal"), "ends normally"),
    "shutdown": (leave("a", "shutdown"), "ends with shutdown"),
    "shutdown_term": (leave("a", ("shutdown", "done")), "ends with {shutdown, Term}"),
    "kill": (exit("test", "a", "kill"), "is killed"),
    "noproc": (leave("a", "noproc"), "ends with noproc"),
}
for restart in ("permanent", "transient", "temporary"):
    for end, (step, what) in ENDS.items():
        supervisors_restart(
            f"{restart}_{end}",
            f"What becomes of a {restart} child that {what}.",
            supervisor("s", child("a", restart=restart), child("b", trap=True)),
            step,
            children("s"),
            count("s"),
        )

# --- strategies ----------------------------------------------------------------------------------


def abc(**options: Any) -> list[dict[str, Any]]:
    """Return three children that trap exits."""
    return [child(label, trap=True, **options) for label in "abc"]


for strategy in ("one_for_one", "one_for_all", "rest_for_one"):
    for label in "abc":
        supervisors_restart(
            f"{strategy}_{label}",
            f"With {strategy}, who is restarted with {label} of a, b, c.",
            supervisor("s", *abc(), strategy=strategy),
            crash(label),
            children("s"),
        )
    supervisors_restart(
        f"{strategy}_normal_transient",
        f"With {strategy}, the normal end of a transient child restarts nobody.",
        supervisor("s", *abc(restart="transient"), strategy=strategy),
        leave("b", "normal"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_temporary_sibling",
        f"With {strategy}, a temporary child after the one that crashed.",
        supervisor(
            "s",
            child("a", trap=True),
            child("b", trap=True, restart="temporary"),
            child("c", trap=True),
            strategy=strategy,
        ),
        crash("a"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_temporary_crash",
        f"With {strategy}, the crash of a temporary child.",
        supervisor(
            "s",
            child("a", trap=True),
            child("b", trap=True, restart="temporary"),
            child("c", trap=True),
            strategy=strategy,
        ),
        crash("b"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_transient_sibling_that_has_ended",
        f"With {strategy}, a transient child that had ended normally before another one crashes.",
        supervisor(
            "s",
            child("a", trap=True),
            child("b", trap=True, restart="transient"),
            child("c", trap=True),
            strategy=strategy,
        ),
        leave("b", "normal"),
        crash("a"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_ignoring_sibling",
        f"With {strategy}, a child that ignored at the start is tried again with the others.",
        supervisor("s", child("a", trap=True), child("b", on(1, ignores())), child("c", trap=True), strategy=strategy),
        crash("a"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_brutal_sibling",
        f"With {strategy}, the siblings stop as their specs say.",
        supervisor(
            "s",
            child("a"),
            child("b", trap=True, shutdown="brutal_kill"),
            child("c", trap=True, shutdown=100, terminate=[sleep(60_000)]),
            strategy=strategy,
        ),
        crash("a"),
        advance(200),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_restart_fails_once",
        f"With {strategy}, a restart that fails is tried again, and counts.",
        supervisor(
            "s",
            child("a", trap=True),
            child("b", on(2, raises("again")), trap=True),
            child("c", trap=True),
            strategy=strategy,
        ),
        crash("b"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_restart_of_sibling_fails",
        f"With {strategy}, the restart of a sibling fails once.",
        supervisor(
            "s",
            child("a", trap=True),
            child("b", trap=True),
            child("c", on(2, raises("again")), trap=True),
            strategy=strategy,
        ),
        crash("a"),
        children("s"),
    )
    supervisors_restart(
        f"{strategy}_two_at_once",
        f"With {strategy}, two children crash at the same time.",
        supervisor("s", *abc(), strategy=strategy),
        do("test", op(exit("test", "a", "kill")), op(exit("test", "c", "kill"))),
        children("s"),
    )

# --- restarts ------------------------------------------------------------------------------------

supervisors_restart(
    "name_moves_to_the_restarted_child",
    "A restarted child has its name again.",
    supervisor("s", child("a", name="worker")),
    crash("a"),
    whereis("test", "worker"),
    call("test", named("worker"), "ping"),
)
supervisors_restart(
    "restart_ignores",
    "A child that ignores at its restart stays in the list, not running.",
    supervisor("s", child("a", on(2, ignores()))),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "restart_keeps_failing",
    "A restart that keeps failing uses up the restarts, and the supervisor gives up.",
    supervisor("s", child("a", *[on(n, raises("again")) for n in range(2, 9)]), child("b", trap=True)),
    crash("a"),
)
supervisors_restart(
    "transient_restart_fails",
    "A transient child whose restart fails is tried again.",
    supervisor("s", child("a", on(2, stops("shutdown")), on(3, stops("normal")), restart="transient")),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "order_is_kept",
    "A restarted child keeps its place: the tree stops in the old order.",
    supervisor("s", *abc()),
    crash("a"),
    exit("test", "s", "shutdown"),
)
supervisors_restart(
    "plain_process_returns",
    "A permanent plain process that returns is restarted.",
    supervisor("s", plain_child("a")),
    finish("a"),
    children("s"),
)
supervisors_restart(
    "crash_in_continue",
    "A child that crashes after its init has started, and is restarted.",
    supervisor("s", child("a", on(1, ("continues", [raises("boom")])))),
    children("s"),
)
supervisors_restart(
    "stop_of_child_by_call",
    "A permanent child that somebody stops is restarted.",
    supervisor("s", child("a")),
    stop("test", "a"),
    children("s"),
)

# --- intensity -----------------------------------------------------------------------------------

supervisors_restart(
    "intensity_reached",
    "As many restarts as the intensity says are done.",
    supervisor("s", child("a"), intensity=2, period=60),
    crash("a"),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "intensity_exceeded",
    "One restart more than the intensity: the supervisor stops its children, the last one first, and exits with shutdown.",
    supervisor("s", *abc(), intensity=2, period=60),
    crash("a"),
    crash("a"),
    crash("b"),
)
supervisors_restart(
    "intensity_zero",
    "With the intensity 0 the first crash is too much.",
    supervisor("s", child("a"), child("b", trap=True), intensity=0),
    crash("a"),
)
supervisors_restart(
    "intensity_is_of_all_children",
    "The restarts of all children count together.",
    supervisor("s", child("a"), child("b"), child("c"), intensity=2, period=60),
    crash("a"),
    crash("b"),
    crash("c"),
)
supervisors_restart(
    "temporary_crashes_do_not_count",
    "The crash of a temporary child is no restart.",
    supervisor("s", child("a", restart="temporary"), child("b"), intensity=0),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "one_for_all_counts_once",
    "A restart of the whole group counts once.",
    supervisor("s", *abc(), strategy="one_for_all", intensity=1, period=60),
    crash("a"),
    children("s"),
    crash("a"),
)
supervisors_restart(
    "period_is_over",
    "Restarts longer ago than the period do not count.",
    supervisor("s", child("a"), intensity=1, period=1),
    crash("a"),
    advance(2200),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "restarts_within_the_period",
    "Restarts within the period count.",
    align(),
    supervisor("s", child("a"), intensity=1, period=1),
    crash("a"),
    advance(300),
    crash("a"),
)
supervisors_restart(
    "edge_of_the_period",
    "A restart that was more than the period ago, but less than a second more.",
    align(),
    supervisor("s", child("a"), intensity=1, period=1),
    crash("a"),
    advance(1500),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "giving_up_reaches_the_supervisor_above",
    "A supervisor that gives up is a crashed child to the one above it, which restarts it with its children.",
    supervisor("s", supervisor_child("t", child("a"), child("b", trap=True), intensity=1, period=60), child("c")),
    crash("a"),
    crash("a"),
    children("s"),
    children("t"),
)
supervisors_restart(
    "giving_up_of_a_transient_supervisor",
    "A transient supervisor that gives up is not restarted, for it exits with shutdown.",
    supervisor("s", supervisor_child("t", child("a"), intensity=0, restart="transient"), child("c")),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "giving_up_goes_to_the_top",
    "Supervisors give up one after another up to the top.",
    supervisor("s", supervisor_child("t", child("a"), intensity=0), child("c", trap=True), intensity=0),
    crash("a"),
)
supervisors_restart(
    "killed_supervisor_is_restarted",
    "A supervisor that is killed is restarted with its children.",
    supervisor("s", supervisor_child("t", child("a", name="worker")), child("c")),
    exit("test", "t", "kill"),
    children("s"),
    children("t"),
)
supervisors_restart(
    "crash_while_stopping",
    "A child that crashes while the supervisor stops is not restarted.",
    supervisor("s", child("a", trap=True), child("b", trap=True, terminate=[sleep(200)])),
    exit("test", "s", "shutdown"),
    crash("a"),
    advance(300),
)
supervisors_restart(
    "told_to_exit_while_restarting",
    "A supervisor whose parent tells it to exit while a restart keeps failing.",
    supervisor("s", child("a", *[on(n, sleep(100), raises("again")) for n in range(2, 40)]), intensity=30, period=60),
    crash("a"),
    advance(150),
    exit("test", "s", "shutdown"),
    advance(300),
)
supervisors_restart(
    "name_is_taken_at_restart",
    "A child whose name has been taken by somebody else cannot be restarted, and the supervisor gives up.",
    supervisor("s", child("a", name="worker")),
    spawn("thief"),
    do("a", ("unregister", "worker"), ("register", "worker", "thief")),
    crash("a"),
)
supervisors_restart(
    "crash_of_a_child_while_another_one_restarts",
    "A child that crashes while another one is restarted is restarted after it.",
    supervisor("s", child("a", on(2, sleep(200))), child("b")),
    crash("a"),
    crash("b"),
    advance(300),
    children("s"),
)
supervisors_restart(
    "rest_for_one_crash_of_an_earlier_child_meanwhile",
    "With rest_for_one, a child in front crashes while those behind it are restarted.",
    supervisor("s", child("a"), child("b", on(2, sleep(200))), child("c"), strategy="rest_for_one"),
    crash("b"),
    crash("a"),
    advance(300),
    children("s"),
)
supervisors_restart(
    "one_for_all_slow_stop_of_siblings",
    "With one_for_all the siblings have their shutdown time before anybody starts again.",
    supervisor(
        "s", child("a"), child("b", trap=True, terminate=[sleep(150)]), child("c", trap=True), strategy="one_for_all"
    ),
    crash("a"),
    advance(250),
    children("s"),
)
supervisors_restart(
    "restart_after_giving_up_of_a_nested_one",
    "A nested supervisor that was restarted counts its restarts anew.",
    supervisor("s", supervisor_child("t", child("a"), intensity=1, period=60)),
    crash("a"),
    crash("a"),
    crash("a"),
    children("s"),
    crash("a"),
    children("s"),
)
supervisors_restart(
    "retry_that_was_overtaken",
    "A restart that failed is to be tried again, when another crash restarts the child, and this fails too.",
    supervisor(
        "s",
        child("a", on(2, continues(raises("late")))),
        child("b", on(3, continues(raises("late")))),
        child("c", on(2, raises("again")), on(3, raises("again")), trap=True),
        strategy="rest_for_one",
        intensity=9,
        period=60,
    ),
    crash("a"),
    children("s"),
)
