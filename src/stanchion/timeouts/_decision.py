# SPDX-License-Identifier: MIT
"""Why a wait has the limit that it has."""

from __future__ import annotations

from typing import NamedTuple

from stanchion.timeouts._rules import Rule


class TimeoutDecision(NamedTuple):
    """Which limit a wait has, and why: what ``TimeoutPolicy.explain`` returns. ``str()`` of it is several lines.

    Attributes:
        server: Whom the wait is for, as text.
        request: The name of the operation, or of the request's class.
        limit: Seconds that the wait may last; None for no limit.
        base: Seconds that the rule says, or the call; None when the call says that there is no limit.
        rule: The rule that counts; None when the call says it.
        factor: What the rule's seconds are multiplied by; 1.0 when the call says them.
        environment: The environment that the factor is for; None for none.
        minimum: The policy's minimum, if it made the limit longer; else None.
        maximum: The policy's maximum, if it made the limit shorter; else None.
        deadline: Seconds that the deadline leaves, if it made the limit shorter; else None.
        losers: The rules that speak of the request too, in their order; the default is the last one.
    """

    server: str
    request: str
    limit: float | None
    base: float | None
    rule: Rule | None
    factor: float = 1.0
    environment: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    deadline: float | None = None
    losers: tuple[Rule, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.request} to {self.server}: {_seconds(self.limit)}"]
        lines.append(f"  rule      {f'the call: {_seconds(self.base)}' if self.rule is None else self.rule}")
        if self.factor != 1.0 or (self.environment is not None and self.rule is not None):
            place = "" if self.environment is None else f" (environment {self.environment!r})"
            lines.append(f"  factor    {self.factor:g}{place}")
        for name in ("minimum", "maximum"):
            bound: float | None = getattr(self, name)
            if bound is not None:
                lines.append(f"  {name}   {_seconds(bound)}")
        if self.deadline is not None:
            lines.append(f"  deadline  {_seconds(self.deadline)} left")
        lines += [f"  not       {loser}" for loser in self.losers]
        return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g} s"
