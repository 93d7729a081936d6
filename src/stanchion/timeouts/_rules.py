# SPDX-License-Identifier: MIT
"""The rules in force: which of them speak of a request, which one counts, and what becomes of its seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from stanchion.timeouts._names import names_of, services_of
from stanchion.timeouts._operations import Operation
from stanchion.timeouts._pattern import Pattern

Limits = dict[type, float]
"""What a policy gives requests to servers of one kind, by the request's type; the policy empties it when it changes."""

RuleKind = Literal["operation", "pattern", "built_in", "service", "default"]
"""What a rule speaks of. One that stands earlier here goes first; ``"built_in"`` is the own default of a wait of
Stanchion's."""

KINDS: Final[tuple[RuleKind, ...]] = ("operation", "pattern", "built_in", "service", "default")

BUILT_IN: Final = "built-in"
"""The source of what nobody wrote."""

LONGEST: Final = 3e10
"""A thousand years, as in _validate: no loop's timer adds up what is longer."""

# So many limits of one kind of servers are remembered; operations may be named by data, of which there is no end.
_MOST: Final = 1024


class Rule(NamedTuple):
    """How long the answer to some requests may take, before factor, minimum and maximum.

    Attributes:
        kind: What it speaks of: an ``"operation"``, a ``"pattern"`` of operations, a ``"service"``, a wait of
            Stanchion's own (``"built_in"``), or all (``"default"``).
        key: Which one; None for the default.
        seconds: The limit.
        source: Who says so: a file, an environment variable, ``"code"``, ``"set at run time"`` or ``"built-in"``.
    """

    kind: RuleKind
    key: str | None
    seconds: float
    source: str

    def __str__(self) -> str:
        about = self.kind.replace("_", "-") + ("" if self.key is None else f" {self.key!r}")
        return f"{about} = {self.seconds:g} s ({self.source})"


RuleKey = tuple[RuleKind, str | None]
"""The kind and the key of a rule; there is one rule for each."""


class Settings(NamedTuple):
    """All that a policy is told.

    Attributes:
        rules: The rules; one is the default.
        factor: What limits are multiplied by in an environment that has no factor of its own.
        environments: The factors of environments.
        environment: Which one this is; None for none.
        minimum: Seconds that no rule's limit is less than.
        maximum: Seconds that no rule's limit is more than.
        debugger: Seconds by which the end of a wait is put off while a debugger is attached.
        watch: Seconds from one look at the file to the next; None for no looks.
    """

    rules: Mapping[RuleKey, Rule]
    factor: float = 1.0
    environments: Mapping[str, float] = {}
    environment: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    debugger: float = 3600.0
    watch: float | None = None

    @property
    def factor_in_force(self) -> float:
        """The factor of the environment, or the one for all others."""
        return self.factor if self.environment is None else self.environments.get(self.environment, self.factor)


class Table:
    """The limits that were found for servers of one kind.

    Attributes:
        by_type: Those that all requests of a class have.
        by_value: The others, by the class of the request and the name of its operation.
    """

    __slots__ = ("by_type", "by_value")

    def __init__(self) -> None:
        self.by_type: Final[Limits] = {}
        self.by_value: Final[dict[tuple[type, str | None], float]] = {}

    def keep(self, kind: type, operation: str | None, limit: float, *, shared: bool) -> None:
        """Remember a limit; when there are too many, the others are forgotten, and found anew."""
        if len(self.by_type) + len(self.by_value) >= _MOST:
            self.clear()
        if shared:
            self.by_type[kind] = limit
        else:
            self.by_value[kind, operation] = limit

    def clear(self) -> None:
        """Forget them all."""
        self.by_type.clear()
        self.by_value.clear()


class RuleBook:
    """The rules of a policy as they are until one of them changes; then there is another book.

    Attributes:
        settings: What the policy is told besides; of its rules, those that were loaded.
        rules: The rules, sorted by kind and key; the default is the last one.
        names_operations: Whether a rule or pattern speaks of operations, so that their names count.
    """

    __slots__ = (
        "_common",
        "_default",
        "_operations",
        "_patterns",
        "_services",
        "_tables",
        "names_operations",
        "rules",
        "settings",
    )

    def __init__(self, rules: Mapping[RuleKey, Rule], settings: Settings) -> None:
        self.settings: Final = settings
        self._default = rules["default", None]
        self.rules: Final = tuple(sorted(rules.values(), key=lambda rule: (KINDS.index(rule.kind), rule.key or "")))
        by_kind: dict[RuleKind, dict[str, Rule]] = {kind: {} for kind in KINDS}
        for (kind, key), rule in rules.items():
            by_kind[kind][key or ""] = rule
        self._operations = by_kind["operation"]
        self._services = by_kind["service"]
        patterns = sorted(map(Pattern, by_kind["pattern"]), key=lambda pattern: pattern.order)
        self._patterns = [(pattern, by_kind["pattern"][pattern.text]) for pattern in patterns]
        self.names_operations: Final = bool(self._operations or patterns)
        # Servers that no rule speaks of have one table, so that there are no more tables than rules, whatever the
        # servers are called.
        self._common = Table()
        self._tables = {key: Table() for key in self._services}

    def table(self, code: object, name: object) -> Table:
        """Return the table of a kind of servers."""
        if self._services:
            for service in services_of(code, name):
                if service in self._services:
                    return self._tables[service]
        return self._common

    def retire(self) -> None:
        """Empty the tables, which processes hold; none of them is given out, or filled, any more."""
        self._common.clear()
        for table in self._tables.values():
            table.clear()

    def matching(self, code: object, name: object, request: object) -> Iterator[Rule]:
        """Yield the rules that speak of a request to a server; the first one counts."""
        names = names_of(request)
        for one in names:
            if one in self._operations:
                yield self._operations[one]
        for pattern, rule in self._patterns:
            if any(pattern.matches(one) for one in names):
                yield rule
        # Before the service's: how soon a server answers says nothing of how long it may take to stop.
        if isinstance(request, Operation) and request.default is not None:
            yield Rule("built_in", request.operation, request.default, BUILT_IN)
        for service in services_of(code, name):
            if service in self._services:
                yield self._services[service]
        yield self._default

    def limit(self, code: object, name: object, request: object) -> float:
        """Return the limit that the rules give."""
        return self.bounded(next(self.matching(code, name, request)).seconds)

    def bounded(self, seconds: float) -> float:
        """Return what factor, minimum and maximum make of a rule's seconds."""
        settings = self.settings
        limit = min(seconds * settings.factor_in_force, LONGEST)
        if settings.minimum is not None and limit < settings.minimum:
            return settings.minimum
        if settings.maximum is not None and limit > settings.maximum:
            return settings.maximum
        return limit
