# SPDX-License-Identifier: MIT
"""What a node holds of the outbox, and whose turn is next.

Each recipient has a lane, and another one for its ordered messages, of which one at a time is under way. Lanes take
turns, so that a recipient with thousands of messages holds up no other. What a lane cannot hold stays in the database,
without an owner, until there is room: then the lane is behind, and what is stored for it joins the end of that queue.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from stanchion.outbox._message import OutboxMessage

LANE_LIMIT: Final = 1_000
"""Messages that one lane holds; what callers wait for comes on top."""

LIMIT: Final = 10_000
"""Messages that all lanes hold together; what callers wait for comes on top."""


class Held(NamedTuple):
    """A message of ours. Sorted by the message's id.

    Attributes:
        message: The message.
        claimed: Whether somebody may have sent it before: it was taken from the database, or put back.
    """

    message: OutboxMessage
    claimed: bool

    def __lt__(self, other: tuple[object, ...]) -> bool:
        # Two copies of one message differ, when it was lost to another node and came back while it was under way.
        return isinstance(other, Held) and self.message.id < other.message.id


class _Lane:
    """The messages of one recipient, ordered ones or the others."""

    __slots__ = ("before", "behind", "key", "limit", "under_way", "waiting")

    def __init__(self, key: tuple[str, bool], limit: int, *, behind: bool, before: str | None) -> None:
        self.key = key  # the recipient, and whether it is the lane of its ordered messages
        self.limit = limit  # how many may be under way at once
        self.under_way = 0
        self.waiting: list[Held] = []  # a heap: the lowest id first
        # Whether the database may have messages for it that nobody owns; what comes then joins the end of those.
        self.behind = behind
        # The oldest ordered message that is not ours, which none of ours may overtake; None when all may be sent.
        self.before = before

    @property
    def held(self) -> int:
        return len(self.waiting) + self.under_way

    @property
    def stuck(self) -> bool:
        """Whether it goes on only when older messages are claimed."""
        return self.behind and bool(self.waiting) and not self.under_way and not self.can_begin

    @property
    def can_begin(self) -> bool:
        if not self.waiting or self.under_way >= self.limit:
            return False
        return self.before is None or self.waiting[0].message.id < self.before


class Lanes:
    """All lanes of one node.

    Args:
        concurrency: How many messages may be under way at once.
        per_recipient: How many of one lane.
    """

    def __init__(self, concurrency: int, per_recipient: int) -> None:
        self._concurrency = concurrency
        self._per_recipient = per_recipient
        # A lane is forgotten when it holds nothing and is not behind.
        self._lanes: dict[tuple[str, bool], _Lane] = {}
        # Those that can begin with a message, in the order of their turns.
        self._turns: dict[_Lane, None] = {}
        self.held = 0  # the sum of all lanes
        self.under_way = 0
        # For whom the database may have messages that nobody owns, beside those of lanes that are behind; None for
        # everybody: what the nodes before this one left is not all claimed yet.
        self._left: frozenset[str] | None = None
        # The oldest ordered message of each recipient that is not ours.
        self._oldest: Mapping[str, str] = {}

    def takes(self, message: OutboxMessage, more: int = 0) -> bool:
        """Return whether a new message can be held, beside ``more`` for the same lane."""
        if self.held + more >= LIMIT:
            return False
        lane = self._lanes.get((message.recipient, message.ordered))
        if lane is None:
            return more < LANE_LIMIT and not (message.ordered and self._is_behind(message.recipient))
        return not lane.behind and lane.held + more < LANE_LIMIT

    def fall_behind(self, message: OutboxMessage) -> None:
        """Take note that a message stays in the database."""
        lane = self._lane(message)
        lane.behind = True
        if message.ordered and lane.before is None:
            lane.before = message.id

    def add(self, messages: Iterable[OutboxMessage], *, claimed: bool = False) -> None:
        """Hold messages of ours."""
        for message in messages:
            lane = self._lane(message)
            heapq.heappush(lane.waiting, Held(message, claimed))
            self.held += 1
            self._take_turn(lane)

    def looked(self, oldest: Mapping[str, str], left: frozenset[str] | None) -> None:
        """Take note of what the database has that is not ours.

        Args:
            oldest: The oldest ordered message of each recipient.
            left: The recipients of others that nobody owns; None for everybody.
        """
        self._oldest, self._left = oldest, left
        for lane in list(self._lanes.values()):
            recipient, ordered = lane.key
            if ordered:
                lane.before = oldest.get(recipient)
            if left is not None:
                lane.behind = recipient in left or (ordered and recipient in oldest)
            self._take_turn(lane)
            self._forget(lane)

    def _is_behind(self, recipient: str) -> bool:
        """Return whether the lane of a recipient's ordered messages is behind when it is made."""
        return self._left is None or recipient in self._left or recipient in self._oldest

    @property
    def room(self) -> int:
        """How many messages could be claimed."""
        return max(LIMIT - self.held, 1 if any(lane.stuck for lane in self._lanes.values()) else 0)

    @property
    def full(self) -> frozenset[str]:
        """The recipients whose messages must not be claimed now."""
        return frozenset(lane.key[0] for lane in self._lanes.values() if lane.held >= LANE_LIMIT and not lane.stuck)

    def begin(self) -> Held | None:
        """Return the next message to send, which is under way from now on; None when there is none."""
        if not self._turns or self.under_way >= self._concurrency:
            return None
        lane = next(iter(self._turns))
        del self._turns[lane]
        held = heapq.heappop(lane.waiting)
        lane.under_way += 1
        self.under_way += 1
        self._take_turn(lane)
        return held

    def end(self, message: OutboxMessage) -> bool:
        """Take note that a message is under way no more; return whether its lane could claim from the database now."""
        lane = self._lanes[message.recipient, message.ordered]
        lane.under_way -= 1
        self.under_way -= 1
        self.held -= 1
        self._take_turn(lane)
        self._forget(lane)
        return lane.behind and lane.held <= LANE_LIMIT // 2

    def put_back(self, message: OutboxMessage) -> None:
        """Take note that a message is under way no more, and is to be sent again before what came after it."""
        lane = self._lanes[message.recipient, message.ordered]
        lane.under_way -= 1
        self.under_way -= 1
        heapq.heappush(lane.waiting, Held(message, claimed=True))
        self._take_turn(lane)

    def clear(self) -> None:
        """Forget what is not under way: it is not ours any more."""
        self._oldest, self._left = {}, None
        for lane in list(self._lanes.values()):
            self.held -= len(lane.waiting)
            lane.waiting.clear()
            lane.behind = True
            lane.before = "" if lane.key[1] else None
        self._turns.clear()

    def _lane(self, message: OutboxMessage) -> _Lane:
        key = message.recipient, message.ordered
        lane = self._lanes.get(key)
        if lane is None:
            if not message.ordered:
                lane = _Lane(key, self._per_recipient, behind=False, before=None)
            else:
                before = "" if self._left is None else self._oldest.get(message.recipient)
                lane = _Lane(key, 1, behind=self._is_behind(message.recipient), before=before)
            self._lanes[key] = lane
        return lane

    def _take_turn(self, lane: _Lane) -> None:
        if lane not in self._turns and lane.can_begin:
            self._turns[lane] = None

    def _forget(self, lane: _Lane) -> None:
        if not lane.held and not lane.behind:
            del self._lanes[lane.key]
