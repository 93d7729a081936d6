# SPDX-License-Identifier: MIT
"""CircuitBreaker: calls go through it until too many fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast
from weakref import ReferenceType, WeakKeyDictionary, ref

from stanchion._validate import instance
from stanchion.breakers._failures import FailureCount, counted
from stanchion.breakers._guard import guarded
from stanchion.breakers._permit import Permit
from stanchion.breakers._policy import DEFAULT_POLICY, BreakerPolicy, check_name
from stanchion.breakers._records import BreakerStatistics, CircuitChange, CircuitState
from stanchion.breakers._telling import Changes, tell_rejected
from stanchion.errors import CircuitOpenError
from stanchion.kernel import Clock, Node, SystemClock, checked_clock

if TYPE_CHECKING:
    from random import Random

_SYSTEM_CLOCK: Final = SystemClock()
_CLOSED: Final = CircuitState.CLOSED
_OPEN: Final = CircuitState.OPEN
_HALF_OPEN: Final = CircuitState.HALF_OPEN

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CircuitBreaker:
    """Lets calls through while they succeed, and rejects them at once for a while when too many have failed.

    While the circuit is closed, calls go through. Failures open it, as the policy says; then calls are rejected with a
    CircuitOpenError. The first call after the reset timeout is let through as a probe, one at a time: enough successes
    close the circuit, and a failure opens it again, for longer.

    Guard your own calls with ``async with breaker``, with ``@breaker``, or with ``enter()`` where neither fits: in plain
    code, and in generators, whose blocks may be left by another task than the one that entered them. Sends are
    guarded by ``send_supervised(breaker=...)`` and ``Node(breaker=...)``. A breaker made by ``node.breakers.add()`` tells
    what happens to it as events of the node; one that is made directly belongs to nobody.

    A limit of time belongs inside the block, ``async with breaker, stanchion.deadline(5)``: what a breaker inside of the
    deadline or timeout sees is a cancellation, which counts neither as a failure nor as a success.

    It is made for one event loop: use it from the loop's thread only.

    Attributes:
        name: What it is called.
        policy: When it opens and closes.
        node: The node whose telemetry hears of it; set by ``node.breakers``, None for a breaker that is nobody's.

    Example:
        >>> from stanchion.errors import CircuitOpenError
        >>> breaker = CircuitBreaker("smtp", BreakerPolicy(failure_threshold=1))
        >>> @breaker
        ... def connect():
        ...     raise ConnectionRefusedError
        >>> for _ in range(2):
        ...     try:
        ...         connect()
        ...     except (ConnectionRefusedError, CircuitOpenError) as error:
        ...         print(type(error).__name__)
        ConnectionRefusedError
        CircuitOpenError
    """

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy = DEFAULT_POLICY,
        *,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        """Make a breaker whose circuit is closed.

        Args:
            name: What it is called in errors, logs and events.
            policy: When it opens and closes.
            clock: Where to read the time; None for the machine's clock.
            seed: The seed of the reset timeout's jitter, to have the same times again; None for others each time.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        check_name("CircuitBreaker(name)", name)
        self.name: Final = name
        self.policy: Final = instance("CircuitBreaker(policy)", policy, BreakerPolicy)
        self.node: Node | None = None
        self._monotonic = (
            _SYSTEM_CLOCK.monotonic if clock is None else checked_clock("CircuitBreaker(clock)", clock).monotonic
        )
        self._seed = seed
        self._random: Random | None = None  # made at the first opening: most breakers never open, and it is large
        self._changes: Final = Changes()
        # The permits of the blocks that each task is in, the innermost last; none has an empty list. Weak: a task that
        # ended has left them all.
        self._entered: WeakKeyDictionary[asyncio.Task[object], list[Permit]] = WeakKeyDictionary()

        # The state, why it is so, and since when. Only _change sets them; each change begins another era, and the
        # permits of those before count no more.
        self._state = _CLOSED
        self._reason = "it is new"
        self._since = self._used = self._monotonic()
        self._era = 0
        # Closed: the failures that may open it.
        self._count = FailureCount(self.policy)
        # Open: when a probe may go through; None when only reset() helps.
        self._retry_at: float | None = None
        # How many times in a row it opened, without having been closed in between.
        self._openings = 0
        # Half-open: the probe that is under way, and how many have succeeded. Weak: a permit that its holder lost must
        # not keep the circuit half-open for ever.
        self._probe: ReferenceType[Permit] | None = None
        self._probes_passed = 0
        # Since it was made.
        self._successes = self._failures = self._rejected = self._opened = 0
        self._last_failure: str | None = None

    # --- calls -----------------------------------------------------------------------------------

    def enter(self) -> Permit:
        """Ask for leave to make one call, and return the permit that says so.

        Make the call in a block, ``with breaker.enter():``, or say yourself how it ended: ``permit.succeeded()``,
        ``failed(error)`` or ``cancelled()``.

        Raises:
            CircuitOpenError: the circuit is open, or half-open and its probe is under way. Nothing was called.
        """
        now = self._used = self._monotonic()
        if self._state is _CLOSED:
            return Permit(self, self._era)
        if self._rejects(now):
            self._rejected += 1
            error = self._error(now)
            tell_rejected(self, error)
            raise error
        if self._state is _OPEN:
            self._change(_HALF_OPEN, now, "its reset timeout is over")
            return self.enter()  # a listener that heard of it may have changed it again
        permit = Permit(self, self._era)
        self._probe = ref(permit)
        return permit

    async def __aenter__(self) -> Permit:
        """Ask for leave for the block; the permit can say earlier, and otherwise than by an exception, how it ended.

        Raises:
            CircuitOpenError: as ``enter()``.
        """
        permit = self.enter()
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._entered.setdefault(task, []).append(permit)
        return permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Note how the block ended: by an exception, which goes on, or well.

        One that is left by another task than the one that entered it counts neither way.
        """
        leaving = cast("asyncio.Task[object]", asyncio.current_task())
        # A generator that was not read to its end is closed by another task. Which block is left then is not known: the
        # one that was entered first is taken for it, so that none keeps its permit for ever.
        task = leaving if leaving in self._entered else next(iter(self._entered), None)
        if task is None:
            return
        permits = self._entered[task]
        if task is leaving:
            permits.pop().__exit__(kind, error, traceback)
        else:
            permits.pop(0).cancelled()
        if not permits:
            del self._entered[task]

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Guard a function, plain or async: each call of it goes through the circuit.

        Raises:
            InvalidOptionError: it is no function, or one that yields, whose calls end before its work begins.
        """
        return guarded(self, function)

    # --- by hand ---------------------------------------------------------------------------------

    def trip(self, reason: str) -> None:
        """Open the circuit by hand; it stays open, and lets no probe through, until ``reset()``.

        Args:
            reason: Why, for people: errors, logs and listeners are told.
        """
        now = self._monotonic()
        self._retry_at = None
        self._change(_OPEN, now, f"tripped: {reason}")

    def reset(self) -> None:
        """Close the circuit by hand, and forget the failures that were counted; the next reset timeout is the first."""
        self._close(self._monotonic(), "reset by hand")

    # --- what others see -------------------------------------------------------------------------

    @property
    def state(self) -> CircuitState:
        """Closed, open or half-open. An open one stays open until the first call after its reset timeout."""
        return self._state

    @property
    def rejects(self) -> bool:
        """Whether a call would be rejected now."""
        return self._rejects(self._monotonic())

    def statistics(self) -> BreakerStatistics:
        """Return how it does now."""
        now = self._monotonic()
        window_calls, window_failures = self._count.in_window(now)
        return BreakerStatistics(
            name=self.name,
            state=self._state,
            elapsed=now - self._since,
            successes=self._successes,
            failures=self._failures,
            rejected=self._rejected,
            opened=self._opened,
            failures_in_a_row=self._count.in_a_row,
            window_calls=window_calls,
            window_failures=window_failures,
            last_failure=self._last_failure,
            retry_after=self._retry_after(now),
        )

    def add_listener(self, listener: Callable[[CircuitChange], object]) -> Callable[[], None]:
        """Call ``listener(change)`` at each change of state from now on; return what ends that.

        It is called in the step of the change, when the new state holds; of a change that a listener makes, all hear
        when they have heard of the one before. One that raises is logged and goes on being called.

        Raises:
            InvalidOptionError: it is no plain function.
        """
        return self._changes.add_listener(listener)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name} {self._state}>"

    # --- how calls ended: the permits say it ------------------------------------------------------

    def _settle(self, permit: Permit, failure: str | None) -> None:
        """Count a call that succeeded, or failed for this reason."""
        if failure is None:
            self._successes += 1
        else:
            self._failures += 1
            self._last_failure = failure
        if permit._era != self._era:
            return
        now = self._monotonic()
        if self._state is _CLOSED:
            why = self._count.add(now, failed=failure is not None)
            if why is not None:
                self._open(now, f"{why}, the last: {self._last_failure}")
        elif failure is not None:
            self._open(now, f"the probe failed: {failure}")
        else:
            self._probe = None
            self._probes_passed += 1
            if self._probes_passed >= self.policy.success_threshold:
                self._close(now, f"{counted(self._probes_passed, 'probe')} succeeded")

    def _withdraw(self, permit: Permit) -> None:
        """Free the place of a probe that was cancelled."""
        if permit._era == self._era:
            self._probe = None

    # --- changes of state ------------------------------------------------------------------------

    def _open(self, now: float, reason: str) -> None:
        if self._random is None:
            from random import Random  # only a breaker that opens pays for the import

            self._random = Random(self._seed)
        self._openings += 1
        self._retry_at = now + self.policy.reset_timeout.delay(self._openings, self._random)
        self._change(_OPEN, now, reason)

    def _close(self, now: float, reason: str) -> None:
        self._openings = 0
        self._change(_CLOSED, now, reason)

    def _change(self, state: CircuitState, now: float, reason: str) -> None:
        """Begin another era; tell it, when the state is another one."""
        self._reason = reason
        self._era += 1
        self._probe, self._probes_passed = None, 0
        self._count.clear()
        if state is self._state:
            return
        before, elapsed = self._state, now - self._since
        self._state, self._since = state, now
        self._opened += state is _OPEN
        retry_after = self._retry_after(now) if state is _OPEN else None
        self._changes.tell(CircuitChange(self, before, state, reason, elapsed, retry_after))

    def _rejects(self, now: float) -> bool:
        if self._state is _OPEN:
            return self._retry_at is None or now < self._retry_at
        return self._probe_under_way()

    def _probe_under_way(self) -> bool:
        return self._probe is not None and self._probe() is not None

    def _retry_after(self, now: float) -> float | None:
        if self._state is _OPEN:
            return None if self._retry_at is None else max(0.0, self._retry_at - now)
        return 0.0 if self._state is _HALF_OPEN and not self._probe_under_way() else None

    def _error(self, now: float) -> CircuitOpenError:
        return CircuitOpenError(
            self.name,
            state=self._state.value,
            reason=self._reason,
            elapsed=now - self._since,
            last_failure=self._last_failure,
            retry_after=self._retry_after(now),
        )

    def _idle(self) -> bool:
        """Say whether a new breaker could take its place and nobody would see a difference: it has nothing to remember.

        It is closed and counts no failure, or was not used for so long that what it knows has passed.
        """
        now = self._monotonic()
        if self._changes.listeners or (self._state is _OPEN and self._retry_at is None):
            return False
        if now - self._used > max(self.policy.window, self.policy.reset_timeout.maximum):
            return True
        return self._state is _CLOSED and self._count.spotless
