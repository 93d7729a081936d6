# SPDX-License-Identifier: MIT
"""Tasks and task supervisors, as Elixir's."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    advance,
    alive,
    answer,
    crash,
    do,
    exit,
    finish,
    leave,
    op,
    raises,
    send,
    sleep,
    spawn,
    stop,
    trap,
)
from tests.conformance.scenario_elixir import (
    await_,
    await_many,
    dynamic_children,
    dynamic_count,
    item,
    stream,
    task,
    task_ignore,
    task_shutdown,
    yield_,
    yield_many,
)
from tests.conformance.scenario_elixir import tasks as task_supervisor

tasks = Theme("tasks")

# --- async and await -----------------------------------------------------------------------------

tasks(
    "await_result",
    "await returns what the task's function returned.",
    task_supervisor("t"),
    do("test", op(task("x", answer(7))), op(await_("x"))),
)

tasks(
    "await_waits",
    "await waits until the task is done.",
    task_supervisor("t"),
    task("x", sleep(150), answer(7)),
    await_("x"),
    advance(250),
)
tasks(
    "await_result_that_is_there",
    "A result that came before is there for await.",
    task_supervisor("t"),
    do("test", op(task("x", answer(7))), sleep(100), op(await_("x"))),
    advance(200),
)

tasks(
    "result_is_no_message",
    "What the owner of a task finds in its mailbox.",
    task_supervisor("t"),
    spawn("o"),
    task("x", answer(7), by="o"),
    task("y", raises("boom"), by="o"),
    send("test", "o", "hello"),
)
tasks(
    "await_crash",
    "await of a task that crashed exits with its reason.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(100), raises("boom"))), op(await_("x"))),
    advance(200),
)
tasks(
    "await_exit",
    "await of a task that left exits with its reason.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(100), op(leave("x", ("shutdown", "tired"))))), op(await_("x"))),
    advance(200),
)
tasks(
    "await_killed",
    "await of a task that was killed exits with killed.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(task("x", sleep(60_000))), op(await_("x"))),
    exit("test", "x", "kill"),
)
tasks(
    "await_timeout",
    "await gives up when the time is over; the task goes on.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(300), answer(7))), op(await_("x", 100))),
    advance(200),
    alive("test", "x"),
    advance(200),
)
tasks(
    "linked_task_crashes",
    "A linked task that crashes takes its owner along.",
    task_supervisor("t"),
    spawn("o"),
    task("x", sleep(100), raises("boom"), by="o", how="link"),
    advance(200),
)
tasks(
    "linked_task_crashes_and_is_trapped",
    "An owner that traps exits hears of a linked task's crash, and await exits.",
    task_supervisor("t"),
    spawn("o", trap=True),
    do("o", op(task("x", sleep(100), raises("boom"), how="link")), op(await_("x"))),
    advance(200),
)
tasks(
    "linked_task_ends_with_its_owner",
    "A linked task ends with its owner.",
    task_supervisor("t"),
    spawn("o"),
    task("x", sleep(60_000), by="o", how="link"),
    crash("o"),
)
tasks(
    "unlinked_task_outlives_its_owner",
    "A task without link outlives its owner.",
    task_supervisor("t"),
    spawn("o"),
    task("x", sleep(200), by="o"),
    crash("o"),
    advance(300),
)
tasks(
    "tasks_run_at_the_same_time",
    "Tasks run at the same time.",
    task_supervisor("t"),
    task("x", sleep(150), answer("x")),
    task("y", sleep(150), answer("y")),
    do("test", op(await_("y")), op(await_("x"))),
    advance(250),
)
tasks(
    "await_many",
    "await_many returns the results in the order of the tasks.",
    task_supervisor("t"),
    do(
        "test",
        op(task("x", sleep(200), answer("x"))),
        op(task("y", sleep(100), answer("y"))),
        op(await_many("x", "y")),
    ),
    advance(300),
)
tasks(
    "await_many_timeout",
    "await_many gives up when not all are done in time.",
    task_supervisor("t"),
    do(
        "test",
        op(task("x", sleep(300), answer("x"))),
        op(task("y", sleep(100), answer("y"))),
        op(await_many("x", "y", timeout=200)),
    ),
    advance(250),
)

# --- yield and shutdown --------------------------------------------------------------------------

tasks(
    "yield_nothing_yet",
    "yield tells that there is no result yet, and can be asked again.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(150), answer(7))), op(yield_("x", 50)), op(yield_("x", 300))),
    advance(400),
)
tasks(
    "yield_exit",
    "yield tells how a task exited.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(100), raises("boom"))), op(yield_("x", 200))),
    advance(300),
)
tasks(
    "yield_many",
    "yield_many tells what all tasks came to in time.",
    task_supervisor("t"),
    do(
        "test",
        op(task("x", sleep(100), answer("x"))),
        op(task("y", sleep(60_000))),
        op(task("z", sleep(100), raises("boom"))),
        op(yield_many("x", "y", "z", timeout=200)),
    ),
    advance(300),
)

tasks(
    "shutdown_running",
    "shutdown of a task that runs ends it, and tells nothing.",
    task_supervisor("t"),
    do("test", op(task("x", sleep(60_000))), op(task_shutdown("x"))),
)
tasks(
    "shutdown_result",
    "shutdown of a task that has a result tells it.",
    task_supervisor("t"),
    do("test", op(task("x", answer(7))), sleep(100), op(task_shutdown("x"))),
    advance(200),
)
tasks(
    "shutdown_crashed",
    "shutdown of a task that has crashed tells its reason.",
    task_supervisor("t"),
    do("test", op(task("x", raises("boom"))), sleep(100), op(task_shutdown("x"))),
    advance(200),
)
tasks(
    "shutdown_brutal",
    "A brutal shutdown kills the task.",
    task_supervisor("t"),
    do("test", op(task("x", op(trap("x")), sleep(60_000))), op(task_shutdown("x", "brutal_kill"))),
)
tasks(
    "shutdown_linked",
    "shutdown of a linked task does not touch its owner.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(task("x", sleep(60_000), how="link")), op(task_shutdown("x"))),
    alive("test", "o"),
)
tasks(
    "ignore_running",
    "ignore lets a task run on; its owner hears nothing of it.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(task("x", sleep(100), raises("boom"), how="link")), op(task_ignore("x"))),
    advance(200),
    send("test", "o", "hello"),
)

# --- the supervisor ------------------------------------------------------------------------------

tasks(
    "supervisor_stops_tasks",
    "A task supervisor that stops ends its tasks.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(task("x", sleep(60_000))), sleep(60_000)),
    exit("test", "t", "shutdown"),
)

tasks(
    "supervisor_forgets_tasks",
    "A task that is done is no child any more.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(task("x", sleep(100))), sleep(60_000)),
    dynamic_count("t"),
    dynamic_children("t"),
    advance(200),
    dynamic_count("t"),
)

tasks(
    "crash_does_not_count",
    "Tasks that crash are no restarts.",
    task_supervisor("t"),
    spawn("o"),
    do("o", *[op(task(label, raises("boom"))) for label in ("u", "v", "w", "x", "y")], sleep(60_000)),
    dynamic_count("t"),
)

tasks(
    "max_children",
    "No more than max_children tasks run.",
    task_supervisor("t", max_children=1),
    spawn("o"),
    do("o", op(task("x", sleep(200), answer(1))), op(task("y", answer(2))), op(await_("x"))),
    advance(300),
)
tasks(
    "supervisor_is_gone",
    "A task on a supervisor that is gone exits with noproc.",
    task_supervisor("t"),
    stop("test", "t"),
    task("x", answer(1)),
)

# --- streams -------------------------------------------------------------------------------------

tasks(
    "stream",
    "A stream gives the results in the order of the items.",
    task_supervisor("t"),
    stream(item("x", sleep(200), answer("x")), item("y", sleep(100), answer("y")), item("z", answer("z"))),
    advance(400),
)
tasks(
    "stream_unordered",
    "An unordered stream gives the results as they come.",
    task_supervisor("t"),
    stream(
        item("x", sleep(300), answer("x")),
        item("y", sleep(100), answer("y")),
        item("z", sleep(100), answer("z")),
        ordered=False,
    ),
    advance(400),
)
tasks(
    "stream_is_empty",
    "A stream without items is over at once.",
    task_supervisor("t"),
    stream(),
)
tasks(
    "stream_max_concurrency",
    "No more than max_concurrency tasks run.",
    task_supervisor("t"),
    spawn("o"),
    stream(
        *[item(label, sleep(150), answer(label)) for label in ("x", "y", "z")],
        max_concurrency=1,
        by="o",
    ),
    advance(75),
    dynamic_children("t"),
    advance(150),
    dynamic_children("t"),
    advance(400),
)
tasks(
    "stream_crash",
    "A task of a stream without links that crashes is an outcome among the others.",
    task_supervisor("t"),
    stream(item("x", answer("x")), item("y", raises("boom")), item("z", answer("z")), max_concurrency=1),
)
tasks(
    "stream_linked_crash",
    "A task of a linked stream that crashes takes the consumer along.",
    task_supervisor("t"),
    spawn("o"),
    stream(item("x", answer("x")), item("y", raises("boom")), max_concurrency=1, by="o", how="link"),
)
tasks(
    "stream_timeout_exits",
    "A stream whose task takes too long exits the consumer.",
    task_supervisor("t"),
    spawn("o"),
    do("o", op(stream(item("x", sleep(60_000)), item("y", sleep(60_000)), timeout=100)), op(finish("o"))),
    advance(200),
)

tasks(
    "stream_timeout_kills_task",
    "With on_timeout kill_task a task that takes too long is killed, and that is its outcome.",
    task_supervisor("t"),
    stream(item("x", sleep(60_000)), item("y", answer("y")), timeout=100, on_timeout="kill_task", max_concurrency=1),
    advance(200),
)
tasks(
    "stream_ends_with_its_consumer",
    "The tasks of a linked stream end with the consumer.",
    task_supervisor("t"),
    spawn("o"),
    stream(item("x", sleep(60_000)), item("y", sleep(60_000)), by="o", how="link"),
    exit("test", "o", "kill"),
)
tasks(
    "stream_without_links_and_its_consumer",
    "The tasks of a stream without links, when the consumer ends.",
    task_supervisor("t"),
    spawn("o"),
    stream(item("x", sleep(60_000)), item("y", sleep(60_000)), by="o"),
    exit("test", "o", "kill"),
)
