# SPDX-License-Identifier: MIT
"""Places in the code, as text."""

from __future__ import annotations

import asyncio
import re

from stanchion.kernel import caller, place_of, task_place, waits_at
from tests.kernel.helpers import sleeper


def made_here():
    return caller()


def made_two_up():
    return made_further_up()


def made_further_up():
    return caller(2)


def test_site_is_where_the_function_was_called():
    line = test_site_is_where_the_function_was_called.__code__.co_firstlineno
    assert place_of(made_here()) == f"{__file__}:{line + 2}"
    assert place_of(made_two_up()) == f"{__file__}:{line + 3}"


def test_site_with_an_offset_that_no_line_has_is_where_its_code_begins():
    code = made_here.__code__
    assert place_of((code, 10_000)) == f"{__file__}:{code.co_firstlineno}"


async def test_task_waits_from_the_outermost_await_to_the_innermost():
    task = asyncio.create_task(sleeper())
    assert re.fullmatch(r"\S+helpers\.py:\d+", waits_at(task))  # its first line, since it has not begun
    await asyncio.sleep(0)
    assert re.fullmatch(r"\S+helpers\.py:\d+ > \S+locks\.py:\d+", waits_at(task))
    task.cancel()
    await asyncio.wait([task])
    assert waits_at(task) == "its start"


async def test_task_was_made_outside_of_asyncio():
    task = asyncio.create_task(sleeper())
    assert re.fullmatch(r"\S+test_sites\.py:\d+", task_place(task) or "")
    task.cancel()


def test_task_knows_not_where_it_was_made_outside_of_debug_mode():
    async def main():
        return task_place(asyncio.current_task())

    assert asyncio.run(main(), debug=False) is None
