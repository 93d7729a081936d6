# SPDX-License-Identifier: MIT
"""State holders, as Elixir's Agent."""

from __future__ import annotations

from tests.conformance.scenario import Theme, advance, alive, exit, spawn, stop
from tests.conformance.scenario_elixir import word

holders = Theme("holders")

holders(
    "get_and_update",
    "The state is read and changed by functions.",
    word("holder", "h", 40),
    word("holder_add", "h", 2),
    word("holder_get", "h"),
    word("holder_swap", "h", 1),
    word("holder_get", "h"),
)
holders(
    "cast",
    "A cast changes the state, in order with the calls after it.",
    word("holder", "h", 1),
    ("test", ("all", [("holder_cast", "h", 1), ("holder_cast", "h", 1), ("holder_get", "h")])),
)
holders(
    "crash",
    "A function that crashes ends the holder, and its caller hears of it.",
    spawn("p", trap=True),
    word("holder", "h", 1, by="p"),
    word("holder_crash", "h"),
    word("holder_get", "h"),
)
holders(
    "rubbish",
    "A function that returns no pair ends the holder.",
    spawn("p", trap=True),
    word("holder", "h", 1, by="p"),
    word("holder_rubbish", "h"),
)
holders(
    "timeout",
    "A caller whose function takes too long gives up; the holder goes on.",
    word("holder", "h", 1),
    spawn("c"),
    word("holder_slow", "h", 300, 100, by="c"),
    advance(200),
    word("holder_get", "h"),
    advance(200),
)
holders(
    "stop",
    "A holder can be stopped.",
    word("holder", "h", 1),
    stop("test", "h"),
    word("holder_get", "h"),
)
holders(
    "exit_signal",
    "A holder ends with its parent.",
    spawn("p"),
    word("holder", "h", 1, by="p"),
    exit("test", "p", "shutdown"),
    alive("test", "h"),
)
