# SPDX-License-Identifier: MIT
from __future__ import annotations

from uuid import UUID

import pytest

from stanchion._ids import TimeIds, first_id


def test_ids_are_uuids_of_version_7_that_carry_their_time() -> None:
    id = UUID(TimeIds().next(1700000000.123))
    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert id.int >> 80 == 1700000000123


def test_ids_grow_when_thousands_are_made_in_one_millisecond() -> None:
    ids = TimeIds()
    made = [ids.next(1700000000.0) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert {UUID(id).version for id in made} == {7}


def test_ids_grow_when_the_clock_steps_back() -> None:
    ids = TimeIds()
    first = ids.next(1700000000.0)
    assert ids.next(1600000000.0) > first


def test_ids_sort_by_time_between_makers() -> None:
    assert TimeIds().next(1700000000.0) < TimeIds().next(1700000000.001)


def test_ids_differ_between_makers_at_the_same_time() -> None:
    assert TimeIds().next(1700000000.0) != TimeIds().next(1700000000.0)


def test_first_id_is_at_or_before_each_id_of_its_time_and_behind_those_of_a_millisecond_earlier() -> None:
    assert TimeIds().next(1699999999.999) < first_id(1700000000.0) < TimeIds().next(1700000000.0)


@pytest.mark.parametrize("at", [-1.0, 1e300, float("inf"), float("-inf")])
def test_first_id_is_a_text_whatever_the_time(at: float) -> None:
    assert first_id(at) == ("00000000-0000-7000" if at < 0 else "ffffffff-ffff-7000")
