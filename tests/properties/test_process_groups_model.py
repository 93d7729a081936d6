# SPDX-License-Identifier: MIT
"""Random joins, leaves and exits, against counters, and against what a monitor tells."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from stanchion.kernel import Pid
from stanchion.registry import Joined, Left, ProcessGroups
from tests.kernel.helpers import process_of
from tests.registry.helpers import Worker, new_node, scope

WORKERS = 3
GROUPS = "ab"

Step = tuple[Literal["join", "leave", "exit"], str, list[int]]
View = dict[str, Counter[Pid]]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("join", "join", "leave", "exit")),
        st.sampled_from(GROUPS),
        st.lists(st.integers(0, WORKERS - 1), max_size=4),
    ),
    max_size=30,
)


async def run(step: Step, workers: list[Worker], model: View) -> None:
    """Do one step with the groups and with the model."""
    verb, group, numbers = step
    pids = [workers[number].pid for number in numbers]
    if verb == "join":
        ProcessGroups.join(group, pids)
        model[group].update(pids)
    elif verb == "leave":
        left = +(model[group] & Counter(pids))
        assert ProcessGroups.leave(group, pids) is bool(left)
        model[group] -= left
    else:
        for number in set(numbers):
            gone = workers[number]
            await gone.killed()
            workers[number] = Worker()
            for members in model.values():
                del members[gone.pid]


def follow(view: View, messages: list[object]) -> None:
    """Do in a view what the messages of a monitor say."""
    for message in messages:
        if isinstance(message, Joined):
            view[str(message.group)].update(message.pids)
        elif isinstance(message, Left):
            view[str(message.group)].subtract(message.pids)


cases = given(steps=STEPS)


async def compare(steps: list[Step]) -> None:
    """Take the steps with the groups, with the model and with what a monitor tells, and compare after each."""
    async with new_node(clock=None):
        await scope()
        watcher = Worker()
        await watcher.do(ProcessGroups.monitor_scope)
        workers = [Worker() for _ in range(WORKERS)]
        model: View = {group: Counter() for group in GROUPS}
        view: View = {group: Counter() for group in GROUPS}
        for step in steps:
            await run(step, workers, model)
            follow(view, await watcher.all_heard())
            assert view == model
            for group, members in model.items():
                assert Counter(ProcessGroups.get_members(group)) == members
            assert set(ProcessGroups.which_groups()) == {group for group in GROUPS if model[group].total()}
            for worker in workers:
                joined = any(members[worker.pid] for members in model.values())
                assert bool(process_of(worker.pid).owned) is joined


@settings(max_examples=150)
@cases
async def test_groups_have_what_counters_have_and_a_monitor_tells_it_all(steps: list[Step]) -> None:
    await compare(steps)
