# SPDX-License-Identifier: MIT
"""The differences from OTP that we keep on purpose, each with its reason and the scenarios that show it.

The tests demand that a scenario's traces differ exactly as it says here, and not at all where nothing is said. The page
``docs/explanation/differences-from-otp.md`` is made of this table: ``python -m tests.conformance.page``.
"""

from __future__ import annotations

from textwrap import dedent
from typing import Final, NamedTuple


class Difference(NamedTuple):
    """One difference.

    Attributes:
        about: What it is about, as a heading.
        otp: What Erlang/OTP does.
        stanchion: What Stanchion does.
        reason: Why we keep it.
        shown: By scenario, the lines of the traces that differ, with their steps: ``- `` OTP's, ``+ `` Stanchion's.
    """

    about: str
    otp: str
    stanchion: str
    reason: str
    shown: dict[str, str]


def expected_difference(scenario: str) -> str:
    """Return the lines by which the traces of a scenario are to differ; none for most."""
    found = [difference.shown[scenario] for difference in DIFFERENCES if scenario in difference.shown]
    return dedent(found[0]).strip() if found else ""


DIFFERENCES: Final = (
    # --- processes -------------------------------------------------------------------------------
    Difference(
        "Exit reasons are a closed set",
        "Any term is an exit reason.",
        'A reason is one of OTP\'s words, `("shutdown", term)` or an exception; anything else is refused where it is given.',
        "A misspelt word would silently be an abnormal reason. What else there is to tell goes into the term or the exception.",
        {
            "exits.any_term_as_reason": """
                - 3. p: exits bored
                - 3. test: down(m) p bored
                + 3. p: exits crash(InvalidOptionError)
                + 3. test: down(m) p crash(InvalidOptionError)
                """,
        },
    ),
    Difference(
        "`kill` after another exit signal",
        "The first exit signal ends a process at once; a `kill` behind it finds nobody.",
        "A process that was told to exit unwinds first; a `kill` meanwhile cuts this short, and the reason is `killed`.",
        "Python code has `finally` blocks, which may wait. Whoever sends `kill` is not to wait for them.",
        {
            "exits.signal_then_kill": """
                - 2. p: exits shutdown
                + 2. p: exits killed
                """,
        },
    ),
    Difference(
        "`link` with a process that is gone",
        "`link/1` raises `noproc` in a process that does not trap exits, and sends a signal to one that does.",
        "It is an exit signal with the reason `noproc` in both cases.",
        "One form for one event: the caller need not know whether it traps exits.",
        {
            "links.link_with_nobody": """
                - 4. a: exits crash(noproc)
                + 4. a: exits noproc
                """,
        },
    ),
    Difference(
        "`Down` of a monitor by name",
        "The message has `{Name, Node}` in the place of the pid.",
        "The message has the pid, or None when nobody held the name; the monitor's `tag` tells which monitor it was.",
        "The receiver wants to know which process ended; the name may belong to another one by then.",
        {
            "monitors.monitor_by_name": """
                - 5. m: down(m) name worker crash(boom)
                + 5. m: down(m) p crash(boom)
                """,
            "monitors.monitor_of_free_name": """
                - 2. m: down(m) name nobody noproc
                + 2. m: down(m) undefined noproc
                """,
            "monitors.monitor_by_name_stays_with_the_process": """
                - 10. m: down(m) name worker shutdown
                + 10. m: down(m) p shutdown
                """,
        },
    ),
    Difference(
        "A plain send to a free name",
        "`Name ! Message` raises `badarg`.",
        "It is a DeadLetter event, as with a pid whose process is gone.",
        "Whether the receiver died a moment ago must not decide between an event and an exception in the sender.",
        {
            "calls.send_to_free_name": """
                - 1. test: send -> badarg
                """,
        },
    ),
    Difference(
        "`unregister` of a free name",
        "`unregister/1` raises `badarg`.",
        "It does nothing.",
        "The holder may have ended the moment before, and the caller has what it wants.",
        {
            "names.unregister_of_free_name": """
                - 1. test: unregister nobody -> badarg
                + 1. test: unregister nobody -> ok
                """,
        },
    ),
    Difference(
        "Timers belong to who sets them",
        "`erlang:send_after/3` sends its message even when the process that set the timer has ended.",
        "A timer goes with the process that set it.",
        "Nothing outlives the process that it belongs to: a restarted server starts without old timers.",
        {
            "timers.setter_is_gone": """
                - 5. q: hears hello
                """,
        },
    ),
    # --- servers ---------------------------------------------------------------------------------
    Difference(
        "A message for which the server has no clause",
        "The server crashes with `function_clause`.",
        "The server goes on. A caller gets `UnhandledRequestError`; a cast is told as an UnhandledMessage event.",
        "The mistake is the sender's, so the sender hears of it; the server's state, and its other clients, are unharmed.",
        {
            "calls.unknown_request": """
                + 2. test: call ping -> exit unhandled
                - 2. s: terminate crash(function_clause)
                - 2. s: exits crash(function_clause)
                - 2. test: call ping -> exit crash(function_clause)
                - 3. test: call again -> exit noproc
                + 3. s: call again
                + 3. test: call again -> still here
                """,
            "machines.unknown_call": """
                + 2. test: call ask -> exit unhandled
                - 2. m: terminate crash(function_clause) in one
                - 2. m: exits crash(function_clause)
                - 2. test: call ask -> exit crash(function_clause)
                + 3. m: one: call again
                - 3. test: call again -> exit noproc
                + 3. test: call again -> ok
                """,
            "calls.unknown_cast": """
                - 2. s: terminate crash(function_clause)
                - 2. s: exits crash(function_clause)
                - 3. test: call again -> exit noproc
                + 3. s: call again
                + 3. test: call again -> still here
                """,
        },
    ),
    Difference(
        "A linked start that fails",
        "The starter gets both the error and an exit signal from the process that did not start.",
        "The starter gets the error, which says why.",
        "One event is told once. A starter that does not trap exits can handle the error.",
        {
            "starts.init_crash_hits_linked_starter": """
                - 2. c: exits crash(boom)
                + 2. c: start s -> error crash(boom)
                + 3. c: hears hello
                """,
            "starts.init_crash_and_trapping_starter": """
                - 2. c: exit s crash(boom)
                """,
            "supervisors_start.start_rolls_back": """
                - 1. test: exit s failed_to_start_child c crash(boom)
                """,
            "supervisors_start.killed_while_starting": """
                - 3. c: exits killed
                + 3. c: supervisor s -> error killed
                """,
        },
    ),
    Difference(
        "`stop` of a process that is gone",
        "`gen_server:stop/3` exits with `noproc`.",
        "It returns.",
        "What was asked for is true. A stop that races with the process's own end needs no handler.",
        {
            "starts.stop_of_nobody": """
                - 3. test: stop -> exit noproc
                + 3. test: stop -> ok
                """,
        },
    ),
    Difference(
        "`stop` of a process that ends for another reason",
        "`gen_server:stop/3` exits with the other reason, whatever it is.",
        "It returns when the other reason is an orderly one, and raises `StopExitError` when it is not.",
        "The process is down, in good order; a stop that races with its own end needs no handler.",
        {
            "starts.stop_and_another_orderly_end": """
                - 3. test: stop -> exit shutdown
                + 3. test: stop -> ok
                """,
        },
    ),
    Difference(
        "The state of a machine that ends while it enters a state",
        "`terminate` is told the state before.",
        "`current_state` is the new state, whose state function ended the machine.",
        "What there is to clean up is what that function had begun.",
        {
            "machines.enter_crashes": """
                - 2. m: terminate crash(boom) in one
                + 2. m: terminate crash(boom) in two
                """,
        },
    ),
    # --- supervisors -----------------------------------------------------------------------------
    Difference(
        "The restart window is exact",
        "Restarts are counted by whole seconds: one that was up to a second longer ago than `period` may still count.",
        "A restart counts for exactly `max_seconds`.",
        "The clock has the resolution, and a limit means what it says.",
        {
            "supervisors_restart.edge_of_the_period": """
                + 5. a#3: init
                - 5. s: exits shutdown
                - 5. test: exit s shutdown
                - 6. test: children -> exit noproc
                + 6. test: children -> a: a#3
                """,
        },
    ),
    Difference(
        "A supervisor that is told to exit while a child starts",
        "It waits until the child's `init` is done.",
        "It stops the child, as its `shutdown` says, and then the others.",
        "An `init` that hangs must not hold up the shutdown of the whole tree.",
        {
            "supervisors_restart.told_to_exit_while_restarting": """
                + 4. a#3: exits shutdown
                + 4. s: exits shutdown
                + 4. test: exit s shutdown
                - 5. a#3: exits crash(again)
                - 5. s: exits shutdown
                - 5. test: exit s shutdown
                """,
            "supervisors_start.told_to_exit_while_starting_a_child": """
                + 4. a: terminate shutdown
                + 4. a: exits shutdown
                + 4. b: exits shutdown
                + 4. c: start_child b -> exit shutdown
                + 4. s: exits shutdown
                + 4. test: exit s shutdown
                - 5. a: terminate shutdown
                - 5. a: exits shutdown
                - 5. b: exits shutdown
                - 5. c: start_child b -> ok b
                - 5. s: exits shutdown
                - 5. test: exit s shutdown
                """,
        },
    ),
    Difference(
        "A supervisor whose starter ends while it starts",
        "It starts all of its children, and then stops them.",
        "It is killed, and its children end by their links.",
        "Nobody is left who could use what it starts, and its `init` may hang.",
        {
            "supervisors_start.parent_ends_while_starting": """
                + 3. a: terminate killed
                + 3. a: exits killed
                + 3. b: exits killed
                + 3. s: exits killed
                - 4. b: exits shutdown
                - 4. c: init
                - 4. a: terminate shutdown
                - 4. a: exits shutdown
                - 4. c: exits shutdown
                - 4. s: exits shutdown
                """,
        },
    ),
    Difference(
        "A retry that was overtaken",
        "A restart that failed sends the supervisor a message to try again. It also counts for a later failure of the "
        "same child, which then starts before a sibling that stands in front of it.",
        "Each failure has its own retry; one that another restart has overtaken does nothing.",
        "With rest_for_one and one_for_all the order of the children is kept.",
        {
            "supervisors_restart.retry_that_was_overtaken": """
                + 2. b#4: init
                - 2. c#4: terminate shutdown
                - 2. b#4: init
                - 2. c#4: exits shutdown
                - 2. c#5: init
                - 3. test: children -> a: a#3, b: b#4, c: c#5
                + 3. test: children -> a: a#3, b: b#4, c: c#4
                """,
        },
    ),
    Difference(
        "The order of `which_children`",
        "The latest child comes first.",
        "Children come in the order of their start.",
        "OTP promises no order; the order of the specs is the one that people read.",
        {
            "supervisors_requests.which_children_order": """
                - 2. test: children_in_order -> c: c, b: b, a: a
                + 2. test: children_in_order -> a: a, b: b, c: c
                """,
        },
    ),
    # --- tasks, registries and groups ------------------------------------------------------------
    Difference(
        "The result of a task is no message",
        "It comes to the owner's mailbox, with a `DOWN` after it; a server that starts tasks must know both.",
        "It waits in the task, for `await_` and its kin. With `tell=True` it is one message, a `TaskResult`.",
        "There is no selective receive here, and a result that nobody awaits is not to be taken for a message.",
        {
            "tasks.result_is_no_message": """
                - 3. o: hears {ref,7}
                - 3. o: down x normal
                - 4. o: down y crash(boom)
                """,
        },
    ),
    Difference(
        "Tasks of a stream without links",
        "They go on when the consumer ends.",
        "They end with the consumer.",
        "Nobody is left who could take their outcomes.",
        {
            "tasks.stream_without_links_and_its_consumer": """
                + 4. x: exits killed
                + 4. y: exits killed
                """,
        },
    ),
    Difference(
        "Listeners of a registry hear of exits",
        "A listener is told of `unregister`, and not of entries that go with their process.",
        "It is told of both.",
        "A listener that keeps a list needs no monitors to keep it right.",
        {
            "registries.listener_and_exit": """
                + 6. m: unregistered k a
                """,
        },
    ),
    Difference(
        "Leaving a group more often than joined",
        "Who watches the group is told each process as often as it was given to `leave`.",
        "Who watches is told what changed.",
        "A watcher that counts would count wrong.",
        {
            "process_groups.watch_leave_more_often_than_joined": """
                - 6. m: leave(w) g [a,a]
                + 6. m: leave(w) g [a]
                """,
        },
    ),
)
