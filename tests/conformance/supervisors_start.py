# SPDX-License-Identifier: MIT
"""Supervisors: starting children, and stopping them."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    call,
    child,
    children,
    count,
    crash,
    do,
    exit,
    ignores,
    named,
    plain_child,
    raises,
    send,
    sleep,
    spawn,
    start_child,
    stop,
    stops,
    supervisor,
    supervisor_child,
)

supervisors_start = Theme("supervisors_start")

# --- start ---------------------------------------------------------------------------------------

supervisors_start(
    "children_start_in_order",
    "A supervisor starts its children in order, and starts when all have.",
    supervisor("s", child("a"), child("b"), child("c")),
    children("s"),
)
supervisors_start(
    "next_child_waits_for_init",
    "A child starts when the init of the one before it is done.",
    supervisor("s", child("a", sleep(100)), child("b", sleep(100)), by="test"),
    advance(300),
)
supervisors_start(
    "no_children",
    "A supervisor may have no children.",
    supervisor("s"),
    children("s"),
    count("s"),
)
supervisors_start(
    "start_rolls_back",
    "When a child does not start, those before it are stopped in reverse order, and the supervisor does not start.",
    supervisor("s", child("a", trap=True), child("b", trap=True), child("c", raises("boom")), child("d")),
)
supervisors_start(
    "start_rolls_back_stop",
    "A child whose init stops keeps the supervisor from starting.",
    supervisor("s", child("a", trap=True), child("b", stops("shutdown")), how="alone"),
)
supervisors_start(
    "temporary_child_fails_to_start",
    "A temporary child that does not start keeps the supervisor from starting too.",
    supervisor("s", child("a", trap=True), child("b", raises("boom"), restart="temporary"), how="alone"),
)
supervisors_start(
    "child_ignores",
    "A child whose init ignores is kept, not running.",
    supervisor("s", child("a"), child("b", ignores()), child("c")),
    children("s"),
    count("s"),
)
supervisors_start(
    "temporary_child_ignores",
    "A temporary child whose init ignores is forgotten.",
    supervisor("s", child("a"), child("b", ignores(), restart="temporary"), child("c")),
    children("s"),
    count("s"),
)
supervisors_start(
    "transient_child_ignores",
    "A transient child whose init ignores is kept, not running.",
    supervisor("s", child("b", ignores(), restart="transient")),
    children("s"),
)
supervisors_start(
    "child_has_its_name",
    "A child is registered under its name.",
    supervisor("s", child("a", name="worker")),
    call("test", named("worker"), "ping"),
)
supervisors_start(
    "two_children_with_one_name",
    "A child whose name is taken does not start.",
    supervisor("s", child("a", name="worker", trap=True), child("b", name="worker"), how="alone"),
)
supervisors_start(
    "nested",
    "A supervisor may be the child of another one.",
    supervisor("s", child("a"), supervisor_child("t", child("b"), child("c")), child("d")),
    children("s"),
    children("t"),
    count("s"),
)
supervisors_start(
    "nested_start_rolls_back",
    "When a child deep in the tree does not start, all of the tree stops in reverse order.",
    supervisor(
        "s",
        child("a", trap=True),
        supervisor_child("t", child("b", trap=True), child("c", raises("boom"))),
        child("d"),
        how="alone",
    ),
)
supervisors_start(
    "plain_process_as_child",
    "A plain process may be a child.",
    supervisor("s", plain_child("a"), child("b")),
    send("test", "a", "hello"),
    crash("a"),
    children("s"),
)
supervisors_start(
    "killed_while_starting",
    "A supervisor that is killed while a child starts takes the children along.",
    spawn("c"),
    supervisor("s", child("a", trap=True), child("b", sleep(60_000)), by="c", how="link"),
    exit("test", "s", "kill"),
)

# --- stop ----------------------------------------------------------------------------------------

supervisors_start(
    "children_stop_in_reverse_order",
    "A supervisor that is told to exit stops its children in reverse order.",
    supervisor("s", child("a", trap=True), child("b", trap=True), child("c", trap=True)),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "each_child_stops_before_the_next",
    "A child is told to stop when the one after it has ended.",
    supervisor("s", child("a", trap=True, terminate=[sleep(50)]), child("b", trap=True, terminate=[sleep(50)])),
    exit("test", "s", "shutdown"),
    advance(250),
)
supervisors_start(
    "child_without_trap",
    "A child that does not trap exits ends without terminate.",
    supervisor("s", child("a"), child("b", trap=True)),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "child_too_slow_is_killed",
    "A child that takes longer than its shutdown time is killed.",
    supervisor("s", child("a", trap=True, terminate=[sleep(60_000)], shutdown=100)),
    exit("test", "s", "shutdown"),
    advance(200),
)
supervisors_start(
    "child_in_time_is_not_killed",
    "A child that stops within its shutdown time ends by itself.",
    supervisor("s", child("a", trap=True, terminate=[sleep(100)], shutdown=300)),
    exit("test", "s", "shutdown"),
    advance(200),
)
supervisors_start(
    "brutal_kill",
    "A child with the shutdown brutal_kill is killed without being told.",
    supervisor("s", child("a", trap=True, shutdown="brutal_kill"), child("b", trap=True)),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "shutdown_infinity",
    "A child with the shutdown infinity has all the time.",
    supervisor("s", child("a", trap=True, terminate=[sleep(300)], shutdown="infinity")),
    exit("test", "s", "shutdown"),
    advance(400),
)
supervisors_start(
    "shutdown_zero",
    "A child with the shutdown 0 is told, and killed at once when it has not ended.",
    supervisor("s", child("a", trap=True, shutdown=0)),
    spawn("c"),
    call("c", "a", "slow", sleep(60_000), timeout="infinity"),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "child_busy_at_stop",
    "A child that is told to stop ends its handler first.",
    supervisor("s", child("a", trap=True)),
    spawn("c"),
    call("c", "a", "slow", sleep(150), timeout="infinity"),
    exit("test", "s", "shutdown"),
    advance(250),
)
supervisors_start(
    "nested_stop",
    "A tree stops from its end to its beginning, each supervisor after its children.",
    supervisor(
        "s",
        child("a", trap=True),
        supervisor_child("t", child("b", trap=True), child("c", trap=True)),
        child("d", trap=True),
    ),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "parents_reason",
    "A supervisor ends with the reason that its parent gives, and its children with shutdown.",
    supervisor("s", child("a", trap=True)),
    exit("test", "s", ("shutdown", "upgrade")),
)
supervisors_start(
    "exit_signal_of_a_stranger",
    "An exit signal of somebody else than its parent does nothing to a supervisor.",
    supervisor("s", child("a", trap=True)),
    spawn("c"),
    exit("c", "s", "shutdown"),
    children("s"),
)
supervisors_start(
    "normal_exit_signal_of_parent",
    "A supervisor stops at its parent's exit signal normal too.",
    supervisor("s", child("a", trap=True)),
    exit("test", "s", "normal"),
)
supervisors_start(
    "parent_crashes",
    "A supervisor stops its children when its parent crashes.",
    spawn("parent"),
    supervisor("s", child("a", trap=True), child("b", trap=True), by="parent"),
    crash("parent"),
)
supervisors_start(
    "stop_by_call",
    "stop ends a supervisor with its children.",
    supervisor("s", child("a", trap=True), child("b", trap=True)),
    stop("test", "s", "normal"),
)
supervisors_start(
    "killed",
    "The children of a supervisor that is killed end by their links, with killed.",
    supervisor("s", child("a"), child("b", trap=True)),
    exit("test", "s", "kill"),
)
supervisors_start(
    "child_unlinks",
    "A child that has unlinked from its supervisor is stopped all the same.",
    supervisor("s", child("a", trap=True)),
    do("a", ("unlink", "s")),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "terminate_of_child_crashes",
    "A child that crashes in its terminate does not hinder the stop of the others.",
    supervisor("s", child("a", trap=True), child("b", trap=True, terminate=[raises("worse")]), child("c", trap=True)),
    exit("test", "s", "shutdown"),
)
supervisors_start(
    "parent_ends_while_starting",
    "The parent of a supervisor ends while a child starts.",
    spawn("parent"),
    supervisor("s", child("a", trap=True), child("b", sleep(200)), child("c"), by="parent"),
    exit("test", "parent", "shutdown"),
    advance(300),
)
supervisors_start(
    "told_to_exit_while_starting_a_child",
    "A supervisor whose parent tells it to exit while it starts an added child.",
    supervisor("s", child("a", trap=True)),
    spawn("c"),
    start_child("s", child("b", sleep(200)), by="c"),
    exit("test", "s", "shutdown"),
    advance(300),
)
