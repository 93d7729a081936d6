# SPDX-License-Identifier: MIT
"""Faults: a message that is lost, late or doubled on its way, or on which its receiver crashes.

Only what is sent can be hit: casts, calls, plain sends, timers and supervised sends. ``Down``, ``Exit`` and ``stop`` are
the runtime's own word, which inside of one node never gets lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from random import Random
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self, cast

from stanchion._validate import Seconds, cut, instance, seconds, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Node, Pid, Process, Ref, current_node, find
from stanchion.testing._exits import InjectedCrash
from stanchion.testing._faulty_mailbox import Post, Verb, post_of
from stanchion.testing._patterns import ANYTHING, matches, told
from stanchion.testing._seeded import SeededLoop


class Fault:
    """A fault at work: made by ``drop``, ``delay``, ``duplicate`` or ``crash_on``, ended by ``stop`` or its ``with`` block.

    It also ends with its receiver; but one for a registered name goes on with whoever takes the name next.

    Attributes:
        hits: The messages that it hit, in order.
        verb: What it does to them.
        seconds: How long it delays them.
        error: What it makes the receiver crash with.
    """

    def __init__(
        self,
        verb: Verb,
        ref: Ref,
        what: object,
        nth: int | Collection[int] | None,
        chance: float | None,
        *,
        seconds: float = 0.0,
        error: BaseException | None = None,
    ) -> None:
        self.hits: list[object] = []
        self.verb: Final[Verb] = verb
        self.seconds: Final = seconds
        self.error: Final[BaseException] = InjectedCrash() if error is None else error
        self._what: Final = what
        self._nth: Final = _checked_nth(verb, nth)
        self._chance: Final = _checked_chance(verb, chance)
        self._random: Final = _random()
        # How many matching messages came.
        self._count = 0
        self._posts: list[Post] = []
        self._ref: Final = ref
        # The faults for names of the node, this one among them; None for a fault that is for one process.
        self._named: list[Fault] | None = None
        pid = find(ref, f"{verb}(ref)")
        if isinstance(ref, str):
            self._named = _named_faults(current_node(f"{verb}(ref)"))
            self._named.append(self)
        elif pid is None or pid._process is None:
            raise InvalidOptionError(
                f"{verb}(ref)", expected="a process that lives", got=f"{cut(ref)}, which has ended"
            )
        if pid is not None:
            self.take_up(pid)

    def take_up(self, pid: Pid) -> None:
        """Begin to hit what is sent to a process that lives; for the kit itself."""
        post = post_of(cast("Process", pid._process))
        post.faults.append(self)
        self._posts.append(post)

    def stop(self) -> None:
        """End the fault; harmless when it has ended. What it delayed still comes at its time."""
        if self._named is not None:
            self._named.remove(self)
            self._named = None
        for post in self._posts:
            post.remove(self)
        self._posts.clear()

    def holds_for(self, name: str) -> bool:
        """Return whether the fault was made for a name; for the kit itself."""
        return self._ref == name

    def draw(self, message: object) -> bool:
        """Take note of a message that comes; return whether it is one to hit. For the kit itself."""
        if not matches(self._what, message):
            return False
        self._count += 1
        if self._nth is not None and self._count not in self._nth:
            return False
        return self._chance is None or self._random.random() < self._chance

    def hit(self, message: object) -> None:
        """Take note of a message that was hit; for the kit itself."""
        self.hits.append(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.verb} {told(self._what)} to {self._ref!r}: {len(self.hits)} hits>"


def drop(
    ref: Ref, what: object = ANYTHING, *, nth: int | Collection[int] | None = None, chance: float | None = None
) -> Fault:
    """Lose messages on their way: they are accepted and never handled.

    A call or a supervised send that is lost waits until its timeout, or until the receiver exits.

    Args:
        ref: To whom: a pid, or a name, which somebody may take later.
        what: Which messages: a class, a function that returns true for them, or a value. By default all.
        nth: Of these, the n-th from now on, from 1; or each whose number is in a collection, ``range(1, 4)`` say. None
            for all.
        chance: How likely each of these is hit, from 0 to 1; the running test's seed decides. None for always.

    Returns:
        The fault; it is at work at once.

    Raises:
        InvalidOptionError: an argument is wrong, or the process has ended.
        NoNodeError: the code runs outside of every node.
    """
    return Fault("drop", ref, what, nth, chance)


def delay(
    ref: Ref,
    duration: Seconds,
    what: object = ANYTHING,
    *,
    nth: int | Collection[int] | None = None,
    chance: float | None = None,
) -> Fault:
    """Have messages arrive late. What the same sender sends after one of them waits behind it, so the order stays.

    Args:
        ref: See ``drop``.
        duration: Seconds that they take.
        what: See ``drop``.
        nth: See ``drop``.
        chance: See ``drop``.

    Returns:
        The fault; it is at work at once.

    Raises:
        InvalidOptionError: an argument is wrong, or the process has ended.
        NoNodeError: the code runs outside of every node.
    """
    return Fault("delay", ref, what, nth, chance, seconds=seconds("delay(duration)", duration))


def duplicate(
    ref: Ref, what: object = ANYTHING, *, nth: int | Collection[int] | None = None, chance: float | None = None
) -> Fault:
    """Have messages arrive twice, one right after the other. The second reply to a call is a late reply.

    Args:
        ref: See ``drop``.
        what: See ``drop``.
        nth: See ``drop``.
        chance: See ``drop``.

    Returns:
        The fault; it is at work at once.

    Raises:
        InvalidOptionError: an argument is wrong, or the process has ended.
        NoNodeError: the code runs outside of every node.
    """
    return Fault("duplicate", ref, what, nth, chance)


def crash_on(
    ref: Ref,
    what: object = ANYTHING,
    *,
    nth: int | Collection[int] | None = None,
    chance: float | None = None,
    error: BaseException | None = None,
) -> Fault:
    """Make a process crash when it takes certain messages into its hands: ``crash_on(ref, nth=3)`` is on the third.

    Its handler does not run. Everything else is as when it had raised: ``terminate`` runs, and whoever waits for the
    message hears that it may have been processed.

    Args:
        ref: See ``drop``.
        what: See ``drop``.
        nth: See ``drop``. For a name the count goes on after the restart.
        chance: See ``drop``.
        error: What it crashes with; by default an ``InjectedCrash``.

    Returns:
        The fault; it is at work at once.

    Raises:
        InvalidOptionError: an argument is wrong, or the process has ended.
        NoNodeError: the code runs outside of every node.
    """
    if error is not None:
        instance("crash_on(error)", error, BaseException)
    return Fault("crash_on", ref, what, nth, chance, error=error)


class _Watched(Protocol):
    """The names of a node that tell its faults who takes one."""

    faults: ClassVar[list[Fault]]


def _named_faults(node: Node) -> list[Fault]:
    """Return the faults for names of a node, which from now on hear of each name that is taken."""
    names = cast("_Watched | None", node.names if hasattr(node.names, "faults") else None)
    if names is not None:
        return names.faults
    plain = type(node.names)

    # As for a mailbox: another class, for one object.
    class WatchedNames(plain):  # type: ignore[misc, valid-type]
        __slots__ = ()
        faults: ClassVar[list[Fault]] = []

        def claim(self, name: str, pid: Pid) -> None:
            super().claim(name, pid)
            for fault in self.faults:
                if fault.holds_for(name):
                    fault.take_up(pid)

    node.names.__class__ = WatchedNames
    return WatchedNames.faults


def _checked_nth(verb: Verb, nth: object) -> Collection[int] | None:
    if nth is None:
        return None
    if isinstance(nth, Collection) and not isinstance(nth, str | bytes):
        return [whole_number(f"{verb}(nth)", one, at_least=1) for one in cast("Collection[object]", nth)]
    return [whole_number(f"{verb}(nth)", nth, at_least=1)]


def _checked_chance(verb: Verb, chance: object) -> float | None:
    if chance is None or (isinstance(chance, int | float) and not isinstance(chance, bool) and 0 <= chance <= 1):
        return chance
    raise InvalidOptionError(f"{verb}(chance)", expected="a number from 0 to 1, or None", got=cut(chance))


def _random() -> Random:
    """Return where chances come from: the running loop's seed, or else always the same."""
    loop = asyncio.get_running_loop()
    return loop.random if isinstance(loop, SeededLoop) else Random(0)
