# SPDX-License-Identifier: MIT
"""The flags of a supervisor: its strategy, when it gives up, and when it shuts itself down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from stanchion._validate import Seconds, one_of, whole_number
from stanchion.errors import ChildSpecError
from stanchion.supervisor._child_spec import ChildSpec, checked_specs
from stanchion.supervisor._restart_window import positive_seconds
from stanchion.supervisor._strategies import Strategy, checked_strategy

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
    period = positive_seconds(f"{subject}(max_seconds)", max_seconds)
    auto_shutdown = checked_auto_shutdown(f"{subject}(auto_shutdown)", auto_shutdown)
    specs = checked_specs(f"{subject}(children)", children)
    for spec in specs:
        check_significant(spec, subject, auto_shutdown)
    return Flags(
        specs,
        checked_strategy(f"{subject}(strategy)", strategy),
        whole_number(f"{subject}(max_restarts)", max_restarts),
        period,
        auto_shutdown,
    )


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
        checked_auto_shutdown("check_childspecs(auto_shutdown)", auto_shutdown)
    for spec in checked_specs("check_childspecs(children)", children):
        if auto_shutdown is not None:
            check_significant(spec, "check_childspecs", auto_shutdown)


def checked_auto_shutdown(subject: str, auto_shutdown: str) -> AutoShutdown:
    """Return ``auto_shutdown`` when it is one.

    Raises:
        InvalidOptionError: it is not; the error names the nearest one.
    """
    return one_of(subject, auto_shutdown, get_args(AutoShutdown))  # type: ignore[return-value]  # narrowed by one_of


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
