# SPDX-License-Identifier: MIT
"""Options of a child_spec that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stanchion._validate import cut
from stanchion.errors import ChildSpecError
from stanchion.supervisor._starts import is_start_function, label_of_start

if TYPE_CHECKING:
    from stanchion.supervisor._child_spec import ChildSpec


def check_contradictions(spec: ChildSpec) -> None:
    """Raise when a spec's options, each of which is right, do not go together.

    Raises:
        ChildSpecError: they do not.
    """
    if spec.significant and spec.restart == "permanent":
        raise ChildSpecError(
            spec.id,
            expected="restart='transient' or 'temporary' for a significant child",
            got="'permanent'",
            fix="pass restart='transient'; a permanent child is always restarted, so its exit is never an end.",
        )
    for option in ("backoff", "budget"):
        if spec.restart == "temporary" and getattr(spec, option) is not None:
            raise ChildSpecError(
                spec.id,
                expected=f"restart='permanent' or 'transient' for a child with {option}=",
                got="'temporary'",
                fix=f"leave out {option}=; a temporary child is never restarted.",
            )
    for option in ("name", "mailbox"):
        if is_start_function(spec.start) and getattr(spec, option) is not None:
            raise ChildSpecError(
                spec.id,
                expected=f"no {option}= for a start function",
                got=cut(getattr(spec, option)),
                fix=f"pass {option}= to the start_link() or spawn_link() in {label_of_start(spec.start)}().",
            )
