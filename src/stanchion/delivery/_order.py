# SPDX-License-Identifier: MIT
"""Whose turn it is: ordered sends of one sender to one ref, each of which waits for those before it."""

from __future__ import annotations

from asyncio import Lock
from typing import Final
from weakref import WeakValueDictionary

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import PROCESS, Node, Process, Ref, checked_ref

# A fair lock for each sender and ref, for as long as somebody holds it or waits for it. A process, and the node that
# stands for the code outside of its processes, belong to one node: so does each lock.
_TURNS: Final[WeakValueDictionary[tuple[Process | Node, Ref], Lock]] = WeakValueDictionary()


def turn(node: Node, ref: Ref) -> Lock:
    """Return the lock that the running code's ordered sends to a ref hold one after the other, in their order.

    Raises:
        InvalidOptionError: the ref is none, or cannot be hashed.
    """
    process = PROCESS.get()
    lane = (node if process is None else process), checked_ref(ref, "send_supervised(ref)")
    try:
        lock = _TURNS.get(lane)
    except TypeError:
        raise InvalidOptionError(
            "send_supervised(ref)",
            expected="an address that can be hashed for ordered=True, so that two of the same are known to be",
            got=cut(ref),
            fix=f"write __eq__ and __hash__ in {type(ref).__name__}.",
        ) from None
    if lock is None:
        lock = _TURNS[lane] = Lock()
    return lock
