# SPDX-License-Identifier: MIT
"""Supervisors: significant children and auto_shutdown."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    child,
    children,
    crash,
    do,
    exit,
    leave,
    op,
    start_child,
    supervisor,
    supervisor_child,
    terminate_child,
)

supervisors_shutdown = Theme("supervisors_shutdown")

ENDS = {
    "normal": leave("a", "normal"),
    "crash": crash("a"),
    "shutdown": leave("a", ("shutdown", "done")),
}
for auto_shutdown in ("never", "any_significant", "all_significant"):
    for restart in ("transient", "temporary"):
        if auto_shutdown == "never":
            continue
        for end, step in ENDS.items():
            supervisors_shutdown(
                f"{auto_shutdown}_{restart}_{end}",
                f"With auto_shutdown {auto_shutdown}, a significant {restart} child ends: {end}.",
                supervisor(
                    "s",
                    child("a", restart=restart, significant=True),
                    child("b", trap=True, restart="transient", significant=True),
                    child("c", trap=True),
                    auto_shutdown=auto_shutdown,
                ),
                step,
                children("s"),
            )
supervisors_shutdown(
    "all_significant_have_ended",
    "With all_significant the supervisor ends with the last significant child.",
    supervisor(
        "s",
        child("a", restart="transient", significant=True),
        child("b", restart="temporary", significant=True),
        child("c", trap=True),
        auto_shutdown="all_significant",
    ),
    leave("a", "normal"),
    leave("b", "normal"),
)
supervisors_shutdown(
    "insignificant_child_ends",
    "The end of another child is no reason.",
    supervisor(
        "s",
        child("a", restart="transient"),
        child("b", restart="transient", significant=True),
        auto_shutdown="any_significant",
    ),
    leave("a", "normal"),
    children("s"),
)
supervisors_shutdown(
    "terminated_child_is_no_end",
    "A significant child that is terminated by request does not end the supervisor.",
    supervisor("s", child("a", restart="transient", significant=True), child("b"), auto_shutdown="any_significant"),
    terminate_child("s", "a"),
    children("s"),
)
supervisors_shutdown(
    "terminated_child_and_all_significant",
    "Whether a significant child that was terminated by request counts as ended.",
    supervisor(
        "s",
        child("a", restart="transient", significant=True),
        child("b", restart="transient", significant=True),
        auto_shutdown="all_significant",
    ),
    terminate_child("s", "a"),
    leave("b", "normal"),
)
supervisors_shutdown(
    "shutdown_reason",
    "A supervisor that shuts down so ends with shutdown: one above restarts it only when it is permanent.",
    supervisor(
        "top",
        supervisor_child(
            "t",
            child("a", restart="transient", significant=True),
            flags={"auto_shutdown": "any_significant"},
            restart="transient",
        ),
        supervisor_child(
            "p",
            child("b", restart="transient", significant=True),
            flags={"auto_shutdown": "any_significant"},
        ),
    ),
    leave("a", "normal"),
    leave("b", "normal"),
    children("top"),
)
supervisors_shutdown(
    "significant_supervisors",
    "Significant supervisors shut down a whole tree.",
    supervisor(
        "top",
        supervisor_child(
            "t",
            child("a", restart="transient", significant=True),
            flags={"auto_shutdown": "any_significant"},
            restart="transient",
            significant=True,
        ),
        child("b", trap=True),
        auto_shutdown="any_significant",
    ),
    leave("a", "normal"),
)
supervisors_shutdown(
    "significant_permanent_child",
    "A permanent child cannot be significant.",
    supervisor("s", auto_shutdown="any_significant"),
    start_child("s", child("a", significant=True)),
)
supervisors_shutdown(
    "significant_child_without_auto_shutdown",
    "A supervisor without auto_shutdown takes no significant child.",
    supervisor("s"),
    start_child("s", child("a", significant=True, restart="transient")),
)
supervisors_shutdown(
    "two_significant_children_end_at_once",
    "Two significant children that end at the same time end the supervisor once.",
    supervisor(
        "s",
        child("a", restart="transient", significant=True),
        child("b", restart="transient", significant=True),
        child("c", trap=True),
        auto_shutdown="any_significant",
    ),
    do("test", op(exit("test", "a", "shutdown")), op(exit("test", "b", "shutdown"))),
)
supervisors_shutdown(
    "stops_while_others_are_shut_down",
    "One for all with a significant child that ends normally.",
    supervisor(
        "s",
        child("a", restart="transient", significant=True),
        child("b", trap=True),
        strategy="one_for_all",
        auto_shutdown="any_significant",
    ),
    crash("b"),
    children("s"),
    leave("a", "normal"),
)
