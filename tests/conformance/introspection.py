# SPDX-License-Identifier: MIT
"""Looking inside a server, and holding it still: sys."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    answer,
    call,
    cast,
    crash,
    do,
    exit,
    get_state,
    idles,
    monitor,
    op,
    replace_state,
    replace_state_badly,
    resume,
    send,
    sleep,
    spawn,
    start,
    status,
    stop,
    suspend,
)

introspection = Theme("introspection")

introspection(
    "replace_state",
    "The state of a server can be replaced, and read.",
    start("s"),
    get_state("s"),
    replace_state("s", 42),
    get_state("s"),
)
introspection(
    "replace_state_that_crashes",
    "A function that crashes leaves the server and its state alone; the caller hears of it.",
    start("s"),
    replace_state("s", 42),
    replace_state_badly("s"),
    get_state("s"),
)
introspection(
    "get_state_waits_for_the_handler",
    "A server answers when its handler is done.",
    start("s"),
    do("s", sleep(150)),
    get_state("s"),
    advance(250),
)
introspection(
    "get_state_in_its_turn",
    "A server answers in the order of its mailbox.",
    start("s"),
    do("test", op(cast("test", "s", "before", sleep(100))), op(get_state("s")), op(cast("test", "s", "after"))),
    advance(200),
)
introspection(
    "get_state_of_nobody",
    "Of a process that is gone there is nothing to see.",
    start("s"),
    stop("test", "s"),
    get_state("s"),
)
introspection(
    "status",
    "The status tells whether a server is suspended.",
    start("s"),
    status("s"),
    suspend("s"),
    status("s"),
    resume("s"),
    status("s"),
)
introspection(
    "suspended_server_handles_nothing",
    "A suspended server keeps its messages, in order, until it is resumed.",
    start("s"),
    suspend("s"),
    cast("test", "s", "one"),
    send("test", "s", "two"),
    spawn("c"),
    call("c", "s", "three", answer("done")),
    resume("s"),
)
introspection(
    "suspend_twice",
    "One resume ends two suspends.",
    start("s"),
    suspend("s"),
    suspend("s"),
    cast("test", "s", "one"),
    resume("s"),
)
introspection(
    "resume_without_suspend",
    "resume of a server that runs does nothing.",
    start("s"),
    resume("s"),
    call("test", "s", "ping", answer("pong")),
)
introspection(
    "caller_of_a_suspended_server_times_out",
    "A caller does not wait longer because the server is suspended.",
    start("s"),
    suspend("s"),
    spawn("c"),
    call("c", "s", "ping", answer("pong"), timeout=100),
    advance(200),
    resume("s"),
)
introspection(
    "state_of_a_suspended_server",
    "A suspended server shows its state, and takes another one.",
    start("s"),
    suspend("s"),
    replace_state("s", 1),
    get_state("s"),
    resume("s"),
    get_state("s"),
)
introspection(
    "stop_of_a_suspended_server",
    "A suspended server can be stopped; terminate runs.",
    start("s"),
    suspend("s"),
    cast("test", "s", "waiting"),
    stop("test", "s", "shutdown"),
)
introspection(
    "parents_exit_and_a_suspended_server",
    "A suspended server that traps exits stops with its parent.",
    spawn("parent"),
    start("s", by="parent", how="link", trap=True),
    suspend("s"),
    exit("test", "parent", "shutdown"),
)
introspection(
    "kill_of_a_suspended_server",
    "A suspended server can be killed.",
    start("s"),
    monitor("test", "s"),
    suspend("s"),
    exit("test", "s", "kill"),
)
introspection(
    "suspended_server_and_a_linked_one",
    "The crash of a linked process ends a suspended server that does not trap exits.",
    start("s"),
    spawn("p"),
    do("s", ("link", "p")),
    suspend("s"),
    crash("p"),
)
introspection(
    "idle_timeout_begins_anew",
    "A sys request begins the wait of an idle timeout anew.",
    start("s"),
    cast("test", "s", "one", idles(300)),
    advance(200),
    get_state("s"),
    advance(200),
    advance(200),
)
introspection(
    "idle_timeout_while_suspended",
    "An idle timeout does not go off while the server is suspended; its wait begins with resume.",
    start("s"),
    cast("test", "s", "one", idles(200)),
    suspend("s"),
    advance(400),
    resume("s"),
    advance(100),
    advance(200),
)
