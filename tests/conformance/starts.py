# SPDX-License-Identifier: MIT
"""Starting and stopping a GenServer: what init may return, continue, idle timeouts, names, stop, terminate."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    answer,
    answer_and_continue,
    answer_and_idle,
    call,
    cast,
    continues,
    crash,
    crashed,
    do,
    exit,
    idles,
    ignores,
    leave,
    monitor,
    named,
    note,
    op,
    raises,
    rubbish,
    send,
    sleep,
    spawn,
    start,
    stop,
    stops,
    trap,
    whereis,
)

starts = Theme("starts")

# --- init ----------------------------------------------------------------------------------------

starts(
    "init_before_start_returns",
    "start returns when init is done.",
    spawn("c"),
    start("s", sleep(150), by="c"),
    advance(250),
)
starts(
    "init_ignores",
    "A server whose init returns ignore is not started, and that is no error.",
    start("s", ignores()),
)
starts(
    "init_ignores_with_link",
    "A server whose init returns ignore ends normally; its linked starter lives on.",
    spawn("c"),
    start("s", ignores(), by="c", how="link"),
    send("test", "c", "hello"),
)
starts(
    "init_stops",
    "A server whose init returns stop is not started; the error has the reason.",
    start("s", stops(crashed("boom"))),
)
starts(
    "init_stops_normally",
    "A server whose init stops with the reason normal is not started.",
    start("s", stops("normal")),
)
starts(
    "init_stops_with_shutdown",
    "A server whose init stops with the reason shutdown is not started.",
    start("s", stops("shutdown")),
)
starts(
    "init_crashes",
    "A server whose init crashes is not started; the error has the reason.",
    start("s", raises("boom")),
)
starts(
    "init_exits",
    "A server whose init exits is not started; the error has the reason.",
    start("s", op(leave("s", "shutdown"))),
)
starts(
    "init_returns_rubbish",
    "A server whose init returns what it may not is not started.",
    start("s", rubbish()),
)
starts(
    "init_takes_too_long",
    "A start with a timeout kills the server whose init takes longer.",
    spawn("c"),
    start("s", sleep(60_000), by="c", timeout=100),
    advance(200),
)
starts(
    "init_is_killed",
    "A start hears of it when the server is killed in its init.",
    spawn("c"),
    start("s", sleep(60_000), by="c"),
    exit("test", "s", "kill"),
)
starts(
    "init_crash_hits_linked_starter",
    "When the init of a linked server crashes, its starter.",
    spawn("c"),
    start("s", raises("boom"), by="c", how="link"),
    send("test", "c", "hello"),
)
starts(
    "init_crash_and_trapping_starter",
    "When the init of a linked server crashes, a starter that traps exits.",
    spawn("c", trap=True),
    start("s", raises("boom"), by="c", how="link"),
)
starts(
    "messages_wait_for_init",
    "Messages that come during init are handled after it.",
    spawn("c"),
    start("s", sleep(150), by="c"),
    cast("test", "s", "early"),
    advance(250),
)
starts(
    "terminate_not_after_failed_init",
    "terminate does not run when init fails.",
    start("s", raises("boom"), terminate=[op(note("s", "terminated"))]),
)

# --- names ---------------------------------------------------------------------------------------

starts(
    "name_is_registered_before_init",
    "A server has its name when its init runs.",
    start("s", op(whereis("s", "server")), name="server"),
)
starts(
    "name_is_taken",
    "A start under a name that is taken tells who holds it, and runs no init.",
    start("s", name="server"),
    start("t", name="server"),
)
starts(
    "name_is_taken_with_link",
    "A start under a name that is taken does not harm a linked starter.",
    start("s", name="server"),
    spawn("c"),
    start("t", name="server", by="c", how="link"),
    send("test", "c", "hello"),
)
starts(
    "name_is_free_after_ignore",
    "The name is free when start returns ignore.",
    do("test", op(start("s", ignores(), name="server")), op(whereis("test", "server"))),
)
starts(
    "name_is_free_after_crash_in_init",
    "The name is free when start returns an error.",
    do("test", op(start("s", raises("boom"), name="server")), op(whereis("test", "server"))),
)

# --- continue ------------------------------------------------------------------------------------

starts(
    "continue_from_init",
    "What init continues with runs before any message.",
    do(
        "test",
        op(start("s", continues(op(note("s", "continued"))))),
        op(cast("test", "s", "first")),
    ),
)
starts(
    "start_returns_before_continue",
    "start does not wait for what init continues with.",
    spawn("c"),
    start("s", continues(sleep(150), op(note("s", "continued"))), by="c"),
    advance(250),
)
starts(
    "continue_comes_before_waiting_messages",
    "What a callback continues with runs before messages that wait already.",
    start("s"),
    do(
        "test",
        op(cast("test", "s", "one", continues(op(note("s", "continued"))))),
        op(cast("test", "s", "two")),
    ),
)
starts(
    "continue_again",
    "A continue may continue again.",
    start("s"),
    do(
        "test",
        op(cast("test", "s", "one", continues(op(note("s", "first")), continues(op(note("s", "second")))))),
        op(cast("test", "s", "two")),
    ),
)
starts(
    "continue_after_reply",
    "A call may be answered before the work goes on.",
    start("s"),
    call("test", "s", "ping", answer_and_continue("pong", sleep(150), op(note("s", "worked")))),
    advance(250),
)
starts(
    "continue_that_stops",
    "A continue may stop the server.",
    start("s", continues(stops("shutdown"))),
)
starts(
    "continue_that_crashes",
    "A continue that crashes ends the server, and terminate runs.",
    start("s", continues(raises("boom"))),
)

# --- idle timeouts -------------------------------------------------------------------------------

starts(
    "idle_timeout",
    "An idle timeout comes as a message when no other came.",
    start("s"),
    cast("test", "s", "one", idles(100)),
    advance(200),
    advance(200),
)
starts(
    "idle_timeout_is_cancelled_by_a_message",
    "Any message cancels the idle timeout.",
    start("s"),
    cast("test", "s", "one", idles(200)),
    advance(50),
    send("test", "s", "hello"),
    advance(400),
)
starts(
    "idle_timeout_of_init",
    "init may set an idle timeout.",
    start("s", idles(100)),
    advance(200),
)
starts(
    "idle_timeout_after_reply",
    "A reply may set an idle timeout.",
    start("s"),
    call("test", "s", "ping", answer_and_idle("pong", 100)),
    advance(200),
)
starts(
    "idle_timeout_of_zero",
    "An idle timeout of 0 comes only when no message waits.",
    start("s"),
    do("test", op(cast("test", "s", "one", sleep(100), idles(0))), op(cast("test", "s", "two"))),
    advance(200),
    cast("test", "s", "three", idles(0)),
    advance(100),
)
starts(
    "idle_timeout_after_continue",
    "A continue may set an idle timeout.",
    start("s", continues(idles(100))),
    advance(200),
)

# --- stop and terminate --------------------------------------------------------------------------

starts(
    "stop_waits_for_the_end",
    "stop returns when terminate has run and the server has ended.",
    start("s", terminate=[sleep(150)]),
    stop("test", "s"),
    advance(250),
)
starts(
    "stop_with_reason",
    "stop gives terminate and who watches its reason.",
    start("s"),
    monitor("test", "s"),
    stop("test", "s", "shutdown"),
)
starts(
    "stop_with_shutdown_term",
    "stop gives a {shutdown, Term} on.",
    start("s"),
    monitor("test", "s"),
    stop("test", "s", ("shutdown", "done")),
)
starts(
    "stop_with_crash_reason",
    "stop with an abnormal reason.",
    start("s"),
    monitor("test", "s"),
    stop("test", "s", crashed("boom")),
)
starts(
    "stop_of_nobody",
    "stop of a process that is gone.",
    start("s"),
    stop("test", "s"),
    stop("test", "s"),
)
starts(
    "stop_takes_too_long",
    "A stop that takes longer than its timeout exits with timeout; the server ends later.",
    start("s", terminate=[sleep(300)]),
    stop("test", "s", timeout=100),
    advance(200),
    advance(300),
)
starts(
    "stop_before_waiting_messages",
    "stop and the messages that were sent before it.",
    start("s"),
    do(
        "test",
        op(cast("test", "s", "slow", sleep(100))),
        op(cast("test", "s", "waiting")),
        op(stop("test", "s")),
    ),
    advance(200),
)
starts(
    "stop_and_another_orderly_end",
    "A server that stops by itself, for another orderly reason, before the stop comes to its turn.",
    start("s"),
    do("test", op(cast("test", "s", "end", sleep(100), stops("shutdown"))), op(stop("test", "s"))),
    advance(200),
)
starts(
    "stop_and_crash",
    "A server that crashes before the stop comes to its turn.",
    start("s"),
    do("test", op(cast("test", "s", "end", sleep(100), raises("boom"))), op(stop("test", "s"))),
    advance(200),
)
starts(
    "stop_and_kill",
    "A server that is killed while it stops.",
    start("s", terminate=[sleep(60_000)]),
    spawn("c"),
    stop("c", "s"),
    exit("test", "s", "kill"),
)
starts(
    "terminate_that_crashes",
    "A terminate that crashes changes the exit reason.",
    start("s", terminate=[raises("worse")]),
    monitor("test", "s"),
    stop("test", "s"),
)
starts(
    "terminate_that_crashes_after_a_crash",
    "A terminate that crashes after a crash changes the exit reason.",
    start("s", terminate=[raises("worse")]),
    monitor("test", "s"),
    crash("s"),
)
starts(
    "no_terminate_at_exit_signal",
    "terminate does not run when an exit signal ends a server that does not trap exits.",
    start("s"),
    exit("test", "s", "shutdown"),
)
starts(
    "no_terminate_at_kill",
    "terminate does not run when a server is killed, whether it traps exits or not.",
    start("s", trap=True),
    exit("test", "s", "kill"),
)
starts(
    "terminate_at_parents_exit",
    "A server that traps exits stops with terminate when its parent ends.",
    spawn("parent"),
    start("s", by="parent", how="link", trap=True),
    exit("test", "parent", "shutdown"),
)
starts(
    "terminate_at_parents_exit_signal",
    "A server that traps exits stops with terminate when its parent tells it to exit.",
    spawn("parent"),
    start("s", by="parent", how="link", trap=True),
    exit("parent", "s", "shutdown"),
)
starts(
    "terminate_at_parents_normal_exit",
    "A server that traps exits stops with terminate when its parent ends normally.",
    spawn("parent"),
    start("s", by="parent", how="link", trap=True),
    leave("parent", "normal"),
)
starts(
    "strangers_exit_is_a_message",
    "To a server that traps exits, the exit of somebody else than its parent is a message.",
    spawn("parent"),
    spawn("peer"),
    start("s", by="parent", how="link", trap=True),
    do("s", ("link", "peer")),
    crash("peer"),
)
starts(
    "exit_in_handler",
    "A handler may exit; terminate runs with the reason.",
    start("s"),
    monitor("test", "s"),
    cast("test", "s", "end", op(leave("s", ("shutdown", "done")))),
)
starts(
    "exit_normal_in_handler",
    "A handler may exit normally; terminate runs.",
    start("s"),
    monitor("test", "s"),
    cast("test", "s", "end", op(leave("s", "normal"))),
)
starts(
    "trap_exit_later",
    "A server may begin to trap exits at any time.",
    start("s"),
    spawn("peer"),
    trap("s"),
    do("s", ("link", "peer")),
    crash("peer"),
    call("test", "s", "ping", answer("still here")),
)
starts(
    "stop_by_name",
    "stop finds the server by its name.",
    start("s", name="server"),
    stop("test", named("server")),
)
