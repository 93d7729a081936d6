# SPDX-License-Identifier: MIT
"""What became of a signal as it was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stanchion.router._signal import Signal
    from stanchion.router._subscription import SignalSubscription


class DroppedSignal(NamedTuple):
    """A subscription that did not take a signal.

    Attributes:
        subscription: The subscription.
        reason: Why: ``"reject"`` or ``"drop_newest"``, its buffer is full; ``"timeout"``, it was for as long as the
            publisher could wait; ``"cancelled"``, the publisher stopped waiting; ``"filter_failed"``; or it ended just
            then: ``"exited"``, ``"unsubscribed"`` or ``"stopped"``.
    """

    subscription: SignalSubscription
    reason: str


class Publication(NamedTuple):
    """What became of a signal as it was published; true when nobody refused it.

    What is accepted is on its way: whether it was handled, the subscriptions know.

    Attributes:
        signal: The signal, as the hooks left it.
        matched: How many subscriptions it is for: their patterns match, their filters let it pass, and no other of the
            same target came first.
        accepted: How many of them have taken it.
        dropped: The others, each with the reason.
        stored: Its position in the journal; None when it is not kept there, or not yet.
        filtered: Whether a hook did not let it pass; then it went to nobody.
    """

    signal: Signal
    matched: int
    accepted: int
    dropped: tuple[DroppedSignal, ...] = ()
    stored: int | None = None
    filtered: bool = False

    def __bool__(self) -> bool:
        return not (self.dropped or self.filtered)


def published(
    signal: Signal, matched: int, accepted: int, dropped: tuple[DroppedSignal, ...], stored: int | None
) -> Publication:
    """Return a publication, in half the time that its class takes: one is made for each signal."""
    values = (signal, matched, accepted, dropped, stored, False)
    return tuple.__new__(Publication, values)  # pyright: ignore[reportUnknownMemberType]
