# SPDX-License-Identifier: MIT
"""The order of ready tasks comes from the seed, and from nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextvars import ContextVar
from functools import partial
from itertools import permutations
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.testing import Probe, SeededLoop, run_isolated, wait_quiet
from tests.testing.servers import Account, deposit


def run(main, seed):
    with asyncio.Runner(loop_factory=partial(SeededLoop, seed)) as runner:
        return runner.run(main())


async def letters() -> str:
    log = []

    async def note(letter):
        log.append(letter)
        await asyncio.sleep(0)
        log.append(letter.upper())

    await asyncio.gather(*map(note, "abc"))
    return "".join(log)


def test_same_seed_gives_the_same_order_and_each_order_has_a_seed():
    orders = [run(letters, seed) for seed in range(2_000)]
    assert orders == [run(letters, seed) for seed in range(2_000)]
    possible = {
        "".join(order)
        for order in permutations("abcABC")
        if all(order.index(letter) < order.index(letter.upper()) for letter in "abc")
    }
    assert set(orders) == possible


PROGRAM = """
import asyncio
import stanchion as st
from stanchion.testing import run_isolated

async def main():
    log = []
    async def worker(name):
        for _ in range(3):
            await asyncio.sleep(0)
            log.append(name)
        raise ValueError
    async with st.Node("inner", block_threshold=None):
        for name in {"red", "green", "blue"} and ["red", "green", "blue"]:
            st.spawn(worker, name)
        try:
            async with asyncio.TaskGroup() as group:  # it keeps its tasks in a set
                for number in range(8):
                    group.create_task(worker(number))
        except* ValueError:
            pass
    return log

import logging
logging.disable()
print([run_isolated(main, seed=seed) for seed in range(20)])
"""


def test_order_is_the_same_in_every_python_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert "red" in outputs.pop()


async def two_deposits() -> object:
    account = await st.start(Account)
    st.spawn(deposit, account)
    st.spawn(deposit, account)
    await wait_quiet()
    return await st.call(account, "balance")


def test_race_shows_for_some_seed_and_that_seed_shows_it_again():
    balances = {seed: run_isolated(two_deposits, seed=seed) for seed in range(50)}
    assert set(balances.values()) == {1, 2}
    wrong = next(seed for seed, balance in balances.items() if balance == 1)
    assert [run_isolated(two_deposits, seed=wrong) for _ in range(5)] == [1] * 5


async def four_senders():
    probe = Probe()

    async def sender(name: str) -> None:
        for number in range(5):
            st.cast(probe.pid, (name, number))
            await asyncio.sleep(0)

    for name in "abcd":
        st.spawn(sender, name)
    await wait_quiet()
    return probe.messages


def test_messages_of_one_sender_keep_their_order_whatever_the_seed():
    orders = [run_isolated(four_senders, seed=seed) for seed in range(50)]
    order: Any
    for order in orders:
        for name in "abcd":
            assert [number for sender, number in order if sender == name] == [0, 1, 2, 3, 4]
    assert len({tuple(order) for order in orders}) == 50


def test_callbacks_keep_their_order_and_their_context():
    async def main():
        loop, log, variable = asyncio.get_running_loop(), [], ContextVar("variable")
        for number in range(10):
            variable.set(number)
            loop.call_soon(lambda: log.append(variable.get()))
        await asyncio.sleep(0)
        return log

    for seed in range(10):
        assert run(main, seed) == list(range(10))


def test_cancelling_a_task_by_a_callback_is_no_step_of_it():
    async def main():
        loop, log = asyncio.get_running_loop(), []
        task = asyncio.create_task(asyncio.sleep(60))
        loop.call_soon(log.append, 1)
        loop.call_soon(task.cancel)
        loop.call_soon(lambda: log.append(task.cancelling()))
        await asyncio.wait([task])
        return log

    for seed in range(10):
        assert run(main, seed) == [1, 1]


def test_task_keeps_its_own_context():
    variable = ContextVar("variable", default="none")

    async def body(value):
        variable.set(value)
        await asyncio.sleep(0)
        return variable.get()

    async def main():
        return await asyncio.gather(*map(body, "abc")), variable.get()

    assert run(main, 3) == (["a", "b", "c"], "none")


def test_choices_of_the_test_come_from_the_seed_and_do_not_change_the_order():
    async def main(choices: int):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        drawn = [loop.random.random() for _ in range(choices)]
        return drawn, await letters()

    drawn, order = run(lambda: main(3), 7)
    assert (drawn, order) == run(lambda: main(3), 7)
    assert run(lambda: main(0), 7) == ([], order)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True])
def test_seed_must_be_a_whole_number(seed):
    with pytest.raises(InvalidOptionError) as caught:
        SeededLoop(seed)
    assert str(caught.value) == f"SeededLoop(seed): expected a whole number >= 0, got {seed!r}"
