# SPDX-License-Identifier: MIT
"""Monitors: hearing of a process's end without sharing it."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    call,
    crash,
    crashed,
    demonitor,
    do,
    exit,
    finish,
    leave,
    monitor,
    named,
    note,
    op,
    raises,
    register,
    send,
    sleep,
    spawn,
    start,
    stops,
)

monitors = Theme("monitors")

monitors(
    "down_has_the_reason",
    "A monitor tells the exit reason.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    crash("p"),
)
monitors(
    "down_at_normal_exit",
    "A monitor tells of a normal exit.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    finish("p"),
)
monitors(
    "down_at_kill",
    "A monitor tells killed of one that was killed.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    exit("test", "p", "kill"),
)
monitors(
    "down_at_shutdown_term",
    "A monitor tells {shutdown, Term} as it is.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    leave("p", ("shutdown", "done")),
)
monitors(
    "monitor_has_one_direction",
    "The end of the one that monitors does nothing to the other one.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    crash("m"),
    send("test", "p", "hello"),
)
monitors(
    "noproc",
    "A monitor of a process that is gone tells noproc at once.",
    spawn("m"),
    spawn("p"),
    finish("p"),
    monitor("m", "p"),
)
monitors(
    "each_monitor_tells",
    "Each monitor of a process tells by itself.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p", "one"),
    monitor("m", "p", "two"),
    demonitor("m", "one"),
    monitor("m", "p", "three"),
    exit("test", "p", "kill"),
)
monitors(
    "many_watch_one",
    "Everybody who monitors a process hears of its exit.",
    spawn("a"),
    spawn("b"),
    spawn("p"),
    monitor("a", "p"),
    monitor("b", "p"),
    crash("p"),
)
monitors(
    "demonitor",
    "After demonitor nothing comes.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    demonitor("m"),
    crash("p"),
    send("test", "m", "hello"),
)
monitors(
    "demonitor_flushes",
    "demonitor takes a message away that came already.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    do("m", sleep(150), op(demonitor("m")), op(note("m", "demonitored"))),
    crash("p"),
    advance(250),
    send("test", "m", "hello"),
)
monitors(
    "demonitor_twice",
    "A second demonitor is no error.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    demonitor("m"),
    do("m", op(demonitor("m")), op(note("m", "goes on"))),
)
monitors(
    "demonitor_after_down",
    "demonitor after the message is no error.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    finish("p"),
    do("m", op(demonitor("m")), op(note("m", "goes on"))),
)
monitors(
    "monitor_of_self",
    "A process that monitors itself hears nothing.",
    spawn("m"),
    monitor("m", "m"),
    finish("m"),
)
monitors(
    "monitor_by_name",
    "A monitor by name tells of the exit of who held the name.",
    spawn("m"),
    spawn("p"),
    register("test", "worker", "p"),
    monitor("m", named("worker")),
    crash("p"),
)
monitors(
    "monitor_of_free_name",
    "A monitor of a name that nobody holds tells noproc at once.",
    spawn("m"),
    monitor("m", named("nobody")),
)
monitors(
    "monitor_by_name_stays_with_the_process",
    "A monitor by name is of the process that held the name then.",
    spawn("m"),
    spawn("p"),
    register("test", "worker", "p"),
    monitor("m", named("worker")),
    ("test", ("unregister", "worker")),
    spawn("q"),
    register("test", "worker", "q"),
    crash("q"),
    send("test", "m", "nothing yet"),
    exit("test", "p", "shutdown"),
)
monitors(
    "down_after_the_messages_before_it",
    "What a process sent before its exit comes before the news of it.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p"),
    do("p", op(send("p", "m", "one")), op(send("p", "m", "two")), op(leave("p", "shutdown"))),
)
monitors(
    "spawn_monitor",
    "A process may be monitored from its first step.",
    spawn("m"),
    spawn("p", raises("at once"), by="m", how="monitor"),
)
monitors(
    "server_gets_down",
    "A server gets the news as a message.",
    start("s"),
    spawn("p"),
    monitor("s", "p"),
    exit("test", "p", "kill"),
)
monitors(
    "down_waits_for_the_handler",
    "The news waits until the handler is done.",
    start("s"),
    spawn("p"),
    spawn("c"),
    monitor("s", "p"),
    call("c", "s", "slow", sleep(150)),
    exit("test", "p", "kill"),
    advance(250),
)
monitors(
    "server_stop_reasons",
    "A monitor of a server tells the reason with which it stopped.",
    start("s"),
    monitor("test", "s"),
    call("test", "s", "end", stops(crashed("boom"))),
)
monitors(
    "down_after_terminate",
    "A monitor tells of the exit when terminate has run.",
    start("s", terminate=[sleep(150), op(note("s", "terminated"))]),
    monitor("test", "s"),
    do("s", stops("shutdown")),
    advance(250),
)
monitors(
    "down_keeps_order_of_exits",
    "A process hears of the exits of others in their order.",
    spawn("m"),
    spawn("p"),
    spawn("q"),
    monitor("m", "q", "q"),
    monitor("m", "p", "p"),
    do("test", op(exit("test", "p", "kill")), op(exit("test", "q", "shutdown"))),
)
monitors(
    "monitor_again",
    "A monitor made in reply to the news tells noproc.",
    spawn("m"),
    spawn("p"),
    monitor("m", "p", "first"),
    exit("test", "p", "shutdown"),
    monitor("m", "p", "second"),
)
