# SPDX-License-Identifier: MIT
"""Registered names."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    call,
    cast,
    do,
    exit,
    finish,
    named,
    op,
    register,
    send,
    spawn,
    start,
    stop,
    unregister,
    whereis,
)

names = Theme("names")

names(
    "register_and_find",
    "A registered process is found by its name.",
    spawn("p"),
    register("test", "worker", "p"),
    whereis("test", "worker"),
    send("test", named("worker"), "hello"),
)
names(
    "name_is_taken",
    "A name has one holder.",
    spawn("p"),
    spawn("q"),
    register("test", "worker", "p"),
    register("test", "worker", "q"),
    whereis("test", "worker"),
)
names(
    "name_is_taken_by_the_same_one",
    "A process cannot take a name twice.",
    spawn("p"),
    register("test", "worker", "p"),
    register("test", "worker", "p"),
)
names(
    "second_name",
    "A process has one name.",
    spawn("p"),
    register("test", "worker", "p"),
    register("test", "other", "p"),
    whereis("test", "other"),
)
names(
    "register_of_nobody",
    "A process that is gone takes no name.",
    spawn("p"),
    finish("p"),
    register("test", "worker", "p"),
)
names(
    "unregister",
    "A name can be given back, and another one taken.",
    spawn("p"),
    register("test", "worker", "p"),
    unregister("test", "worker"),
    whereis("test", "worker"),
    register("test", "other", "p"),
    whereis("test", "other"),
)
names(
    "unregister_of_free_name",
    "unregister of a name that nobody holds.",
    unregister("test", "nobody"),
)
names(
    "free_name",
    "A name that nobody holds is undefined.",
    whereis("test", "nobody"),
)
names(
    "name_is_free_after_exit",
    "A name is free when its holder has ended.",
    spawn("p"),
    register("test", "worker", "p"),
    do("test", op(exit("test", "p", "kill")), op(whereis("test", "worker"))),
    whereis("test", "worker"),
)
names(
    "server_name_is_free_after_stop",
    "A server's name is free when stop returns, and can be used for the next one.",
    start("s", name="server"),
    do("test", op(stop("test", "s")), op(start("t", name="server"))),
    call("test", named("server"), "ping"),
)
names(
    "messages_follow_the_name",
    "A message by name goes to who holds it at that time.",
    spawn("p"),
    spawn("q"),
    register("test", "worker", "p"),
    cast("test", named("worker"), "one"),
    unregister("test", "worker"),
    register("test", "worker", "q"),
    cast("test", named("worker"), "two"),
)
