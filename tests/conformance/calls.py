# SPDX-License-Identifier: MIT
"""Calls, casts and replies of a GenServer."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    answer,
    answer_and_stop,
    call,
    cast,
    crash,
    crashed,
    do,
    exit,
    finish,
    keep,
    monitor,
    named,
    no_answer,
    note,
    op,
    raises,
    reply,
    rubbish,
    send,
    sleep,
    spawn,
    start,
    stop,
    stops,
    unknown,
)

calls = Theme("calls")

# --- calls ---------------------------------------------------------------------------------------

calls(
    "reply_reaches_caller",
    "A call returns what the server replies.",
    start("s"),
    call("test", "s", "ping", answer("pong")),
)
calls(
    "call_of_nobody",
    "A call of a process that is gone exits with noproc.",
    start("s"),
    stop("test", "s"),
    call("test", "s", "ping"),
)
calls(
    "call_of_free_name",
    "A call of a name that nobody holds exits with noproc.",
    call("test", named("nobody"), "ping"),
)
calls(
    "call_by_name",
    "A call by the registered name reaches its holder.",
    start("s", name="server"),
    call("test", named("server"), "ping", answer("pong")),
)
calls(
    "call_self",
    "A server that calls itself is refused at once.",
    start("s"),
    do("s", op(call("s", "s", "ping"))),
    call("test", "s", "ping", answer("goes on")),
)
calls(
    "crash_in_handler",
    "When the server crashes on the request, the caller gets the exit reason at once.",
    start("s"),
    call("test", "s", "ping", raises("boom"), timeout="infinity"),
)
calls(
    "crash_before_handler",
    "A caller whose request waits behind the one that crashes the server gets the exit reason too.",
    start("s"),
    spawn("c"),
    spawn("d"),
    call("c", "s", "slow", sleep(150), raises("boom")),
    call("d", "s", "waiting", answer("never")),
    advance(250),
)
calls(
    "kill_while_handled",
    "When the server is killed, its caller gets the exit reason killed.",
    start("s"),
    spawn("c"),
    call("c", "s", "slow", sleep(60_000)),
    exit("test", "s", "kill"),
)
calls(
    "exit_signal_while_handled",
    "When an exit signal ends the server, its caller gets the signal's reason.",
    start("s"),
    spawn("c"),
    call("c", "s", "slow", sleep(60_000)),
    exit("test", "s", "shutdown"),
)
calls(
    "normal_exit_without_reply",
    "A server that stops normally without a reply leaves its caller with the reason normal.",
    start("s"),
    call("test", "s", "ping", stops("normal")),
)
calls(
    "stop_with_reply",
    "A server may reply and stop.",
    start("s"),
    call("test", "s", "ping", answer_and_stop("bye", "normal")),
)
calls(
    "stop_with_reply_and_crash_reason",
    "A server that replies and stops with an abnormal reason gives its caller the reply.",
    start("s"),
    call("test", "s", "ping", answer_and_stop("bye", crashed("boom"))),
)
calls(
    "stop_with_shutdown_term",
    "A stop reason {shutdown, Term} reaches terminate, the caller and who watches.",
    start("s"),
    monitor("test", "s"),
    call("test", "s", "ping", stops(("shutdown", "done"))),
)
calls(
    "terminate_before_the_caller_hears",
    "terminate runs before a caller without a reply hears of the exit.",
    start("s", terminate=[sleep(150)]),
    call("test", "s", "ping", stops("normal")),
    advance(250),
)
calls(
    "stop_with_reply_and_slow_terminate",
    "A server that replies and stops replies when terminate has run.",
    start("s", terminate=[sleep(150)]),
    call("test", "s", "ping", answer_and_stop("bye", "normal")),
    advance(250),
)
calls(
    "stop_with_reply_and_kill",
    "A server that replies and stops is killed in its terminate.",
    start("s", terminate=[sleep(60_000)]),
    spawn("c"),
    call("c", "s", "ping", answer_and_stop("bye", "normal")),
    exit("test", "s", "kill"),
)
calls(
    "stop_with_reply_and_crash_in_terminate",
    "A server that replies and stops crashes in its terminate.",
    start("s", terminate=[raises("worse")]),
    call("test", "s", "ping", answer_and_stop("bye", "normal")),
)
calls(
    "bad_return",
    "A callback that returns what it may not is a crash.",
    start("s"),
    call("test", "s", "ping", rubbish()),
)
calls(
    "unknown_request",
    "A request for which the server has no clause.",
    start("s"),
    call("test", "s", "ping", unknown()),
    call("test", "s", "again", answer("still here")),
)
calls(
    "unknown_cast",
    "A cast for which the server has no clause.",
    start("s"),
    cast("test", "s", "ping", unknown()),
    call("test", "s", "again", answer("still here")),
)

# --- replies put off -----------------------------------------------------------------------------

calls(
    "reply_later",
    "A server may reply later, from another callback.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), no_answer()),
    reply("s", "ping", "pong"),
)
calls(
    "reply_by_another_process",
    "Any process may send the reply.",
    start("s"),
    spawn("c"),
    spawn("helper"),
    call("c", "s", "ping", keep("ping"), no_answer()),
    reply("helper", "ping", "pong"),
)
calls(
    "reply_before_return",
    "A reply sent in the middle of the handler reaches the caller before the handler returns.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), op(reply("s", "ping", "pong")), sleep(150), no_answer()),
    advance(250),
)
calls(
    "replies_out_of_order",
    "Replies put off may be sent in any order.",
    start("s"),
    spawn("c"),
    spawn("d"),
    call("c", "s", "one", keep("one"), no_answer()),
    call("d", "s", "two", keep("two"), no_answer()),
    reply("s", "two", 2),
    reply("s", "one", 1),
)
calls(
    "second_reply",
    "A second reply to one call goes nowhere.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), no_answer()),
    reply("s", "ping", "first"),
    reply("s", "ping", "second"),
    call("c", "s", "more", answer("third")),
)
calls(
    "exit_with_replies_owed",
    "When a server exits, everybody to whom it owes a reply gets the exit reason.",
    start("s"),
    spawn("c"),
    spawn("d"),
    call("c", "s", "one", keep("one"), no_answer()),
    call("d", "s", "two", keep("two"), no_answer()),
    crash("s"),
)
calls(
    "plain_process_replies",
    "A plain process can answer a call.",
    spawn("p"),
    spawn("c"),
    call("c", "p", "ping"),
    reply("p", "ping", "pong"),
)
calls(
    "plain_process_ends_without_reply",
    "A plain process that ends without a reply leaves its caller with its exit reason.",
    spawn("p"),
    spawn("c"),
    call("c", "p", "ping"),
    finish("p"),
)

# --- timeouts ------------------------------------------------------------------------------------

calls(
    "timeout",
    "A call that gets no reply in time exits with timeout, and the server goes on.",
    start("s"),
    spawn("c"),
    call("c", "s", "slow", sleep(400), answer("late"), timeout=100),
    advance(200),
    advance(400),
    call("c", "s", "again", answer("in time")),
)
calls(
    "late_reply_is_dropped",
    "A reply after the timeout never arrives.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), no_answer(), timeout=100),
    advance(200),
    reply("s", "ping", "late"),
    call("c", "s", "again", answer("in time")),
)
calls(
    "timeout_leaves_request_in_mailbox",
    "A request whose caller stopped waiting is handled all the same.",
    start("s"),
    spawn("c"),
    spawn("d"),
    call("d", "s", "slow", sleep(400)),
    call("c", "s", "ping", answer("late"), timeout=100),
    advance(200),
    advance(400),
)
calls(
    "timeout_zero",
    "A call with timeout 0 that gets no reply at once exits with timeout.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), no_answer(), timeout=0),
    advance(100),
)
calls(
    "caller_killed_meanwhile",
    "A server replies to a caller that has gone, and goes on.",
    start("s"),
    spawn("c"),
    call("c", "s", "ping", keep("ping"), no_answer()),
    exit("test", "c", "kill"),
    reply("s", "ping", "pong"),
    call("test", "s", "again", answer("still here")),
)
calls(
    "caller_hears_messages_after_the_call",
    "Messages that come while a process waits for a reply are there afterwards, in order.",
    start("s"),
    spawn("c"),
    call("c", "s", "slow", sleep(150), answer("pong")),
    send("test", "c", "one"),
    send("test", "c", "two"),
    advance(250),
)

# --- order ---------------------------------------------------------------------------------------

calls(
    "casts_keep_their_order",
    "Casts and sends of one process to another one are handled in order.",
    start("s"),
    do("test", op(cast("test", "s", "one")), op(send("test", "s", "two")), op(cast("test", "s", "three"))),
)
calls(
    "call_after_casts",
    "A call is handled after the casts that the caller sent before it.",
    start("s"),
    do("test", op(cast("test", "s", "one")), op(cast("test", "s", "two")), op(call("test", "s", "three"))),
)
calls(
    "cast_to_nobody",
    "A cast to a process that is gone is no error.",
    start("s"),
    stop("test", "s"),
    do("test", op(cast("test", "s", "ping")), op(note("test", "goes on"))),
)
calls(
    "cast_to_free_name",
    "A cast to a name that nobody holds is no error.",
    do("test", op(cast("test", named("nobody"), "ping")), op(note("test", "goes on"))),
)
calls(
    "send_to_nobody",
    "A plain send to a process that is gone is no error.",
    spawn("p"),
    exit("test", "p", "kill"),
    do("test", op(send("test", "p", "ping")), op(note("test", "goes on"))),
)
calls(
    "send_to_free_name",
    "A plain send to a name that nobody holds.",
    do("test", op(send("test", named("nobody"), "ping")), op(note("test", "goes on"))),
)
calls(
    "cast_that_stops",
    "A cast may stop the server.",
    start("s"),
    monitor("test", "s"),
    cast("test", "s", "end", stops("normal")),
)
calls(
    "cast_that_crashes",
    "A cast may crash the server; terminate runs with the reason.",
    start("s"),
    monitor("test", "s"),
    cast("test", "s", "end", raises("boom")),
)
calls(
    "messages_left_in_mailbox",
    "What waits in the mailbox of a server that stops is not handled.",
    start("s"),
    do("test", op(cast("test", "s", "end", stops("normal"))), op(cast("test", "s", "never"))),
)
