# SPDX-License-Identifier: MIT
from __future__ import annotations

from uuid import UUID

from stanchion.dead_letters._ids import LetterIds


def test_ids_are_uuids_of_version_7_that_carry_their_time() -> None:
    id = UUID(LetterIds().next(1700000000.123))
    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert id.int >> 80 == 1700000000123


def test_ids_grow_when_thousands_are_made_in_one_millisecond() -> None:
    ids = LetterIds()
    made = [ids.next(1700000000.0) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert {UUID(id).version for id in made} == {7}


def test_ids_grow_when_the_clock_steps_back() -> None:
    ids = LetterIds()
    first = ids.next(1700000000.0)
    assert ids.next(1600000000.0) > first


def test_ids_sort_by_time_between_makers() -> None:
    assert LetterIds().next(1700000000.0) < LetterIds().next(1700000000.001)


def test_ids_differ_between_makers_at_the_same_time() -> None:
    assert LetterIds().next(1700000000.0) != LetterIds().next(1700000000.0)
