# SPDX-License-Identifier: MIT
"""Links: processes that end together."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    alive,
    crash,
    crashed,
    do,
    exit,
    finish,
    leave,
    link,
    monitor,
    note,
    op,
    raises,
    send,
    spawn,
    start,
    stop,
    trap,
    unlink,
)

links = Theme("links")

links(
    "crash_takes_the_other_one_along",
    "When one of two linked processes crashes, the other one ends with the same reason.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    crash("b"),
)
links(
    "link_goes_both_ways",
    "A link has no direction.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    crash("a"),
)
links(
    "normal_exit_is_harmless",
    "The normal exit of a linked process does nothing to one that does not trap exits.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    finish("b"),
    send("test", "a", "hello"),
)
links(
    "shutdown_takes_the_other_one_along",
    "The reason shutdown takes linked processes along.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    leave("b", "shutdown"),
)
links(
    "killed_takes_the_other_one_along",
    "A kill reaches linked processes as killed.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    exit("test", "b", "kill"),
)
links(
    "killed_is_trapped",
    "The killed of a linked process can be trapped.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    exit("test", "b", "kill"),
)
links(
    "exit_is_trapped",
    "A process that traps exits hears of a linked one's exit.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    crash("b"),
    send("test", "a", "hello"),
)
links(
    "normal_exit_is_trapped",
    "A process that traps exits hears of a linked one's normal exit.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    finish("b"),
)
links(
    "chain",
    "An exit goes along a chain of links.",
    spawn("a"),
    spawn("b"),
    spawn("c"),
    spawn("d"),
    link("a", "b"),
    link("b", "c"),
    link("c", "d"),
    crash("d"),
)
links(
    "chain_ends_at_one_that_traps",
    "A process that traps exits holds the chain.",
    spawn("a"),
    spawn("b", trap=True),
    spawn("c"),
    link("a", "b"),
    link("b", "c"),
    crash("c"),
    send("test", "a", "hello"),
)
links(
    "two_links_are_one",
    "Linking twice makes one link: one message comes, and one unlink takes it away.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    link("a", "b"),
    link("b", "a"),
    crash("b"),
)
links(
    "one_unlink_is_enough",
    "One unlink takes away what was linked twice.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    link("b", "a"),
    unlink("a", "b"),
    crash("b"),
)
links(
    "unlink_by_the_other_one",
    "Either side may unlink.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    unlink("b", "a"),
    crash("b"),
    send("test", "a", "hello"),
)
links(
    "unlink_without_link",
    "unlink without a link is no error.",
    spawn("a"),
    spawn("b"),
    do("a", op(unlink("a", "b")), op(note("a", "goes on"))),
)
links(
    "unlink_of_nobody",
    "unlink of a process that is gone is no error.",
    spawn("a"),
    spawn("b"),
    finish("b"),
    do("a", op(unlink("a", "b")), op(note("a", "goes on"))),
)
links(
    "link_with_self",
    "A link with oneself is no error, and no link.",
    spawn("a", trap=True),
    do("a", op(link("a", "a")), op(note("a", "goes on"))),
    finish("a"),
)
links(
    "link_with_nobody",
    "A link with a process that is gone ends the one that does not trap exits with noproc.",
    spawn("a"),
    spawn("b"),
    finish("b"),
    link("a", "b"),
)
links(
    "link_with_nobody_is_trapped",
    "A link with a process that is gone is a message noproc to one that traps exits.",
    spawn("a", trap=True),
    spawn("b"),
    finish("b"),
    do("a", op(link("a", "b")), op(note("a", "goes on"))),
)
links(
    "message_stays_after_unlink",
    "An exit message that came before unlink stays in the mailbox.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    do("a", ("sleep", 150), op(unlink("a", "b"))),
    crash("b"),
    ("advance", 250),
)
links(
    "spawn_link",
    "A process may be linked from its first step.",
    spawn("a", trap=True),
    spawn("b", raises("at once"), by="a", how="link"),
)
links(
    "spawn_link_ends_with_its_maker",
    "A linked process ends with the one that made it.",
    spawn("a"),
    spawn("b", by="a", how="link"),
    exit("test", "a", "shutdown"),
)
links(
    "many_links",
    "Everybody who is linked hears of the exit.",
    spawn("hub"),
    spawn("a", trap=True),
    spawn("b", trap=True),
    spawn("c"),
    link("a", "hub"),
    link("b", "hub"),
    link("hub", "c"),
    crash("hub"),
)
links(
    "order_of_exits",
    "A process hears of the exits of two linked ones in the order in which they ended.",
    spawn("a", trap=True),
    spawn("b"),
    spawn("c"),
    link("a", "b"),
    link("a", "c"),
    do("test", op(exit("test", "c", "shutdown")), op(exit("test", "b", "kill"))),
)
links(
    "start_link_server",
    "A linked server takes its starter along.",
    spawn("a"),
    start("s", by="a", how="link"),
    crash("s"),
)
links(
    "start_link_server_stops_normally",
    "A linked server that stops normally leaves its starter alone.",
    spawn("a"),
    start("s", by="a", how="link"),
    stop("test", "s"),
    alive("test", "a"),
)
links(
    "server_hears_of_a_link",
    "A server that traps exits gets the exit of a linked process as a message.",
    start("s", trap=True),
    spawn("b"),
    link("s", "b"),
    exit("test", "b", crashed("boom")),
)
links(
    "server_ends_with_a_link",
    "A server that does not trap exits ends with a linked process, without terminate.",
    start("s"),
    spawn("b"),
    link("s", "b"),
    crash("b"),
)
links(
    "trap_after_link",
    "Whether an exit is trapped counts when it comes.",
    spawn("a"),
    spawn("b"),
    link("a", "b"),
    trap("a"),
    crash("b"),
)
links(
    "links_and_monitors",
    "Who is linked and monitors gets both messages.",
    spawn("a", trap=True),
    spawn("b"),
    monitor("a", "b"),
    crash("b", "only a monitor"),
    spawn("c"),
    link("a", "c"),
    crash("c", "only a link"),
)
links(
    "exit_signals_go_round_a_ring",
    "A ring of links ends together, and each process once.",
    spawn("a"),
    spawn("b"),
    spawn("c"),
    link("a", "b"),
    link("b", "c"),
    link("c", "a"),
    crash("a"),
)
links(
    "relink_after_unlink",
    "A link can be made again.",
    spawn("a", trap=True),
    spawn("b"),
    link("a", "b"),
    unlink("a", "b"),
    link("a", "b"),
    crash("b"),
)
