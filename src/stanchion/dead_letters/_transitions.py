# SPDX-License-Identifier: MIT
"""The life of a letter: which state follows which, and why. Pure functions from letter to letter.

    added ──► waiting ──claim──► retrying ──► delivered
                 ▲ ▲                │ │
                 │ └────release─────┘ └──failed──► waiting, or exhausted when the attempts are used up
               retry
                 └── exhausted              discard: waiting, exhausted ──► discarded

A letter that nobody can redeliver (its recipient was a pid, or it cannot become data) is exhausted from
the start: it waits for a person. ``replay`` makes a new letter, and discards the old one if that was
still open. A claim that ran out counts as a failed attempt: a message that kills its whole OS process
each time must end somewhere.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from stanchion._backoff import Backoff, RandomSource
from stanchion.dead_letters._letter import STATES, Attempt, DeadLetter, State, kept
from stanchion.errors import DeadLetterStateError

LEASE_EXPIRED: Final = "lease_expired"
"""The reason of the attempt of an owner that neither finished nor released its claim in time."""


_OPEN: Final[tuple[State, ...]] = ("waiting", "exhausted")


class RetryPolicy:
    """When a letter is redelivered again, and when no more.

    Args:
        backoff: The delay before each redelivery.
        max_attempts: How many failed redeliveries exhaust a letter; None for no limit.
        source: Where the backoff's jitter comes from.
    """

    __slots__ = ("_backoff", "_max_attempts", "_source")

    def __init__(self, backoff: Backoff, max_attempts: int | None, source: RandomSource) -> None:
        self._backoff = backoff
        self._max_attempts = max_attempts
        self._source = source

    def is_used_up(self, redeliveries: int) -> bool:
        """Tell whether so many failed redeliveries are all there may be."""
        return self._max_attempts is not None and redeliveries >= self._max_attempts

    def next_attempt(self, redeliveries: int, now: float) -> float | None:
        """Return when to try again after so many failed redeliveries; None for no more."""
        if self.is_used_up(redeliveries):
            return None
        # The send that failed before the letter was written is the first failed attempt.
        delay = self._backoff.delay(redeliveries + 1, self._source)
        # Never early, and later by no more than an eighth of the delay: letters that fail together come to few different
        # times, so that storing many touches few places of the index of due times. A power of two divides exactly; one
        # below the resolution of Unix time in a float could not be divided by at all.
        tick = 2.0 ** max(math.frexp(delay)[1] - 4, -22)
        return math.ceil((now + delay) / tick) * tick if delay else now


def retry(letter: DeadLetter, now: float) -> DeadLetter:
    """Make a letter due now, with all its attempts before it."""
    _require(letter, "retry", _OPEN, "send it again by replay(id).")
    _require_sendable(letter, "retry", letter.redeliverable)
    return _next(letter, now, state="waiting", next_attempt_at=now, redeliveries=0)


def replayed(letter: DeadLetter, new_id: str, recipient: str | None, now: float, *, only_open: bool) -> DeadLetter:
    """Return the new letter that sends the message of ``letter`` again."""
    _require(letter, "replay", _OPEN if only_open else (*_OPEN, "delivered", "discarded"))
    _require_sendable(letter, "replay", letter.redeliverable or recipient is not None)
    return msgspec.structs.replace(
        letter,
        id=new_id,
        recipient=letter.recipient if recipient is None else recipient,
        redeliverable=True,
        state="waiting",
        attempts=(),
        attempt_count=0,
        redeliveries=0,
        next_attempt_at=now,
        created_at=now,
        updated_at=now,
        replay_of=letter.id,
        note=None,
        revision=0,
    )


def is_open(letter: DeadLetter) -> bool:
    """Tell whether the letter still waits for a redelivery or for a person."""
    return letter.state in _OPEN


def discard(letter: DeadLetter, now: float, *, why: str | None) -> DeadLetter:
    """Give the letter up."""
    _require(letter, "discard", _OPEN)
    return _next(letter, now, state="discarded", note=why)


def check_purge(id: str, state: State) -> None:
    """Require that a letter in this state may be deleted."""
    _require_state(id, state, "purge", tuple(able for able in STATES if able != "retrying"))


def claim(letter: DeadLetter, owner: str, until: float, now: float, policy: RetryPolicy) -> DeadLetter:
    """Take a due letter; one whose last claim ran out too often is exhausted instead."""
    if letter.state == "retrying":
        error = f"{letter.claimed_by} claimed it and neither finished nor released it in time"
        letter = _attempted(letter, Attempt(now, LEASE_EXPIRED, error))
        if policy.is_used_up(letter.redeliveries):
            return _next(letter, now, state="exhausted")
    return _next(letter, now, state="retrying", claimed_by=owner, claimed_until=until)


def delivered(letter: DeadLetter, now: float) -> DeadLetter:
    """Note that the message was delivered: a fact, whoever holds the claim by now."""
    _require(letter, "delivered", ("waiting", "retrying", "exhausted"))
    return _next(letter, now, state="delivered", redeliveries=letter.redeliveries + 1)


def failed(
    letter: DeadLetter, claim: DeadLetter | str, attempt: Attempt, policy: RetryPolicy, *, final: bool
) -> DeadLetter:
    """Note that a redelivery failed; set the next one, or none when these are used up."""
    _require_claim(letter, "failed", claim)
    letter = _attempted(letter, attempt)
    again = None if final else policy.next_attempt(letter.redeliveries, attempt.at)
    return _next(letter, attempt.at, state="exhausted" if again is None else "waiting", next_attempt_at=again)


def release(letter: DeadLetter, now: float, *, claim: DeadLetter | str) -> DeadLetter:
    """Give a claim back without an attempt: the letter is due at once."""
    _require_claim(letter, "release", claim)
    return _next(letter, now, state="waiting", next_attempt_at=now)


def _attempted(letter: DeadLetter, attempt: Attempt) -> DeadLetter:
    return msgspec.structs.replace(
        letter,
        reason=attempt.reason,
        error=attempt.error,
        attempts=kept((*letter.attempts, attempt)),
        attempt_count=letter.attempt_count + 1,
        redeliveries=letter.redeliveries + 1,
    )


def _next(
    letter: DeadLetter,
    now: float,
    *,
    state: State,
    next_attempt_at: float | None = None,
    claimed_by: str | None = None,
    claimed_until: float | None = None,
    redeliveries: int | None = None,
    note: str | None = None,
) -> DeadLetter:
    """Return the next revision. What belongs to one state only (the claim, the next attempt) is set anew."""
    return msgspec.structs.replace(
        letter,
        state=state,
        next_attempt_at=next_attempt_at,
        claimed_by=claimed_by,
        claimed_until=claimed_until,
        redeliveries=letter.redeliveries if redeliveries is None else redeliveries,
        note=letter.note if note is None else note,
        updated_at=now,
        revision=letter.revision + 1,
    )


def _require(letter: DeadLetter, verb: str, states: tuple[State, ...], fix: str | None = None) -> None:
    _require_state(letter.id, letter.state, verb, states, fix)


def _require_state(id: str, state: State, verb: str, states: tuple[State, ...], fix: str | None = None) -> None:
    if state not in states:
        if state == "retrying":
            fix = "wait until its redelivery ends; its claimed_until says when at the latest."
        raise DeadLetterStateError(
            id, verb=verb, expected="a letter that is " + " or ".join(states), state=state, fix=fix
        )


def _require_claim(letter: DeadLetter, verb: str, claim: DeadLetter | str) -> None:
    """Require that a claim holds: this very one, by the letter as it was claimed; or any by its owner's name."""
    if isinstance(claim, str):
        held = letter.claimed_by == claim
        owner, at, now_at = claim, "", ""
    else:
        # A claimed letter does not change until it is settled or claimed anew, even by the same owner.
        held = letter.revision == claim.revision
        owner, at, now_at = str(claim.claimed_by), f" at revision {claim.revision}", f" at revision {letter.revision}"
    if letter.state == "retrying" and held:
        return
    holder = f" by {letter.claimed_by}{now_at}" if letter.state == "retrying" else ""
    raise DeadLetterStateError(
        letter.id,
        verb=verb,
        expected=f"a letter that {owner} has claimed{at}",
        state=letter.state + holder,
        fix="its claim ran out, or it was settled otherwise; claim for longer if redeliveries take that long.",
    )


def _require_sendable(letter: DeadLetter, verb: str, reachable: bool) -> None:
    if not letter.replayable:
        raise DeadLetterStateError(
            letter.id,
            verb=verb,
            expected="a letter whose message could become data",
            state="not replayable",
            fix=f"only its preview is here ({letter.note}); discard() the letter once it is seen to.",
        )
    if not reachable:
        raise DeadLetterStateError(
            letter.id,
            verb=verb,
            expected="a letter whose recipient can be found again",
            state=f"addressed to {letter.recipient}",
            fix='send it to a registered name: replay(id, recipient="...").',
        )
