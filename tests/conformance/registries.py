# SPDX-License-Identifier: MIT
"""Registries: processes found by keys, as Elixir's Registry."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    alive,
    call,
    cast,
    child,
    crash,
    exit,
    finish,
    raises,
    send,
    spawn,
    start,
    stop,
    supervisor,
    trap,
    via,
)
from tests.conformance.scenario_elixir import enroll, lookup, registry, withdraw, word

registries = Theme("registries")

# --- unique keys ---------------------------------------------------------------------------------

registries(
    "register_and_look_up",
    "A process that registered itself is found by its key, with its value.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", 1),
    lookup("k"),
    lookup("other"),
)
registries(
    "key_is_taken",
    "A unique key belongs to one process.",
    registry("r"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    enroll("b", "k", 2),
    lookup("k"),
)
registries(
    "key_is_taken_by_itself",
    "A process cannot register a unique key twice.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", 1),
    enroll("a", "k", 2),
    lookup("k"),
)
registries(
    "many_keys",
    "A process may have many keys.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", 1),
    enroll("a", "l", 2),
    lookup("l"),
    word("entries", "r"),
)
registries(
    "unregister",
    "A key can be given back.",
    registry("r"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    withdraw("a", "k"),
    lookup("k"),
    enroll("b", "k", 2),
    lookup("k"),
)
registries(
    "unregister_of_somebody_elses_key",
    "A process can give back its own keys only; to try it with another one's is no error.",
    registry("r"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    withdraw("b", "k"),
    lookup("k"),
)
registries(
    "exit_frees_keys",
    "The keys of a process that exits are free.",
    registry("r"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    enroll("a", "l", 2),
    crash("a"),
    lookup("k"),
    word("entries", "r"),
    enroll("b", "k", 3),
)
registries(
    "exit_does_not_harm_the_registry",
    "The registry lives on when a process exits that registered itself.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", 1),
    exit("test", "a", "kill"),
    alive("test", "r"),
)
registries(
    "update_value",
    "A process can change the value of its key.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", 1),
    word("update_value", "r", "k", 2, by="a"),
    lookup("k"),
)
registries(
    "update_value_of_somebody_elses_key",
    "A process cannot change the value of another one's key.",
    registry("r"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    word("update_value", "r", "k", 2, by="b"),
    lookup("k"),
)
registries(
    "match",
    "match tells the entries under a key whose value matches.",
    registry("r"),
    spawn("a"),
    enroll("a", "k", "red"),
    word("match", "r", "k", "red"),
    word("match", "r", "k", "blue"),
    word("count_match", "r", "k", "red"),
)
registries(
    "keys_of_nobody",
    "A process that is gone has no keys.",
    registry("r"),
    spawn("a"),
    enroll("a", "k"),
    finish("a"),
    word("keys_of", "r", "a"),
    word("values_of", "r", "k", "a"),
)
registries(
    "meta",
    "A registry keeps what else it is given.",
    registry("r"),
    word("meta", "r", "colour"),
    word("put_meta", "r", "colour", "red"),
    word("meta", "r", "colour"),
)

# --- duplicate keys ------------------------------------------------------------------------------

registries(
    "duplicate_keys",
    "A duplicate key may have many processes, in the order of registration.",
    registry("r", "duplicate"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    enroll("b", "k", 2),
    enroll("a", "k", 3),
    lookup("k"),
    word("keys_of", "r", "a"),
    word("values_of", "r", "k", "a"),
    word("entries", "r"),
)
registries(
    "duplicate_unregister",
    "unregister takes all of a process's entries under the key away.",
    registry("r", "duplicate"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    enroll("b", "k", 2),
    enroll("a", "k", 3),
    withdraw("a", "k"),
    lookup("k"),
)
registries(
    "duplicate_unregister_match",
    "unregister_match takes those entries away whose value matches.",
    registry("r", "duplicate"),
    spawn("a"),
    enroll("a", "k", "red"),
    enroll("a", "k", "blue"),
    word("withdraw_match", "r", "k", "red", by="a"),
    lookup("k"),
    word("keys_of", "r", "a"),
)
registries(
    "duplicate_exit",
    "The entries of a process that exits are gone, those of others stay.",
    registry("r", "duplicate"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", 1),
    enroll("b", "k", 2),
    exit("test", "a", "kill"),
    lookup("k"),
)
registries(
    "duplicate_match",
    "match finds several entries.",
    registry("r", "duplicate"),
    spawn("a"),
    spawn("b"),
    enroll("a", "k", "red"),
    enroll("b", "k", "blue"),
    enroll("b", "k", "red"),
    word("match", "r", "k", "red"),
    word("count_match", "r", "k", "red"),
)
registries(
    "dispatch",
    "dispatch reaches everybody under the key.",
    registry("r", "duplicate"),
    spawn("a"),
    spawn("b"),
    spawn("c"),
    enroll("a", "k"),
    enroll("b", "k"),
    enroll("c", "l"),
    word("dispatch", "r", "k", "hello"),
)
registries(
    "dispatch_to_nobody",
    "dispatch under a key that nobody has does nothing.",
    registry("r", "duplicate"),
    word("dispatch", "r", "k", "hello"),
)

# --- via names -----------------------------------------------------------------------------------

registries(
    "via_name",
    "A server that is started under a via name is found by it.",
    registry("r"),
    start("s", name=via("r", "k")),
    call("test", via("r", "k"), "ping"),
    lookup("k"),
)
registries(
    "via_name_is_taken",
    "A start under a via name that is taken tells who holds it.",
    registry("r"),
    start("s", name=via("r", "k")),
    start("t", name=via("r", "k")),
)
registries(
    "via_name_of_nobody",
    "A call of a via name that nobody has exits with noproc.",
    registry("r"),
    call("test", via("r", "k"), "ping"),
    cast("test", via("r", "k"), "ping"),
)
registries(
    "via_name_after_register",
    "A via name finds a process that registered itself.",
    registry("r"),
    start("s"),
    enroll("s", "k"),
    call("test", via("r", "k"), "ping"),
)
registries(
    "via_name_is_free_after_stop",
    "A via name is free when the server has stopped.",
    registry("r"),
    start("s", name=via("r", "k")),
    stop("test", via("r", "k")),
    start("t", name=via("r", "k")),
    call("test", via("r", "k"), "ping"),
)
registries(
    "via_name_is_free_after_crash_in_init",
    "A via name is free when the start has failed.",
    registry("r"),
    start("s", raises("boom"), name=via("r", "k")),
    lookup("k"),
)
registries(
    "via_name_of_a_child",
    "A restarted child has its via name again.",
    registry("r"),
    supervisor("s", child("a", name=via("r", "k"))),
    crash("a"),
    call("test", via("r", "k"), "ping"),
)

# --- listeners and links -------------------------------------------------------------------------

registries(
    "listener",
    "A listener is told who registers and unregisters itself.",
    spawn("m"),
    ("test", ("register", "listener", "m")),
    registry("r", "unique", "listener"),
    spawn("a"),
    enroll("a", "k", 1),
    withdraw("a", "k"),
)
registries(
    "listener_and_exit",
    "What a listener is told when a process exits that has keys.",
    spawn("m"),
    ("test", ("register", "listener", "m")),
    registry("r", "unique", "listener"),
    spawn("a"),
    enroll("a", "k", 1),
    crash("a"),
)
registries(
    "registry_ends",
    "A process that registered itself ends with the registry.",
    spawn("parent", trap=True),
    registry("r", by="parent"),
    spawn("a"),
    enroll("a", "k"),
    exit("test", "r", "kill"),
    send("test", "a", "hello"),
)
registries(
    "unregistered_process_survives_the_registry",
    "A process that has given its keys back lives on without the registry.",
    spawn("parent", trap=True),
    registry("r", by="parent"),
    spawn("a"),
    enroll("a", "k"),
    withdraw("a", "k"),
    exit("test", "r", "kill"),
    alive("test", "a"),
)
registries(
    "trapping_process_and_its_registration",
    "A process that traps exits hears of nothing while the registry lives.",
    registry("r"),
    spawn("a"),
    trap("a"),
    enroll("a", "k"),
    withdraw("a", "k"),
    send("test", "a", "hello"),
)
