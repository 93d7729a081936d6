# SPDX-License-Identifier: MIT
"""A durable subscription as its users see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from stanchion.kernel import Ref


class DurableSubscription:
    """A durable subscription of this node; what ``subscribe_durable`` returns.

    Attributes:
        name: Its name, the same in all nodes.
        pattern: Its pattern; several with spaces in between.
        target: To whom its signals go.
    """

    __slots__ = ("_end", "name", "pattern", "target")

    def __init__(self, name: str, pattern: str, target: Ref, end: Callable[[], bool]) -> None:
        self.name: Final = name
        self.pattern: Final = pattern
        self.target: Final = target
        self._end: Final = end

    def unsubscribe(self) -> bool:
        """Deliver no more for it on this node; return whether it did.

        What is stored of it stays: its signals are kept, and delivered when somebody subscribes again by its name.
        ``SignalRouter.forget`` deletes it.
        """
        return self._end()

    def __repr__(self) -> str:
        return f"<DurableSubscription {self.name} to {self.pattern!r} for {self.target!r}>"


class DurableInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a durable subscription, whichever node has it.

    Attributes:
        name: Its name.
        pattern: Its pattern; several with spaces in between.
        target: The address of its target, as text.
        position: Everything in the journal up to this position was delivered, has become a dead letter, or is not for it.
        behind: How many signals wait for it in the journal: those behind its position that match it.
        state: What this node does for it: ``"delivering"``; ``"waiting"``, for its target; ``"elsewhere"``, since another
            node delivers; ``"starting"``; ``"forgotten"``; or ``"not_here"``, for nobody has subscribed on this node.
        delivered: How many signals this node has delivered for it since it subscribed here.
        dead_letters: How many of those that it sent have become dead letters.
        filtered: How many its filter did not want.
    """

    name: str
    pattern: str
    target: str
    position: int
    behind: int
    state: str = "not_here"
    delivered: int = 0
    dead_letters: int = 0
    filtered: int = 0
