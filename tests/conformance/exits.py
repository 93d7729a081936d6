# SPDX-License-Identifier: MIT
"""Exit reasons and exit signals."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    alive,
    call,
    crash,
    crashed,
    do,
    exit,
    finish,
    leave,
    link,
    monitor,
    named,
    note,
    op,
    register,
    send,
    sleep,
    spawn,
    start,
    trap,
    whereis,
)

exits = Theme("exits")

# --- how a process ends --------------------------------------------------------------------------

exits(
    "return_is_normal",
    "A process that returns ends with the reason normal.",
    spawn("p"),
    finish("p"),
)
exits(
    "leave_with_reason",
    "A process may end itself with a reason.",
    spawn("p"),
    leave("p", ("shutdown", "tired")),
)
exits(
    "leave_with_killed",
    "A process that ends itself with the reason killed was not killed: who is linked hears killed.",
    spawn("p"),
    spawn("q", trap=True),
    link("q", "p"),
    leave("p", "killed"),
)
exits(
    "leave_with_kill",
    "A process may end itself with the reason kill; it does not kill who is linked, for only a signal by exit does.",
    spawn("p"),
    spawn("q", trap=True),
    link("q", "p"),
    leave("p", "kill"),
)
exits(
    "leave_with_kill_without_trap",
    "The exit of a linked process with the reason kill ends a process that does not trap exits with the reason kill.",
    spawn("p"),
    spawn("q"),
    link("q", "p"),
    leave("p", "kill"),
)
exits(
    "crash_has_its_cause",
    "A process that crashes ends with the cause as its reason.",
    spawn("p"),
    monitor("test", "p"),
    crash("p", "boom"),
)
exits(
    "any_term_as_reason",
    "A process ends itself with a reason that is any term.",
    spawn("p"),
    monitor("test", "p"),
    leave("p", "bored"),
)
exits(
    "noproc_as_reason",
    "A process may end itself with the reason noproc.",
    spawn("p"),
    monitor("test", "p"),
    leave("p", "noproc"),
)

# --- exit signals --------------------------------------------------------------------------------

exits(
    "signal_ends_process",
    "An exit signal ends a process that does not trap exits, with its reason.",
    spawn("p"),
    exit("test", "p", "shutdown"),
)
exits(
    "signal_with_crash_reason",
    "An exit signal may have any reason.",
    spawn("p"),
    exit("test", "p", crashed("boom")),
)
exits(
    "signal_with_shutdown_term",
    "An exit signal may have the reason {shutdown, Term}.",
    spawn("p"),
    exit("test", "p", ("shutdown", "upgrade")),
)
exits(
    "signal_normal_is_ignored",
    "An exit signal with the reason normal does nothing to a process that does not trap exits.",
    spawn("p"),
    exit("test", "p", "normal"),
    send("test", "p", "hello"),
)
exits(
    "signal_normal_to_self",
    "A process that sends itself an exit signal with the reason normal ends.",
    spawn("p"),
    exit("p", "p", "normal"),
)
exits(
    "signal_to_self",
    "A process that sends itself an exit signal ends with its reason.",
    spawn("p"),
    do("p", op(exit("p", "p", "shutdown"))),
)
exits(
    "signal_to_self_is_trapped",
    "A process that traps exits gets its own exit signal as a message.",
    spawn("p", trap=True),
    do("p", op(exit("p", "p", "shutdown")), op(note("p", "goes on"))),
)
exits(
    "signal_normal_to_self_is_trapped",
    "A process that traps exits gets its own exit signal as a message, with the reason normal too.",
    spawn("p", trap=True),
    exit("p", "p", "normal"),
)
exits(
    "signal_is_trapped",
    "To a process that traps exits an exit signal is a message.",
    spawn("p", trap=True),
    exit("test", "p", "shutdown"),
    send("test", "p", "hello"),
)
exits(
    "signal_normal_is_trapped",
    "To a process that traps exits an exit signal with the reason normal is a message too.",
    spawn("p", trap=True),
    exit("test", "p", "normal"),
)
exits(
    "kill_is_not_trapped",
    "The exit signal kill ends every process, and its reason is killed.",
    spawn("p", trap=True),
    monitor("test", "p"),
    exit("test", "p", "kill"),
)
exits(
    "kill_of_self",
    "A process may kill itself.",
    spawn("p", trap=True),
    exit("p", "p", "kill"),
)
exits(
    "killed_as_signal_is_trapped",
    "An exit signal with the reason killed is like any other one.",
    spawn("p", trap=True),
    exit("test", "p", "killed"),
)
exits(
    "signal_to_nobody",
    "An exit signal to a process that is gone does nothing.",
    spawn("p"),
    finish("p"),
    do("test", op(exit("test", "p", "kill")), op(note("test", "goes on"))),
)
exits(
    "signal_between_messages",
    "An exit signal comes in its order among the messages of its sender.",
    spawn("p", trap=True),
    do("test", op(send("test", "p", "one")), op(exit("test", "p", "shutdown")), op(send("test", "p", "two"))),
)
exits(
    "signal_overtakes_unread_messages",
    "An exit signal ends a process that has not read its messages yet.",
    spawn("p"),
    do("p", sleep(300)),
    do("test", op(send("test", "p", "one")), op(exit("test", "p", "shutdown"))),
    advance(400),
)
exits(
    "first_signal_counts",
    "Of two exit signals the first one gives the reason.",
    spawn("p"),
    do("test", op(exit("test", "p", "shutdown")), op(exit("test", "p", crashed("boom")))),
)
exits(
    "signal_then_kill",
    "A kill right after another exit signal: which reason stands.",
    spawn("p"),
    do("test", op(exit("test", "p", "shutdown")), op(exit("test", "p", "kill"))),
)
exits(
    "trap_off",
    "A process may stop trapping exits.",
    spawn("p", trap=True),
    exit("test", "p", "shutdown"),
    trap("p", False),
    exit("test", "p", "shutdown"),
)
exits(
    "not_alive_after_exit_signal",
    "A process is not alive for whoever ended it.",
    spawn("p"),
    do("test", op(exit("test", "p", "kill")), op(alive("test", "p"))),
)
exits(
    "alive",
    "A process is alive from its start until its end.",
    spawn("p"),
    alive("test", "p"),
    finish("p"),
    alive("test", "p"),
)
exits(
    "server_ends_by_signal_in_handler",
    "An exit signal ends a server in the middle of its handler.",
    start("s"),
    spawn("c"),
    monitor("test", "s"),
    call("c", "s", "slow", sleep(60_000)),
    exit("test", "s", crashed("boom")),
)
exits(
    "trapping_server_goes_on_in_handler",
    "A server that traps exits ends its handler first, and the signal comes after it.",
    start("s", trap=True),
    spawn("c"),
    call("c", "s", "slow", sleep(150)),
    exit("c", "s", "shutdown"),
    exit("test", "s", "shutdown"),
    advance(300),
)

# --- names at the exit ---------------------------------------------------------------------------

exits(
    "name_is_free_when_down_comes",
    "Who hears of an exit by a monitor finds the name free.",
    spawn("p"),
    register("test", "worker", "p"),
    spawn("q", op(monitor("q", "p"))),
    do("test", op(exit("test", "p", "kill"))),
    whereis("q", "worker"),
)
exits(
    "name_may_be_taken_again",
    "A name is free for another one when its holder has ended.",
    spawn("p"),
    register("test", "worker", "p"),
    finish("p"),
    spawn("q"),
    register("test", "worker", "q"),
    send("test", named("worker"), "hello"),
)
exits(
    "exit_of_a_caller_reaches_no_server",
    "The exit of a caller does nothing to the server that works for it.",
    start("s"),
    spawn("c"),
    call("c", "s", "slow", sleep(150)),
    exit("test", "c", crashed("boom")),
    advance(250),
    alive("test", "s"),
)
exits(
    "crash_in_trap",
    "A process that traps exits is not saved from its own crash.",
    spawn("p", trap=True),
    monitor("test", "p"),
    crash("p"),
)
exits(
    "shutdown_signal_to_a_trapping_server_of_a_stranger",
    "To a server that traps exits, a stranger's exit signal is a message.",
    spawn("parent"),
    start("s", by="parent", how="link", trap=True),
    exit("test", "s", "shutdown"),
    alive("test", "s"),
)
