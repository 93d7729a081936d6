# SPDX-License-Identifier: MIT
"""TimeoutPolicy: the limit of every wait for which the code gives none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, cast

from stanchion._validate import Seconds, cut, seconds_or_none
from stanchion.errors import InvalidOptionError
from stanchion.timeouts import _operations
from stanchion.timeouts._decision import TimeoutDecision
from stanchion.timeouts._given import Given, key_of, rule_of, settings_of
from stanchion.timeouts._marker import POLICY, Policy
from stanchion.timeouts._names import names_of, operation_of, services_of
from stanchion.timeouts._operations import Operation
from stanchion.timeouts._rules import BUILT_IN, KINDS, Limits, Rule, RuleBook, RuleKey, RuleKind, Settings

if TYPE_CHECKING:
    from stanchion.kernel import Pid
    from stanchion.timeouts._source import Signature, Source
    from stanchion.timeouts._watch import Watch

Code = type[Any] | Callable[..., Any]
"""What a process runs: the class of a server, or a plain process's function."""

_SET: Final = "set at run time"


class TimeoutPolicy:
    """How long a wait may last where the code says nothing.

    Of the rules that speak of a wait the first in this order counts: that of its operation; the most specific pattern
    of operations; the own default of a wait of Stanchion's; that of the service, which is the server; the default. Its
    seconds are multiplied by the factor of the environment, and then bounded by minimum and maximum. What a call says
    itself, as ``timeout=``, goes before all that, and is not changed by it. At last, a deadline cuts every limit.

    An operation is known by two names, of which the first goes before the second: the text in the request's attribute
    ``operation``, else a request that is text, else the text that a tuple begins with; and the path of the request's
    class, ``shop.orders.Reserve``. The waits of Stanchion's own are operations too: ``stanchion.init``, say. A service
    is known by its registered name, and then by the path of its class. Rules for a class do not count for those that
    derive from it. Declare ``operation`` in the class (an annotation will do) where requests of one class differ in it.

    A pattern has dot-separated segments: ``*`` stands for one, ``**`` for any number, none included. Of two that match,
    the more specific one has more plain segments; or else more ``*``; or else fewer ``**``; or else is plain where they
    first differ; or else comes first in the alphabet.

    ``set`` and ``reset`` change rules while the program runs, and a change holds from the next wait on. All methods may
    be called from any thread.

    Example:
        >>> policy = TimeoutPolicy(5.0, operations={"reserve": 2.0}, patterns={"cache.*": 0.1}, factor=2.0)
        >>> print(policy.explain("inventory", "cache.get"))
        cache.get to inventory: 0.2 s
          rule      pattern 'cache.*' = 0.1 s (code)
          factor    2
          not       default = 5 s (code)
    """

    def __init__(
        self,
        default: Seconds = 5.0,
        *,
        services: Mapping[str | Code, Seconds] | None = None,
        operations: Mapping[str | type, Seconds] | None = None,
        patterns: Mapping[str, Seconds] | None = None,
        factor: float = 1.0,
        environments: Mapping[str, float] | None = None,
        environment: str | None = None,
        minimum: Seconds | None = None,
        maximum: Seconds | None = None,
        debugger: Seconds = 3600.0,
    ) -> None:
        """Make a policy of what is passed, and of nothing else; ``TimeoutPolicy.load()`` reads files and variables.

        Every limit is more than 0. There is no rule for no limit: write ``timeout=None`` where the wait is.

        Args:
            default: Seconds, where no rule says something else.
            services: Seconds by server: its registered name, its class, or the class's path.
            operations: Seconds by operation: its name, the class of the request, or the class's path.
            patterns: Seconds by pattern of operations.
            factor: What limits are multiplied by; more than 0.
            environments: The factors of environments that have one of their own: ``{"ci": 4.0}``.
            environment: Which environment this is; None, or one that is not in ``environments``, has ``factor``.
            minimum: Seconds that no limit is less than; None for no such bound.
            maximum: Seconds that no limit is more than; None for no such bound.
            debugger: Seconds by which the end of a wait is put off, at most, while a debugger is attached; 0 puts off
                none. Virtual time, which stands at a breakpoint, is not stretched.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        given: dict[str, object] = {
            "default": default,
            "services": services,
            "operations": operations,
            "patterns": patterns,
            "factor": factor,
            "environments": environments,
            "environment": environment,
            "minimum": minimum,
            "maximum": maximum,
            "debugger": debugger,
        }
        optional = ("services", "operations", "patterns", "environments", "environment", "minimum", "maximum")
        self._begin(
            settings_of(
                {
                    key: Given(value, f"TimeoutPolicy({key})")
                    for key, value in given.items()
                    if value is not None or key not in optional
                }
            )
        )

    def _begin(self, settings: Settings, source: Source | None = None, signature: Signature = None) -> None:
        # Whoever changes one of those below holds it. Readers need not: each takes the book, which never changes.
        self._lock = Lock()
        # Where it was loaded from, and what that looked like then.
        self._source = source
        self._signature = signature
        # What was set at run time; it goes before what was loaded, and outlives it.
        self._set: dict[RuleKey, Rule] = {}
        self._book = RuleBook(settings.rules, settings)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        environment: str | None = None,
        watch: Seconds | None = None,
    ) -> Self:
        """Return the policy that a file and the environment describe; it blocks, as reading files does.

        The environment goes before the file: ``STANCHION_TIMEOUTS__DEFAULT=2.0``, and so ``__FACTOR``, ``__MINIMUM``,
        ``__MAXIMUM``, ``__DEBUGGER``, ``__WATCH`` and ``__ENVIRONMENT``, for which ``STANCHION_ENVIRONMENT`` will do.
        ``run`` and ``stanchion run`` load their policy so; a ``Node`` has what it is given.

        Args:
            path: A TOML file with the arguments of ``TimeoutPolicy``, and ``watch``, as its keys, or a
                ``pyproject.toml`` with them in ``[tool.stanchion.timeouts]``. None looks for such a ``pyproject.toml``,
                in the current folder and then upward; without one, there is the built-in default, 5 seconds.
            environment: Which environment this is; None for what file or environment variable say.
            watch: Seconds from one look at the file to the next, in each node that has the policy. When it has changed,
                it is loaded again; when it is wrong then, the rules stay as they are, and that is logged and told as an
                event. None for what the file says; without that, there are no looks.

        Raises:
            TimeoutsConfigError: file or environment are wrong, or the file cannot be read.
            InvalidOptionError: an argument is wrong.
        """
        before: dict[str, Given] = {}
        if environment is not None:
            before["environment"] = Given(environment, "TimeoutPolicy.load(environment)")
        if watch is not None:
            before["watch"] = Given(watch, "TimeoutPolicy.load(watch)")
        from stanchion.timeouts._source import source_of  # only those who load one pay for it

        # Found once and for all: when the folder changes, or the file is gone for a moment, no other one is meant.
        source = source_of(path, before)
        settings, signature = source.load()
        policy = cls.__new__(cls)
        policy._begin(settings, source, signature)
        return policy

    # --- what it says ----------------------------------------------------------------------------

    @property
    def default(self) -> float:
        """The seconds of the default rule, before factor, minimum and maximum."""
        return self._book.rules[-1].seconds

    @property
    def factor(self) -> float:
        """The factor in force."""
        return self._book.settings.factor_in_force

    @property
    def environment(self) -> str | None:
        """The environment; None for none."""
        return self._book.settings.environment

    @property
    def minimum(self) -> float | None:
        """Seconds that no limit of a rule is less than; None for no such bound."""
        return self._book.settings.minimum

    @property
    def maximum(self) -> float | None:
        """Seconds that no limit of a rule is more than; None for no such bound."""
        return self._book.settings.maximum

    @property
    def longest(self) -> float:
        """Seconds of the longest limit that a rule gives, by the factor and bounds in force."""
        book = self._book
        return book.bounded(max(rule.seconds for rule in book.rules))

    @property
    def debugger(self) -> float:
        """Seconds by which the end of a wait is put off, at most, while a debugger is attached."""
        return self._book.settings.debugger

    @property
    def watch(self) -> float | None:
        """Seconds from one look at the file to the next; None for no looks."""
        return self._book.settings.watch

    @property
    def file(self) -> str | None:
        """The file that it was loaded from; None for none."""
        return None if self._source is None else self._source.file

    def rules(self, *, built_in: bool = False) -> tuple[Rule, ...]:
        """Return the rules in force, sorted by kind, in the order in which they count, and by key.

        Args:
            built_in: Whether to return the own defaults of Stanchion's waits too.
        """
        built_ins = _own_operations().values() if built_in else ()
        own = [Rule("built_in", one.operation, one.default, BUILT_IN) for one in built_ins if one.default is not None]
        return tuple(sorted((*self._book.rules, *own), key=lambda rule: KINDS.index(rule.kind)))

    def limits(self, code: object, name: object) -> Limits:
        """Return the table, shared by all servers of a kind, in which ``limit`` keeps what it finds.

        Args:
            code: The server's class, or a plain process's function; or text.
            name: Its registered name, or None.
        """
        return self._book.table(code, name).by_type

    def limit(self, code: object, name: object, request: object) -> float:
        """Return the seconds that a wait for the answer to a request may last.

        It is kept in the table of ``limits`` where all requests of the type have the same.
        """
        book = self._book
        table = book.table(code, name)
        kind, operation, shared = operation_of(request)
        if not book.names_operations and not isinstance(request, Operation):
            shared = not isinstance(request, type)
        limit = table.by_type.get(kind) if shared else table.by_value.get((kind, operation))
        if limit is None:
            limit = book.limit(code, name, request)
            table.keep(kind, operation, limit, shared=shared)
            # A thread that changes the rules empties the tables after it has replaced the book. If it has by now, this
            # entry may have come too late for that.
            if book is not self._book:
                table.clear()
        return limit

    def explain(
        self,
        server: Pid | Code | str,
        request: object,
        *,
        timeout: Seconds | Policy | None = POLICY,
        deadline: Seconds | None = None,
    ) -> TimeoutDecision:
        """Return which limit a wait has, and why: which rule, which factor, which bound, which deadline.

        Args:
            server: Whom it is for: a pid, a class, the path of one, or a registered name. A name alone does not tell
                the class, whose rule is not seen then; a pid tells both.
            request: What it is asked: the request, its class, or the name of its operation.
            timeout: What the call says; ``POLICY``, the default, leaves it to the rules.
            deadline: Seconds that a deadline leaves; None for no deadline.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        code, name = _code_and_name(server)
        if isinstance(request, str):
            request = _own_operations().get(request, request)
        left = seconds_or_none("TimeoutPolicy.explain(deadline)", deadline)
        if timeout is not POLICY:
            timeout = seconds_or_none("TimeoutPolicy.explain(timeout)", timeout)
        return self.decide(code, name, request, timeout=timeout, deadline=left)

    def decide(
        self,
        code: object,
        name: object,
        request: object,
        *,
        timeout: float | Policy | None = POLICY,
        deadline: float | None = None,
    ) -> TimeoutDecision:
        """Return what ``explain`` does, of a server by its code and its name as ``limit`` takes them."""
        book = self._book
        settings = book.settings
        server, operation = services_of(code, name)[0], names_of(request)[0]
        rules = tuple(book.matching(code, name, request))
        if isinstance(timeout, Policy):
            base, factor = rules[0].seconds, settings.factor_in_force
            limit = book.bounded(base)
            decision = TimeoutDecision(
                server,
                operation,
                limit,
                base,
                rules[0],
                factor,
                settings.environment,
                minimum=settings.minimum if limit > base * factor else None,
                maximum=settings.maximum if limit < base * factor else None,
                losers=rules[1:],
            )
        else:
            decision = TimeoutDecision(server, operation, timeout, timeout, None, losers=rules)
        if deadline is None or (decision.limit is not None and decision.limit <= deadline):
            return decision
        return decision._replace(limit=deadline, deadline=deadline)

    # --- changes ---------------------------------------------------------------------------------

    def set(
        self,
        seconds: Seconds,
        *,
        service: str | Code | None = None,
        operation: str | type | None = None,
        pattern: str | None = None,
    ) -> None:
        """Give some requests, or all, another limit from the next wait on; waits that have begun keep theirs.

        It goes before what was loaded for the same service, operation or pattern, and stays when the file is loaded
        again, until ``reset``.

        Args:
            seconds: The limit, more than 0.
            service: The server: its registered name, its class, or the class's path.
            operation: The operation: its name, the class of the request, or the class's path.
            pattern: The pattern of operations. With none of the three it is the default.

        Raises:
            InvalidOptionError: an argument is wrong, or more than one of the three is given; nothing was changed.
        """
        kind, key = _one_of_three("set", service=service, operation=operation, pattern=pattern)
        rule = rule_of(kind, key, Given(seconds, "TimeoutPolicy.set(seconds)", _SET))
        with self._lock:
            self._replace(self._book.settings, {**self._set, (kind, rule.key): rule})

    def reset(
        self,
        *,
        service: str | Code | None = None,
        operation: str | type | None = None,
        pattern: str | None = None,
        default: bool = False,
    ) -> None:
        """Take back what ``set`` said of a service, an operation, a pattern or the default, or all of it.

        What was loaded holds again. What was not set is left as it is.

        Args:
            service: See ``set``.
            operation: See ``set``.
            pattern: See ``set``.
            default: Whether to take back the default. With none of the four, everything is.

        Raises:
            InvalidOptionError: more than one of them is given.
        """
        kind, key = _one_of_three(
            "reset", service=service, operation=operation, pattern=pattern, default=default or None
        )
        one = None if kind == "default" else key_of(kind, key, Given(key, "TimeoutPolicy.reset()"))
        with self._lock:
            kept = {} if key is None else {other: rule for other, rule in self._set.items() if other != (kind, one)}
            self._replace(self._book.settings, kept)

    def reload(self) -> None:
        """Load it again from where ``load`` found it; it blocks. What ``set`` said stays.

        Raises:
            TimeoutsConfigError: file or environment are wrong, or the file, or its table, is gone. Nothing was changed.
            InvalidOptionError: it was not made by ``TimeoutPolicy.load``.
        """
        if self._source is None:
            raise InvalidOptionError(
                "TimeoutPolicy.reload()",
                expected="a policy that was loaded",
                got="one that was made in code",
                fix="make it by TimeoutPolicy.load(), or change it by set().",
            )
        settings, signature = self._source.load()
        with self._lock:
            self._signature = signature
            self._replace(settings, self._set)

    def _replace(self, settings: Settings, rules: dict[RuleKey, Rule]) -> None:
        before = self._book
        self._set = rules
        self._book = RuleBook({**settings.rules, **rules}, settings)
        before.retire()

    def services(self) -> list[Watch]:
        """Return what opens and closes with each node that has the policy: who looks at its file, if anybody does."""
        source = self._source
        if source is None or source.path is None or self.watch is None:
            return []
        from stanchion.timeouts._watch import Watch  # only those who watch pay for it

        return [Watch(self, source.path, self._signature)]

    def __repr__(self) -> str:
        rules = len(self.rules()) - 1
        more = f", {rules} more rule{'' if rules == 1 else 's'}" if rules else ""
        factor = "" if self.factor == 1.0 else f", factor {self.factor:g}"
        return f"<TimeoutPolicy default {self.default:g} s{more}{factor}>"


def timeouts_of(subject: str, timeouts: TimeoutPolicy | Seconds) -> TimeoutPolicy:
    """Return the policy that an option means: itself, or one with nothing but a default."""
    if isinstance(timeouts, TimeoutPolicy):
        return timeouts
    return TimeoutPolicy(rule_of("default", None, Given(timeouts, subject)).seconds)


def _own_operations() -> dict[str, Operation]:
    """Return the waits of Stanchion's own by their names, sorted."""
    own = [one for one in vars(_operations).values() if isinstance(one, Operation)]
    return {one.operation: one for one in sorted(own, key=lambda one: one.operation)}


def _code_and_name(server: object) -> tuple[object, object]:
    """Return what a server runs, and the name that it is registered under."""
    if isinstance(server, str):
        return server, server
    if hasattr(server, "__qualname__"):
        return server, None
    if not hasattr(server, "_process"):
        raise InvalidOptionError(
            "TimeoutPolicy.explain(server)", expected="a pid, a class, its path, or a registered name", got=cut(server)
        )
    pid = cast("Pid", server)
    return str(pid.name or pid) if pid._process is None else pid._process.code, pid.name


def _one_of_three(method: str, **given: object) -> tuple[RuleKind, object]:
    """Return the kind and the key of the rule that is meant; the default when none is given."""
    there = [(kind, key) for kind, key in given.items() if key is not None]
    if len(there) > 1:
        raise InvalidOptionError(
            f"TimeoutPolicy.{method}()",
            expected="at most one of " + ", ".join(f"{kind}=" for kind in given),
            got=" and ".join(f"{kind}=" for kind, _ in there),
            fix="call it once for each.",
        )
    kind, key = there[0] if there else ("default", None)
    return cast("RuleKind", kind), key
