# SPDX-License-Identifier: MIT
"""The breakers of one node: those that it was asked for by name, and those of its recipients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from weakref import WeakValueDictionary

from stanchion._validate import cut
from stanchion.breakers._breaker import CircuitBreaker
from stanchion.breakers._policy import DEFAULT_POLICY, BreakerPolicy, check_name
from stanchion.breakers._records import BreakerStatistics
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Node, Ref

_SWEEP_FROM: Final = 1_000


class Breakers:
    """The circuit breakers of one node, by name: ``node.breakers``.

    With ``Node(breaker=policy)`` each recipient of supervised sends has its own, which is named as the recipient is
    addressed: a registered name, or the repr of a pid or via address. They are made when they are needed and forgotten
    when they have nothing to remember. One that was asked for here, by ``add()`` or ``get()``, is kept.

    Attributes:
        policy: What each recipient's breaker is made with; None when recipients have none.
    """

    def __init__(self, node: Node, policy: BreakerPolicy | None = None) -> None:
        if policy is not None and not isinstance(policy, BreakerPolicy):
            raise InvalidOptionError(
                "Node(breaker)",
                expected="a BreakerPolicy or None",
                got=cut(policy),
                fix="pass a policy: each recipient gets a breaker of its own that follows it.",
            )
        self.policy: Final = policy
        self._node: Final = node
        # No name is in both.
        self._kept: Final[dict[str, CircuitBreaker]] = {}
        self._of_recipients: Final[dict[str, CircuitBreaker]] = {}
        # How many breakers of recipients there are when the idle ones are looked for next.
        self._sweep_at = _SWEEP_FROM

    def add(self, name: str, policy: BreakerPolicy) -> CircuitBreaker:
        """Make the breaker of this name with a policy of its own.

        The name of a recipient gives this recipient another policy than the node's.

        Raises:
            InvalidOptionError: there is one of this name already, or an argument is wrong.
        """
        check_name("breakers.add(name)", name)
        if name in self._kept or name in self._of_recipients:
            raise InvalidOptionError(
                "breakers.add(name)",
                expected="a name that no breaker of the node has",
                got=cut(name),
                fix="add it before it is used, or use breakers.get() for the one that is there.",
            )
        breaker = self._kept[name] = self._make(name, policy)
        return breaker

    def get(self, name: str) -> CircuitBreaker:
        """Return the breaker of this name; it is made, with the node's policy or else the default one, if need be.

        It is kept as long as the node: names are for the few things that fail by themselves, not for each user or order.

        Raises:
            InvalidOptionError: the name is no string, or is empty.
        """
        check_name("breakers.get(name)", name)
        breaker = self._kept.get(name)
        if breaker is None:
            breaker = self._of_recipients.pop(name, None) or self._make(name, self.policy or DEFAULT_POLICY)
            self._kept[name] = breaker
        return breaker

    def of_recipient(self, recipient: Ref) -> CircuitBreaker | None:
        """Return the breaker of a recipient of supervised sends; None when recipients have none."""
        policy = self.policy
        if policy is None or recipient == "":  # "" is nobody, as the send itself will say
            return None
        name = recipient if isinstance(recipient, str) else repr(recipient)
        breaker = self._kept.get(name) or self._of_recipients.get(name)
        if breaker is None:
            if len(self._of_recipients) >= self._sweep_at:
                self._sweep()
            breaker = self._of_recipients[name] = self._make(name, policy)
        return breaker

    def rejecting(self) -> list[str]:
        """Return the names of the recipients whose breakers would reject a send now; none when recipients have none."""
        return [] if self.policy is None else [breaker.name for breaker in self if breaker.rejects]

    def statistics(self) -> tuple[BreakerStatistics, ...]:
        """Return how each breaker does now."""
        return tuple(breaker.statistics() for breaker in self)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter([*self._kept.values(), *self._of_recipients.values()])

    def __len__(self) -> int:
        return len(self._kept) + len(self._of_recipients)

    def _make(self, name: str, policy: BreakerPolicy) -> CircuitBreaker:
        breaker = CircuitBreaker(name, policy, clock=self._node.clock, seed=self._node.random.getrandbits(32))
        breaker.node = self._node
        return breaker

    def _sweep(self) -> None:
        """Forget the idle breakers of recipients; next when there are twice as many as are left."""
        idle = WeakValueDictionary({one.name: one for one in self._of_recipients.values() if one._idle()})
        for name in list(idle):
            del self._of_recipients[name]
        self._of_recipients.update(idle)  # those that a send or a call still has: how it ends is to be remembered
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._of_recipients))


def breakers_of(node: Node) -> Breakers:
    """Return the breakers of a node, made when they are first asked for."""
    if node.breaker_table is None:
        node.breaker_table = Breakers(node)
    return node.breaker_table


def breaker_for(node: Node, recipient: Ref, given: CircuitBreaker | str | None) -> CircuitBreaker | None:
    """Return the breaker that guards a send, or None.

    Args:
        node: The node of the send.
        recipient: To whom it is.
        given: A breaker; the name of one of the node's; or None for the recipient's own, if recipients have theirs.
    """
    if given is None:
        breakers = node.breaker_table
        return None if breakers is None else breakers.of_recipient(recipient)
    return breakers_of(node).get(given) if isinstance(given, str) else given


def checked_breaker(subject: str, breaker: object) -> CircuitBreaker | str | None:
    """Return what an option ``breaker`` is: a breaker, the name of one of the node's, or None.

    Raises:
        InvalidOptionError: it is none of these.
    """
    if breaker is None or isinstance(breaker, CircuitBreaker) or (isinstance(breaker, str) and breaker):
        return breaker
    raise InvalidOptionError(
        subject, expected="a CircuitBreaker, the name of one of the node's, or None", got=cut(breaker)
    )
