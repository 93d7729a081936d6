# SPDX-License-Identifier: MIT
"""A campaign: processes work on a database and are killed, and after each kill another one looks what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec

from tests.crash.databases import ExaminedDatabase
from tests.crash.journal import Journal, read
from tests.crash.processes import Child, Kill, Say, die_at_step
from tests.crash.target import Life, Report, Target

MOST_PROBLEMS: Final = 10


class Result(msgspec.Struct):
    """What a campaign came to.

    Attributes:
        target: What was killed.
        store: The kind of database.
        kills: How many processes were killed.
        moments: The same by ``Kill.when``.
        promised: Calls that had returned before a kill, and whose promise was looked after.
        undecided: Calls that were under way at a kill.
        duplicates: Messages that were handled again, where that is allowed.
        problems: What must not be: what was promised and is not there, above all.
        seed: Where each random choice came from.
        seconds: How long it took.
    """

    target: str
    store: str
    seed: int
    kills: int = 0
    moments: dict[str, int] = {}
    promised: int = 0
    undecided: int = 0
    duplicates: int = 0
    seconds: float = 0.0
    problems: list[str] = []


class Plan(NamedTuple):
    """What a campaign is to do.

    Attributes:
        name: The target's name.
        target: What is killed.
        store: The kind of database.
        database: Makes the database of a number.
        folder: Where journals go.
        kills: How many processes are killed, at least.
        seed: Where each random choice comes from.
        fault: Called in each process that works: what breaks the code on purpose.
    """

    name: str
    target: Target
    store: str
    database: Callable[[int], ExaminedDatabase]
    folder: Path
    kills: int
    seed: int
    fault: Callable[[], object]


def run(plan: Plan) -> Result:
    """Return what became of it; it ends at the first database that has a problem."""
    result, started, number = Result(plan.name, plan.store, plan.seed), time.monotonic(), 0
    while result.kills < plan.kills and not result.problems:
        number += 1
        _History(plan, number, result).run()
    result.seconds = round(time.monotonic() - started, 1)
    return result


class _History:
    """One database from its beginning, with the processes that are killed over it."""

    def __init__(self, plan: Plan, number: int, result: Result) -> None:
        self._plan = plan
        self._result = result
        self._random = Random(f"{plan.seed}/{number}")
        self._database = plan.database(number)
        self._path = plan.folder / f"{number}.journal"
        self._errors = plan.folder / f"{number}.stderr"
        self._journal = Journal(self._path, life=0)
        self._lives = 0
        self._rounds = 0
        self._latest = Report()

    def run(self) -> None:
        """Kill until it has had its rounds; then let it finish, and finish again, which must change nothing."""
        self._prepare()
        while self._rounds < self._plan.target.rounds and self._result.kills < self._plan.kills:
            self._next_round()
            self._kill()
            if not self._is_sound() or self._latest.finished:
                break
        if self._is_sound() and self._finish() and self._is_sound():
            before = self._in_child(self._dump)
            if self._finish() and self._is_sound() and self._in_child(self._dump) != before:
                self._object("a second recovery changed what is stored")
        self._result.promised += self._latest.promised
        self._result.duplicates += self._latest.duplicates
        self._journal.close()
        if not self._result.problems:
            self._discard()

    # --- steps, each in a process of its own ------------------------------------------------------

    def _prepare(self) -> None:
        seed = self._random.random()

        async def prepare(_say: Say) -> None:
            await self._database.create()
            await self._plan.target.prepare(self._database, self._journal, Random(seed))

        self._in_child(prepare)

    def _kill(self) -> None:
        """Let processes work at once, and kill each at a moment of its own."""
        target = self._plan.target
        working: list[tuple[int, Kill, Child]] = []
        for _ in range(target.processes(self._random)):
            kill, life = target.kill(self._random), self._next_life()
            working.append((self._lives, kill, Child(self._work(kill, life), self._errors)))
        for number, kill, child in working:
            try:
                child.kill(kill, partial(self._journal.note, "dying", number=number))
            except RuntimeError as error:
                self._object(str(error))
            self._result.kills += 1
            self._result.moments[kill.when] = self._result.moments.get(kill.when, 0) + 1

    def _work(self, kill: Kill, life: Callable[[Say], Life]) -> Callable[[Say], Coroutine[object, object, None]]:
        async def work(say: Say) -> None:
            mine = life(say)
            if kill.when == "step":
                die_at_step(int(kill.value), partial(mine.journal.note, "dying", number=mine.number))
            self._plan.fault()
            await self._plan.target.work(mine)

        return work

    def _finish(self) -> bool:
        self._next_round()
        life = self._next_life()

        async def finish(say: Say) -> None:
            self._plan.fault()
            await self._plan.target.finish(life(say))

        return self._in_child(finish) is not None

    def _is_sound(self) -> bool:
        """Look what is there; tell whether nothing is wrong."""

        async def check(say: Say) -> None:
            await self._database.settle()
            report = await self._plan.target.check(self._database, list(read(self._path)), self._journal)
            report.problems += await self._database.problems()
            say(msgspec.json.encode(report))

        if self._result.problems:
            return False
        found = self._in_child(check)
        if found is not None:
            self._latest = msgspec.json.decode(found, type=Report)
            self._result.undecided += self._latest.undecided
            for problem in self._latest.problems[:MOST_PROBLEMS]:
                self._object(problem)
        return not self._result.problems

    async def _dump(self, say: Say) -> None:
        await self._database.settle()
        say((await self._database.dump()).encode())

    def _discard(self) -> None:
        async def discard(_say: Say) -> None:
            await self._database.discard()

        self._in_child(discard)
        self._path.unlink()
        self._errors.unlink(missing_ok=True)

    # --- how --------------------------------------------------------------------------------------

    def _next_round(self) -> None:
        self._rounds += 1
        self._journal.note("round")

    def _next_life(self) -> Callable[[Say], Life]:
        """Return what makes, in the process that it is for, what that process is given."""
        self._lives += 1
        number, rounds, seed = self._lives, self._rounds, self._random.random()

        def life(say: Say) -> Life:
            journal = Journal(self._path, number)
            return Life(number, rounds, self._database.url, journal, Random(seed), lambda: say(b"at work"))

        return life

    def _in_child(self, main: Callable[[Say], Coroutine[object, object, None]]) -> bytes | None:
        """Return what a process says that runs ``main``; None when it fails, which is a problem."""
        try:
            return Child(main, self._errors).result()
        except RuntimeError as error:
            self._object(str(error))
            return None

    def _object(self, problem: str) -> None:
        self._result.problems.append(f"{self._database.url}, round {self._rounds}: {problem}")
