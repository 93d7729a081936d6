# SPDX-License-Identifier: MIT
"""The account: what was accepted, against what arrived and what rests in the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from examples.relay.demo.endpoints import Arrival
from examples.relay.demo.source import digest_of
from examples.relay.event import Event
from stanchion.dead_letters import DeadLetter


class Account(NamedTuple):
    """What became of the events that one subscriber was to get.

    Attributes:
        received: How many those are.
        delivered: Those that its endpoint has, with the right body.
        resting: Those that it has not, and that rest in the dead letters.
        lost: The ids of those that are nowhere.
        strange: What its endpoint has and should not: unknown ids, wrong bodies.
        duplicates: Arrivals beyond the first of each event.
    """

    received: int
    delivered: int
    resting: int
    lost: Sequence[str]
    strange: Sequence[str]
    duplicates: int


def resting_for(subscriber: str, letters: Sequence[DeadLetter]) -> list[Arrival]:
    """Return what rests for a subscriber, in the form in which endpoints tell what arrived."""
    events = [Event.of(letter.message()) for letter in letters if letter.recipient == subscriber]
    return [Arrival(event.id, digest_of(event.body)) for event in events if event is not None]


def account(expected: Mapping[str, str], arrivals: Collection[Arrival], resting: Collection[Arrival]) -> Account:
    """Draw up one subscriber's account.

    Args:
        expected: What was accepted for it: the digest of the body by the event's id.
        arrivals: What its endpoint says that it took.
        resting: What rests for it in the dead letters.
    """
    times = Counter(arrival.id for arrival in arrivals)
    good = {arrival.id for arrival in arrivals if expected.get(arrival.id) == arrival.digest}
    kept = {letter.id for letter in resting if expected.get(letter.id) == letter.digest} - good
    return Account(
        received=len(expected),
        delivered=len(good),
        resting=len(kept),
        lost=[id_ for id_ in expected if id_ not in good and id_ not in kept],
        strange=[arrival.id for arrival in arrivals if expected.get(arrival.id) != arrival.digest],
        duplicates=sum(times.values()) - len(times),
    )
