# SPDX-License-Identifier: MIT
"""Timers: messages that are sent later."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    cancel,
    crash,
    do,
    exit,
    finish,
    named,
    note,
    op,
    read,
    register,
    send,
    send_after,
    sleep,
    spawn,
    start,
)

timers = Theme("timers")

timers(
    "message_comes_later",
    "send_after sends its message when the time is over, and not before.",
    spawn("p"),
    send_after("test", "t", "p", "hello", 200),
    advance(50),
    advance(300),
)
timers(
    "to_self",
    "A process may set a timer for itself.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 100),
    advance(200),
)
timers(
    "to_server",
    "To a server a timer's message is a plain one.",
    start("s"),
    send_after("s", "t", "s", "hello", 100),
    advance(200),
)
timers(
    "order_by_time",
    "Timers go off in the order of their times.",
    spawn("p"),
    do(
        "p",
        op(send_after("p", "c", "p", "third", 300)),
        op(send_after("p", "a", "p", "first", 100)),
        op(send_after("p", "b", "p", "second", 200)),
    ),
    advance(400),
)
timers(
    "cancel_in_time",
    "A timer that was cancelled in time sends nothing; cancel tells that time was left.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 300),
    cancel("p", "t"),
    advance(400),
    send("test", "p", "nothing came"),
)
timers(
    "cancel_too_late",
    "cancel tells that the timer has gone off; the message stays.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 100),
    advance(200),
    cancel("p", "t"),
)
timers(
    "cancel_leaves_the_message",
    "cancel does not take the message of a timer that has gone off out of the mailbox.",
    spawn("p"),
    do("p", op(send_after("p", "t", "p", "hello", 100)), sleep(200), op(cancel("p", "t"))),
    advance(300),
)
timers(
    "cancel_twice",
    "A second cancel tells that there is no timer.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 300),
    cancel("p", "t"),
    cancel("p", "t"),
)
timers(
    "cancel_by_another_process",
    "Who did not set a timer may cancel it.",
    spawn("p"),
    spawn("q"),
    send_after("p", "t", "p", "hello", 300),
    cancel("q", "t"),
    advance(400),
)
timers(
    "read",
    "read tells whether time is left.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 200),
    read("p", "t"),
    advance(300),
    read("p", "t"),
)
timers(
    "read_cancelled",
    "read tells that a cancelled timer is gone.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 200),
    cancel("p", "t"),
    read("p", "t"),
)
timers(
    "receiver_is_gone",
    "A timer whose receiver has ended sends to nobody, and that is no error.",
    spawn("p"),
    send_after("test", "t", "p", "hello", 100),
    finish("p"),
    advance(200),
    send("test", "test", "goes on"),
)
timers(
    "setter_is_gone",
    "A timer whose setter has ended.",
    spawn("p"),
    spawn("q"),
    send_after("p", "t", "q", "hello", 200),
    finish("p"),
    advance(300),
)
timers(
    "cancelled_with_the_receiver",
    "A timer for a process that has ended is gone.",
    spawn("p"),
    send_after("p", "t", "p", "hello", 200),
    exit("test", "p", "kill"),
    cancel("test", "t"),
)
timers(
    "by_name",
    "A timer by name looks the name up when it goes off.",
    spawn("p"),
    send_after("test", "t", named("worker"), "hello", 200),
    register("test", "worker", "p"),
    advance(300),
)
timers(
    "by_name_that_is_free",
    "A timer by a name that nobody holds when it goes off is no error.",
    send_after("test", "t", named("worker"), "hello", 100),
    advance(200),
    note("test", "goes on"),
)
timers(
    "at_once",
    "A timer of 0 milliseconds comes after what is in the mailbox.",
    spawn("p"),
    do("p", op(send_after("p", "t", "p", "timer", 0)), op(send("p", "p", "sent")), op(note("p", "done"))),
    advance(100),
)
timers(
    "crash_does_not_stop_others",
    "The crash of the receiver leaves the timers for others alone.",
    spawn("p"),
    spawn("q"),
    do("test", op(send_after("test", "a", "p", "one", 200)), op(send_after("test", "b", "q", "two", 200))),
    crash("p"),
    advance(300),
)
