# SPDX-License-Identifier: MIT
"""Supervisors: what a running one is asked, and told."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    child,
    children,
    children_in_order,
    count,
    crash,
    delete_child,
    do,
    exit,
    ignores,
    leave,
    on,
    op,
    raises,
    restart_child,
    sleep,
    spawn,
    start_child,
    stop,
    supervisor,
    supervisor_child,
    terminate_child,
)

supervisors_requests = Theme("supervisors_requests")

supervisors_requests(
    "which_children_order",
    "The order in which which_children tells.",
    supervisor("s", child("a"), child("b"), child("c")),
    children_in_order("s"),
)
supervisors_requests(
    "start_child",
    "A child may be added to a running supervisor; it stops before those that were there.",
    supervisor("s", child("a", trap=True)),
    start_child("s", child("b", trap=True)),
    children("s"),
    exit("test", "s", "shutdown"),
)
supervisors_requests(
    "start_child_with_taken_id",
    "An id that a running child has cannot be added.",
    supervisor("s", child("a")),
    start_child("s", child("a")),
    children("s"),
)
supervisors_requests(
    "start_child_with_id_of_a_stopped_one",
    "An id that a stopped child has cannot be added.",
    supervisor("s", child("a")),
    terminate_child("s", "a"),
    start_child("s", child("a")),
    children("s"),
)
supervisors_requests(
    "start_child_that_fails",
    "A child that does not start is not added.",
    supervisor("s", child("a")),
    start_child("s", child("b", raises("boom"))),
    children("s"),
)
supervisors_requests(
    "start_child_that_ignores",
    "An added child whose init ignores is kept, not running.",
    supervisor("s", child("a")),
    start_child("s", child("b", ignores())),
    children("s"),
)
supervisors_requests(
    "start_temporary_child_that_ignores",
    "An added temporary child whose init ignores is forgotten.",
    supervisor("s"),
    start_child("s", child("b", ignores(), restart="temporary")),
    children("s"),
)
supervisors_requests(
    "start_child_is_restarted",
    "An added child is restarted as the others.",
    supervisor("s"),
    start_child("s", child("a")),
    crash("a"),
    children("s"),
)
supervisors_requests(
    "start_supervisor_as_child",
    "A supervisor may be added.",
    supervisor("s"),
    start_child("s", supervisor_child("t", child("a"))),
    children("s"),
    count("s"),
)
supervisors_requests(
    "start_child_of_nobody",
    "A request to a supervisor that is gone exits with noproc.",
    supervisor("s", how="alone"),
    stop("test", "s"),
    children("s"),
)
supervisors_requests(
    "terminate_child",
    "A child that is terminated stays in the list, and is not restarted.",
    supervisor("s", child("a", trap=True), child("b")),
    terminate_child("s", "a"),
    children("s"),
    count("s"),
)
supervisors_requests(
    "terminate_child_unknown",
    "A child that is not there cannot be terminated.",
    supervisor("s", child("a")),
    terminate_child("s", "z"),
)
supervisors_requests(
    "terminate_child_twice",
    "To terminate a child that does not run is no error.",
    supervisor("s", child("a")),
    terminate_child("s", "a"),
    terminate_child("s", "a"),
)
supervisors_requests(
    "terminate_temporary_child",
    "A temporary child that is terminated is forgotten.",
    supervisor("s", child("a", restart="temporary", trap=True)),
    terminate_child("s", "a"),
    children("s"),
    terminate_child("s", "a"),
)
supervisors_requests(
    "terminate_child_too_slow",
    "A child that is terminated and takes too long is killed.",
    supervisor("s", child("a", trap=True, terminate=[sleep(60_000)], shutdown=100)),
    terminate_child("s", "a"),
    advance(200),
)
supervisors_requests(
    "terminate_child_is_no_restart",
    "terminate_child does not count as a restart, whatever the strategy.",
    supervisor("s", child("a", trap=True), child("b", trap=True), strategy="one_for_all", intensity=0),
    terminate_child("s", "a"),
    children("s"),
)
supervisors_requests(
    "restart_child",
    "A child that was terminated can be restarted.",
    supervisor("s", child("a")),
    terminate_child("s", "a"),
    restart_child("s", "a"),
    children("s"),
)
supervisors_requests(
    "restart_child_does_not_count",
    "restart_child does not count against the intensity.",
    supervisor("s", child("a"), intensity=0),
    terminate_child("s", "a"),
    restart_child("s", "a"),
    terminate_child("s", "a"),
    restart_child("s", "a"),
)
supervisors_requests(
    "restart_child_that_ended",
    "A transient child that ended normally can be restarted.",
    supervisor("s", child("a", restart="transient")),
    leave("a", "normal"),
    restart_child("s", "a"),
)
supervisors_requests(
    "restart_child_that_runs",
    "A child that runs cannot be restarted.",
    supervisor("s", child("a")),
    restart_child("s", "a"),
)
supervisors_requests(
    "restart_child_unknown",
    "A child that is not there cannot be restarted.",
    supervisor("s"),
    restart_child("s", "a"),
)
supervisors_requests(
    "restart_child_that_fails",
    "A child that does not start at restart_child stays stopped.",
    supervisor("s", child("a", on(2, raises("boom")))),
    terminate_child("s", "a"),
    restart_child("s", "a"),
    children("s"),
    restart_child("s", "a"),
)
supervisors_requests(
    "restart_child_that_ignores",
    "A child that ignores at restart_child stays stopped.",
    supervisor("s", child("a", on(2, ignores()))),
    terminate_child("s", "a"),
    restart_child("s", "a"),
    children("s"),
)
supervisors_requests(
    "delete_child",
    "A stopped child can be deleted; its id is free then.",
    supervisor("s", child("a")),
    terminate_child("s", "a"),
    delete_child("s", "a"),
    children("s"),
    start_child("s", child("a")),
)
supervisors_requests(
    "delete_child_that_runs",
    "A child that runs cannot be deleted.",
    supervisor("s", child("a")),
    delete_child("s", "a"),
    children("s"),
)
supervisors_requests(
    "delete_child_unknown",
    "A child that is not there cannot be deleted.",
    supervisor("s"),
    delete_child("s", "a"),
)
supervisors_requests(
    "requests_to_a_restarting_child",
    "A child whose restart has failed and will be tried again.",
    supervisor("s", child("a", *[on(n, sleep(200), raises("again")) for n in range(2, 9)]), intensity=9),
    crash("a"),
    spawn("c"),
    children("s", by="c"),
    spawn("d"),
    delete_child("s", "a", by="d"),
    spawn("e"),
    restart_child("s", "a", by="e"),
    advance(300),
)
supervisors_requests(
    "terminate_a_restarting_child",
    "terminate_child ends the tries to restart a child.",
    supervisor("s", child("a", *[on(n, sleep(200), raises("again")) for n in range(2, 9)]), intensity=9),
    crash("a"),
    terminate_child("s", "a"),
    advance(300),
    children("s"),
)
supervisors_requests(
    "count_children",
    "count_children tells specs, running ones, supervisors and workers.",
    supervisor(
        "s", child("a"), child("b", ignores()), supervisor_child("t", child("d")), supervisor_child("u"), child("c")
    ),
    terminate_child("s", "u"),
    count("s"),
)
supervisors_requests(
    "one_for_all_restarts_a_terminated_child",
    "With one_for_all a child that was terminated starts again with the others.",
    supervisor("s", child("a"), child("b"), strategy="one_for_all"),
    terminate_child("s", "b"),
    crash("a"),
    children("s"),
)
supervisors_requests(
    "one_for_one_leaves_a_terminated_child",
    "With one_for_one a child that was terminated stays so.",
    supervisor("s", child("a"), child("b")),
    terminate_child("s", "b"),
    crash("a"),
    children("s"),
)
supervisors_requests(
    "added_child_in_rest_for_one",
    "With rest_for_one an added child is behind the others.",
    supervisor("s", child("a", trap=True), child("b", trap=True), strategy="rest_for_one"),
    start_child("s", child("c", trap=True)),
    crash("b"),
    children("s"),
)
supervisors_requests(
    "restarted_child_keeps_its_place",
    "restart_child leaves a child in its place.",
    supervisor("s", child("a", trap=True), child("b", trap=True)),
    do("test", op(terminate_child("s", "a")), op(restart_child("s", "a"))),
    exit("test", "s", "shutdown"),
)
supervisors_requests(
    "start_child_while_another_one_starts",
    "A supervisor takes requests one after the other.",
    supervisor("s"),
    spawn("c"),
    spawn("d"),
    start_child("s", child("a", sleep(150)), by="c"),
    start_child("s", child("b"), by="d"),
    advance(250),
    children("s"),
)
supervisors_requests(
    "caller_of_start_child_is_killed",
    "A child is started all the same when whoever asked for it has ended.",
    supervisor("s"),
    spawn("c"),
    start_child("s", child("a", sleep(150)), by="c"),
    exit("test", "c", "kill"),
    advance(250),
    children("s"),
)
supervisors_requests(
    "terminate_child_waits_for_its_end",
    "terminate_child returns when the child has ended.",
    supervisor("s", child("a", trap=True, terminate=[sleep(150)])),
    terminate_child("s", "a"),
    advance(250),
)
supervisors_requests(
    "temporary_child_is_forgotten_and_its_id_free",
    "The id of a temporary child that has ended is free.",
    supervisor("s"),
    start_child("s", child("a", restart="temporary")),
    crash("a"),
    start_child("s", child("a", restart="temporary")),
    children("s"),
)
supervisors_requests(
    "transient_child_that_ended_keeps_its_id",
    "The id of a transient child that has ended is not free.",
    supervisor("s"),
    start_child("s", child("a", restart="transient")),
    leave("a", "normal"),
    start_child("s", child("a", restart="transient")),
    delete_child("s", "a"),
    start_child("s", child("a", restart="transient")),
)
