# SPDX-License-Identifier: MIT
"""What a queue counts, and the alarm when too much comes at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from stanchion.dead_letters import DeadLetter, DeadLetterQueue, Growth, GrowthAlarm, QueueStatistics
from stanchion.errors import InvalidOptionError
from stanchion.telemetry import LETTERS_GROWTH
from tests.dead_letters.support import Host, WallClock


class SteadyClock(WallClock):
    """A clock whose seconds a test counts."""

    seconds = 500.0

    def monotonic(self) -> float:
        return self.seconds


class Growing:
    """A queue with an alarm at three letters in ten seconds, and what it told."""

    def __init__(self, alarm: GrowthAlarm | None = None) -> None:
        self.host = Host()
        self.clock = self.host.clock = SteadyClock()
        self.hooked: list[Growth] = []
        self.told: list[dict[str, object]] = []
        self.host.telemetry.attach(LETTERS_GROWTH, lambda _, measured, about: self.told.append({**measured, **about}))
        self.letters = DeadLetterQueue(
            "memory:", growth=GrowthAlarm(3, 10) if alarm is None else alarm, on_growth=self.hooked.append
        )

    async def add_at(self, *times: float) -> None:
        for at in times:
            self.clock.seconds = at
            await self.letters.add(recipient="a", message="hi", reason="noproc")
        await asyncio.sleep(0)


async def test_alarm_is_raised_when_letters_come_too_fast(caplog: pytest.LogCaptureFixture) -> None:
    growing = Growing()
    await growing.letters.open(growing.host)
    await growing.add_at(0, 4)
    assert growing.hooked == []
    await growing.add_at(9.5)
    assert growing.hooked == [Growth(3, 9.5)]
    assert growing.told == [{"letters": 3, "seconds": 9.5, "store": "memory:"}]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "3 dead letters were added within 9.5 s"
    ]
    await growing.letters.close()


async def test_alarm_is_not_raised_when_letters_come_slowly() -> None:
    growing = Growing()
    await growing.letters.open(growing.host)
    await growing.add_at(0, 6, 12, 18, 24)
    assert growing.hooked == []
    await growing.letters.close()


async def test_alarm_counts_over_any_stretch_of_time() -> None:
    growing = Growing()
    await growing.letters.open(growing.host)
    await growing.add_at(0, 9, 11, 12)
    assert growing.hooked == [Growth(3, 3)]
    await growing.letters.close()


async def test_alarm_is_raised_once_in_a_window() -> None:
    growing = Growing()
    await growing.letters.open(growing.host)
    await growing.add_at(*(number / 10 for number in range(50)))
    assert growing.hooked == [Growth(3, 0.2)]
    await growing.add_at(10.1)
    assert len(growing.hooked) == 1
    await growing.add_at(10.3)
    assert len(growing.hooked) == 2
    await growing.letters.close()


async def test_alarm_leaves_out_what_people_do() -> None:
    growing = Growing(GrowthAlarm(2, 10))
    await growing.letters.open(growing.host)
    id = await growing.letters.add(recipient="a", message="hi", reason="noproc")
    for _ in range(5):
        id = await growing.letters.replay(id)
    assert growing.hooked == []
    await growing.letters.close()


async def test_no_alarm_is_raised_when_there_is_none() -> None:
    async with DeadLetterQueue("memory:", growth=None) as letters:
        for _ in range(3):
            await letters.add(recipient="a", message="hi", reason="noproc")


async def test_statistics_count_what_the_queue_did_since_it_opened() -> None:
    letters = DeadLetterQueue("memory:", max_attempts=2)
    async with letters:
        first, second, third, fourth = [
            await letters.add(recipient="a", message="hi", reason="noproc") for _ in range(4)
        ]
        await letters.replay(first)
        for id in (second, third, fourth):
            await letters.retry(id)
        await letters.claim_due()
        await letters.delivered(second)
        await letters.failed(third, reason="timeout")
        await letters.failed(fourth, reason="timeout", final=True)
        await letters.purge()
        assert letters.statistics() == QueueStatistics(
            stored=5, redelivered=1, failed=2, exhausted=1, discarded=1, purged=2
        )
    async with letters:
        assert letters.statistics() == QueueStatistics()


async def test_exhausted_letters_are_logged_ten_times_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    hooked: list[DeadLetter] = []
    async with DeadLetterQueue("memory:", on_exhausted=hooked.append) as letters:
        for _ in range(25):
            await letters.add(recipient="<shop.1>", message="hi", reason="noproc", redeliverable=False)
    assert len(hooked) == 25
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 11
    assert lines[-1] == "15 more dead letters were exhausted within 10 s"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"letters": 0}, "GrowthAlarm: letters: expected a whole number >= 1, got 0"),
        ({"window": 0}, "GrowthAlarm: window: expected more than 0 seconds, got 0"),
        ({"window": -1}, "GrowthAlarm: window: expected seconds >= 0 as a finite number, or a timedelta, got -1"),
    ],
)
def test_an_alarm_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        GrowthAlarm(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"growth": 5}, "DeadLetterQueue: growth: expected an instance of GrowthAlarm, got 5"),
        ({"on_growth": 5}, "DeadLetterQueue: on_growth: expected a callable or None, got 5"),
    ],
)
def test_a_queue_refuses_what_is_no_alarm(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        DeadLetterQueue("memory:", **options)
    assert str(caught.value) == text


def test_an_alarm_shows_what_it_is_raised_at() -> None:
    assert repr(GrowthAlarm()) == "GrowthAlarm(letters=1000, window=60)"
