# SPDX-License-Identifier: MIT
"""The flags of a supervisor: its strategy, when it gives up, and when it shuts itself down."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple, get_args

from stanchion._validate import Seconds, cut, one_of, whole_number
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.supervisor._child_spec import ChildSpec, checked_spec
from stanchion.supervisor._restart_window import positive_seconds

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is restarted with a child: nobody, all the others, or those that were started after it."""

AutoShutdown = Literal["never", "any_significant", "all_significant"]
"""When a supervisor exits because significant children have exited: never, at the first one, or at the last one."""


class Flags(NamedTuple):
    """The arguments of ``Supervisor.init``, checked."""

    children: list[ChildSpec]
    strategy: Strategy
    max_restarts: int
    max_seconds: float
    auto_shutdown: AutoShutdown


def checked_flags(
    subject: str,
    children: Iterable[ChildSpec],
    strategy: Strategy,
    max_restarts: int,
    max_seconds: Seconds,
    auto_shutdown: AutoShutdown = "never",
) -> Flags:
    """Check the arguments of a supervisor; ``subject`` is what takes them, for texts.

    Raises:
        ChildSpecError: something in ``children`` is no spec, an id comes twice, or a child is significant to a
            supervisor that never shuts itself down.
        InvalidOptionError: another argument is wrong.
    """
    one_of(f"{subject}(strategy)", strategy, get_args(Strategy))
    one_of(f"{subject}(auto_shutdown)", auto_shutdown, get_args(AutoShutdown))
    specs = _checked_specs(f"{subject}(children)", children)
    for spec in specs:
        check_significant(spec, subject, auto_shutdown)
    restarts = whole_number(f"{subject}(max_restarts)", max_restarts)
    return Flags(specs, strategy, restarts, positive_seconds(f"{subject}(max_seconds)", max_seconds), auto_shutdown)


def check_childspecs(children: Iterable[ChildSpec], auto_shutdown: AutoShutdown | None = None) -> None:
    """Check that a supervisor could take these children; nothing is started.

    Each spec was checked when it was made; this adds what concerns all of them.

    Args:
        children: What ``child_spec`` and ``supervisor_spec`` returned.
        auto_shutdown: That of the supervisor; None leaves it out of the check.

    Raises:
        ChildSpecError: something in ``children`` is no spec, an id comes twice, or a child is significant to a
            supervisor that never shuts itself down.
        InvalidOptionError: ``children`` is no iterable, or ``auto_shutdown`` is wrong.

    Source: ``supervisor:check_childspecs/2``, which returns the error.
    """
    if auto_shutdown is not None:
        one_of("check_childspecs(auto_shutdown)", auto_shutdown, get_args(AutoShutdown))
    for spec in _checked_specs("check_childspecs(children)", children):
        if auto_shutdown is not None:
            check_significant(spec, "check_childspecs", auto_shutdown)


def check_significant(spec: ChildSpec, supervisor: str, auto_shutdown: AutoShutdown) -> None:
    """Raise for a significant child of a supervisor to which none can be significant.

    Raises:
        ChildSpecError: it is one.
    """
    if spec.significant and auto_shutdown == "never":
        raise ChildSpecError(
            spec.id,
            expected="a supervisor that a significant child can shut down",
            got=f"{supervisor} with auto_shutdown='never'",
            fix="pass auto_shutdown='any_significant' or 'all_significant' to the supervisor, or leave out significant=.",
        )


def _checked_specs(subject: str, children: Iterable[ChildSpec]) -> list[ChildSpec]:
    """Return the specs as a list: each is one, and no two have the same id."""
    if not isinstance(children, Iterable):
        raise InvalidOptionError(
            subject, expected="a list of child specs", got=cut(children), fix="put it into a list: [child_spec(...)]."
        )
    specs: dict[Hashable, ChildSpec] = {}
    for spec in children:
        checked_spec(spec)
        if spec.id in specs:
            raise ChildSpecError(
                spec.id,
                expected="an id that no other child of the supervisor has",
                got=f"{specs[spec.id]!r} and {spec!r}",
                fix="pass id= to one of them.",
            )
        specs[spec.id] = spec
    return list(specs.values())
