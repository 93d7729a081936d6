# SPDX-License-Identifier: MIT
"""Who is due when, on one timer of the node's clock: adding, removing and firing do not grow with their number."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from stanchion.kernel import Node, TimerHandle

T = TypeVar("T")

_log = logging.getLogger("stanchion.scheduler")

_COMPACT_FROM: Final = 64
# So many are due in one step of the loop; then others have their turn.
_BURST: Final = 256


class Place(Generic[T]):
    """Where something stands in a timetable.

    Attributes:
        when: When it is due, by the timetable's clock.
        item: What is due; None once it was, or was removed.
    """

    __slots__ = ("item", "when")

    def __init__(self, when: float, item: T) -> None:
        self.when: Final = when
        self.item: T | None = item


class Timetable(Generic[T]):
    """Calls ``due(item)`` when the time of an item has come, in the order of the times.

    Args:
        node: The node, whose monotonic clock has the timer.
        time: The clock that the times are by.
        due: What is called. The item is not in the table any more then, and may be added again.
    """

    __slots__ = ("_due", "_handle", "_handle_when", "_heap", "_next", "_node", "_removed", "_time")

    def __init__(self, node: Node, time: Callable[[], float], due: Callable[[T], object]) -> None:
        self._node: Final = node
        self._time: Final = time
        self._due: Final = due
        # Of one time, the one that was added first comes first.
        self._heap: list[tuple[float, int, Place[T]]] = []
        self._next: Final = itertools.count().__next__
        # How many in the heap were removed; they are taken out when they come up, or are more than half.
        self._removed = 0
        # Set for the earliest time in the heap when it was set; None while the heap is empty.
        self._handle: TimerHandle | None = None
        self._handle_when = 0.0

    def __len__(self) -> int:
        return len(self._heap) - self._removed

    def add(self, when: float, item: T) -> Place[T]:
        """Have an item be due; what is in the past is due at the loop's next step."""
        place = Place(when, item)
        heapq.heappush(self._heap, (when, self._next(), place))
        if self._handle is None or when < self._handle_when:
            self._set()
        return place

    def remove(self, place: Place[T]) -> None:
        """Take an item out; harmless when it was due."""
        if place.item is None:
            return
        place.item = None
        self._removed += 1
        if self._removed > _COMPACT_FROM and self._removed * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].item is not None]
            heapq.heapify(self._heap)
            self._removed = 0

    def reset(self) -> None:
        """Set the timer anew: the clock of the table was set."""
        if self._heap:
            self._set()

    def close(self) -> None:
        """Forget all items; nothing is due any more."""
        self._heap.clear()
        self._removed = 0
        self._cancel()

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self) -> None:
        self._cancel()
        self._handle_when = self._heap[0][0]
        clock = self._node.clock
        when = clock.monotonic() + max(0.0, self._handle_when - self._time())
        # In no process, under no deadline: those of whoever adds an item have nothing to do with the others.
        self._handle = self._node.context.run(clock.call_at, when, self._fire)

    def _fire(self) -> None:
        self._cancel()
        now = self._time()
        for _ in range(_BURST):
            if not self._heap or self._heap[0][0] > now:
                break
            place = heapq.heappop(self._heap)[2]
            item, place.item = place.item, None
            if item is None:
                self._removed -= 1
                continue
            try:
                self._due(item)
            except Exception:  # noqa: BLE001 - one that fails must not keep the others waiting for ever
                _log.exception("%r is due, and that failed", item)
        self.reset()
