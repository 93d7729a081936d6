# SPDX-License-Identifier: MIT
"""Random registrations and exits, against a list of entries that every operation walks through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stanchion.errors import KeyTakenError
from stanchion.kernel import Pid
from stanchion.registry import Entry, Registry
from tests.kernel.helpers import process_of
from tests.registry.helpers import Worker, new_node, registry

WORKERS = 3
KEYS = "ab"

Verb = Literal["register", "unregister", "unregister_match", "update_value", "exit"]


class Step(NamedTuple):
    """One operation: who, with which key and value."""

    verb: Verb
    worker: int
    key: str
    value: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(("register", "register", "register", "unregister", "unregister_match", "update_value", "exit")),
        st.integers(0, WORKERS - 1),
        st.sampled_from(KEYS),
        st.integers(0, 3),
    ),
    max_size=30,
)


class Model:
    """What the registry must have: all entries, in the order of registration."""

    def __init__(self, *, unique: bool) -> None:
        self.unique = unique
        self.entries: list[Entry] = []

    def under(self, key: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.key == key]

    def of(self, pid: Pid) -> list[Entry]:
        return [entry for entry in self.entries if entry.pid is pid]

    def register(self, entry: Entry) -> bool:
        if self.unique and self.under(str(entry.key)):
            return False
        self.entries.append(entry)
        return True

    def drop(self, goes: Callable[[Entry], bool]) -> None:
        self.entries = [entry for entry in self.entries if not goes(entry)]


async def run(step: Step, workers: list[Worker], model: Model) -> None:
    """Do one step in the registry and in the model."""
    verb, number, key, value = step
    worker = workers[number]
    pid = worker.pid
    if verb == "register":
        if model.register(Entry(key, pid, value)):
            await worker.do(Registry.register, "registry", key, value)
        else:
            with pytest.raises(KeyTakenError) as caught:
                await worker.do(Registry.register, "registry", key, value)
            assert [caught.value.pid] == [entry.pid for entry in model.under(key)]
    elif verb == "unregister":
        await worker.do(Registry.unregister, "registry", key)
        model.drop(lambda entry: (entry.key, entry.pid) == (key, pid))
    elif verb == "unregister_match":
        await worker.do(Registry.unregister_match, "registry", key, lambda found: found == value)
        model.drop(lambda entry: entry == (key, pid, value))
    elif verb == "exit":
        await worker.killed()
        workers[number] = Worker()
        model.drop(lambda entry: entry.pid is pid)
    elif model.unique and any(entry.key == key for entry in model.of(pid)):
        await worker.do(Registry.update_value, "registry", key, lambda _: value)
        model.entries = [
            entry._replace(value=value) if (entry.key, entry.pid) == (key, pid) else entry for entry in model.entries
        ]


def check(workers: list[Worker], model: Model, registry_pid: Pid) -> None:
    """Compare everything that can be seen."""
    assert Registry.count("registry") == len(model.entries)
    assert sorted(Registry.select("registry"), key=repr) == sorted(model.entries, key=repr)
    for key in KEYS:
        assert Registry.lookup("registry", key) == [(entry.pid, entry.value) for entry in model.under(key)]
        if model.unique:
            holders = [entry.pid for entry in model.under(key)]
            assert Registry.via("registry", key).whereis() is (holders[0] if holders else None)
    linked = process_of(registry_pid).links or {}
    for worker in workers:
        mine = model.of(worker.pid)
        assert Registry.keys("registry", worker.pid) == [entry.key for entry in mine]
        assert (process_of(worker.pid) in linked) is bool(mine)
        assert bool(process_of(worker.pid).owned) is bool(mine)


cases = given(unique=st.booleans(), steps=STEPS)


async def compare(*, unique: bool, steps: list[Step]) -> None:
    """Take the steps with a registry and with its model, and compare after each."""
    async with new_node(clock=None):
        pid = await registry("unique" if unique else "duplicate")
        workers = [Worker() for _ in range(WORKERS)]
        model = Model(unique=unique)
        for step in steps:
            await run(step, workers, model)
            check(workers, model, pid)


@settings(max_examples=150)
@cases
async def test_registry_has_what_a_list_of_entries_has(unique: bool, steps: list[Step]) -> None:
    await compare(unique=unique, steps=steps)
