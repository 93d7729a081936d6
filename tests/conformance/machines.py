# SPDX-License-Identifier: MIT
"""State machines: gen_statem."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    call,
    cast,
    do,
    exit,
    ignores,
    keep,
    op,
    raises,
    reply,
    send,
    sleep,
    spawn,
    stop,
    stops,
    unknown,
)
from tests.conformance.scenario_machines import (
    answers,
    event_timeout,
    goto,
    in_state,
    keep_state,
    machine,
    named_timeout,
    next_event,
    postpone,
    repeat,
    state_timeout,
    stop_and_reply,
)

machines = Theme("machines")

# --- states --------------------------------------------------------------------------------------

machines(
    "change_of_state",
    "An event may change the state.",
    machine("m"),
    cast("test", "m", "go", goto("two")),
    cast("test", "m", "look"),
)
machines(
    "first_state",
    "init says where to begin.",
    machine("m", goto("two")),
    cast("test", "m", "look"),
)
machines(
    "init_ignores",
    "A machine whose init ignores is not started.",
    machine("m", ignores()),
)
machines(
    "init_stops",
    "A machine whose init stops is not started.",
    machine("m", stops("shutdown")),
)
machines(
    "init_crashes",
    "A machine whose init crashes is not started.",
    machine("m", raises("boom")),
)
machines(
    "reply_with_change",
    "A change of the state may come with a reply.",
    machine("m"),
    call("test", "m", "go", goto("two", answers("gone"))),
)
machines(
    "reply_later",
    "A reply may come from a later event.",
    machine("m"),
    spawn("c"),
    call("c", "m", "ask", keep("ask"), keep_state()),
    reply("m", "ask", "answer"),
)
machines(
    "info",
    "Plain messages come to the state function, too.",
    machine("m"),
    send("test", "m", "hello"),
)
machines(
    "unknown_call",
    "A call for which the state has no clause.",
    machine("m"),
    call("test", "m", "ask", unknown()),
    call("test", "m", "again"),
)
machines(
    "crash",
    "A state function that crashes ends the machine; terminate tells the state.",
    machine("m"),
    cast("test", "m", "go", goto("two")),
    cast("test", "m", "crash", raises("boom")),
)
machines(
    "stop",
    "A state function may stop the machine.",
    machine("m"),
    cast("test", "m", "end", stops(("shutdown", "done"))),
)
machines(
    "stop_and_reply",
    "A machine may reply and stop; the reply comes first.",
    machine("m", terminate=[sleep(150)]),
    spawn("c"),
    call("c", "m", "end", stop_and_reply("normal", "bye")),
    advance(250),
)
machines(
    "stop_by_call",
    "stop ends a machine.",
    machine("m"),
    cast("test", "m", "go", goto("two")),
    stop("test", "m", "shutdown"),
)
machines(
    "parents_exit",
    "A machine that traps exits stops with its parent.",
    spawn("parent"),
    machine("m", by="parent", how="link", trap=True),
    exit("test", "parent", "shutdown"),
)

# --- postponed and inserted events ---------------------------------------------------------------

LATER = in_state(one=[keep_state(postpone())], two=[keep_state()])

machines(
    "postpone",
    "A postponed event comes again after the change of the state, before what came later.",
    machine("m"),
    do(
        "test",
        op(cast("test", "m", "later", LATER)),
        op(cast("test", "m", "go", goto("two"))),
        op(cast("test", "m", "last")),
    ),
)
machines(
    "postpone_keeps_order",
    "Postponed events come again in their order.",
    machine("m"),
    cast("test", "m", "first", LATER),
    cast("test", "m", "second", LATER),
    cast("test", "m", "go", goto("two")),
)
machines(
    "postpone_without_change",
    "Without a change of the state a postponed event stays where it is.",
    machine("m"),
    cast("test", "m", "later", LATER),
    cast("test", "m", "stay", keep_state()),
    cast("test", "m", "same", goto("one")),
    cast("test", "m", "again", repeat()),
    cast("test", "m", "go", goto("two")),
)
machines(
    "postpone_again",
    "An event may be postponed again.",
    machine("m"),
    cast(
        "test", "m", "later", in_state(one=[keep_state(postpone())], two=[keep_state(postpone())], three=[keep_state()])
    ),
    cast("test", "m", "go", goto("two")),
    cast("test", "m", "on", goto("three")),
)
machines(
    "postponed_call",
    "A postponed call waits for its reply.",
    machine("m"),
    spawn("c"),
    call("c", "m", "ask", in_state(one=[keep_state(postpone())], two=[keep_state(answers("yes"))])),
    cast("test", "m", "go", goto("two")),
)
machines(
    "postponed_call_and_exit",
    "The caller of a postponed call hears of the exit.",
    machine("m"),
    spawn("c"),
    call("c", "m", "ask", keep_state(postpone())),
    cast("test", "m", "end", stops("shutdown")),
)
machines(
    "postpone_and_change",
    "An event that is postponed by the change of the state itself comes again at once.",
    machine("m"),
    cast("test", "m", "push", in_state(one=[goto("two", postpone())], two=[keep_state()])),
)
machines(
    "inserted_event",
    "An inserted event comes before those that wait.",
    machine("m"),
    do(
        "test",
        op(cast("test", "m", "first", keep_state(next_event("inserted")))),
        op(cast("test", "m", "second")),
    ),
)
machines(
    "inserted_events_keep_order",
    "Inserted events come in their order.",
    machine("m"),
    cast("test", "m", "go", keep_state(next_event("one"), next_event("two"))),
)
machines(
    "inserted_before_postponed",
    "Inserted events come before postponed ones.",
    machine("m"),
    cast("test", "m", "later", LATER),
    cast("test", "m", "go", goto("two", next_event("inserted"))),
)
machines(
    "inserted_in_init",
    "init may insert events; they come before all others.",
    do("test", op(machine("m", goto("one", next_event("first")))), op(cast("test", "m", "second"))),
)

# --- enter events --------------------------------------------------------------------------------

machines(
    "enter",
    "A machine hears of each state that it enters, the first one too.",
    machine("m", state_enter=True),
    cast("test", "m", "go", goto("two")),
    cast("test", "m", "back", goto("one")),
)
machines(
    "enter_not_in_the_same_state",
    "A change to the same state enters nothing.",
    machine("m", state_enter=True),
    cast("test", "m", "same", goto("one")),
    cast("test", "m", "stay", keep_state()),
)
machines(
    "enter_again",
    "repeat_state enters the state again.",
    machine("m", state_enter=True),
    cast("test", "m", "again", repeat()),
)
machines(
    "enter_before_postponed_and_inserted",
    "The state is entered before postponed and inserted events come.",
    machine("m", state_enter=True),
    cast("test", "m", "later", LATER),
    cast("test", "m", "go", goto("two", next_event("inserted"))),
)
machines(
    "enter_sets_timeout",
    "A state may set its timeout when it is entered.",
    machine("m", state_enter=True, enter={"two": [keep_state(state_timeout(100, "over", goto("one")))]}),
    cast("test", "m", "go", goto("two")),
    advance(200),
)
machines(
    "enter_crashes",
    "A machine that crashes when it enters a state ends.",
    machine("m", state_enter=True, enter={"two": [raises("boom")]}),
    cast("test", "m", "go", goto("two")),
)
machines(
    "enter_stops",
    "A machine may stop when it enters a state.",
    machine("m", state_enter=True, enter={"two": [stops("shutdown")]}),
    cast("test", "m", "go", goto("two")),
)

# --- timeouts ------------------------------------------------------------------------------------

machines(
    "state_timeout",
    "A state timeout comes when the state lasts.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(100, "over"))),
    advance(200),
)
machines(
    "state_timeout_and_events",
    "A state timeout runs on while events come.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(200, "over"))),
    advance(100),
    cast("test", "m", "look"),
    advance(200),
)
machines(
    "state_timeout_is_cancelled_by_a_change",
    "A change of the state cancels the state timeout.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(200, "over"))),
    cast("test", "m", "on", goto("three")),
    advance(300),
)
machines(
    "state_timeout_and_same_state",
    "A change to the same state does not cancel the state timeout.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(200, "over"))),
    cast("test", "m", "same", goto("two")),
    cast("test", "m", "again", repeat()),
    advance(300),
)
machines(
    "state_timeout_is_replaced",
    "A new state timeout replaces the one that runs.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(100, "first"))),
    cast("test", "m", "set", keep_state(state_timeout(300, "second"))),
    advance(200),
    advance(200),
)
machines(
    "state_timeout_is_cancelled",
    "A state timeout can be cancelled.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(100, "over"))),
    cast("test", "m", "set", keep_state(state_timeout("infinity", "never"))),
    advance(200),
)
machines(
    "state_timeout_is_updated",
    "A state timeout can be given another content, and keeps its time.",
    machine("m"),
    cast("test", "m", "go", goto("two", state_timeout(200, "first"))),
    advance(100),
    cast("test", "m", "set", keep_state(state_timeout("update", "second"))),
    advance(200),
)
machines(
    "state_timeout_of_zero",
    "A state timeout of 0 comes before the messages that wait.",
    machine("m"),
    do(
        "test",
        op(cast("test", "m", "go", sleep(100), goto("two", state_timeout(0, "now")))),
        op(cast("test", "m", "waiting")),
    ),
    advance(200),
)
machines(
    "event_timeout",
    "An event timeout comes when no event comes.",
    machine("m"),
    cast("test", "m", "go", keep_state(event_timeout(100, "over"))),
    advance(200),
)
machines(
    "event_timeout_is_cancelled_by_an_event",
    "Any event cancels the event timeout.",
    machine("m"),
    cast("test", "m", "go", keep_state(event_timeout(200, "over"))),
    cast("test", "m", "look"),
    advance(300),
)
machines(
    "named_timeout",
    "A named timeout comes whatever happens.",
    machine("m"),
    cast("test", "m", "go", keep_state(named_timeout("n", 200, "over"))),
    cast("test", "m", "on", goto("two")),
    advance(300),
)
machines(
    "named_timeouts",
    "Several named timeouts run at the same time; one is cancelled.",
    machine("m"),
    cast("test", "m", "go", keep_state(named_timeout("a", 300, "a"), named_timeout("b", 100, "b"))),
    cast("test", "m", "also", keep_state(named_timeout("c", 200, "c"))),
    cast("test", "m", "not", keep_state(named_timeout("c", "infinity", "never"))),
    advance(400),
)
machines(
    "timeout_of_init",
    "init may set timeouts.",
    machine("m", goto("one", state_timeout(100, "over"))),
    advance(200),
)
machines(
    "timeouts_end_with_the_machine",
    "The timeouts of a machine end with it.",
    machine("m"),
    cast("test", "m", "go", keep_state(named_timeout("n", 100, "over"))),
    stop("test", "m"),
    advance(200),
)
