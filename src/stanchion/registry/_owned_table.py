# SPDX-License-Identifier: MIT
"""Where a registry keeps its table: among what its process owns.

So the table belongs to one node, is gone in the step in which the process exits, and is found without asking it.
"""

from __future__ import annotations

from typing import TypeVar

from stanchion._validate import cut, nearest
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Ref, current_node, find, owned_of

_T = TypeVar("_T")


def find_table(ref: Ref, kind: type[_T], subject: str, what: str) -> _T | None:
    """Return the table of the process that a ref means; None when no such process runs, or is only being started.

    Args:
        ref: Whose table.
        kind: The class of the table.
        subject: Which argument of which call ``ref`` is, for texts.
        what: What such a process is called, for texts.

    Raises:
        InvalidOptionError: ``ref`` is no ref, or means a process of another kind.
        NoNodeError: a name, outside of every node.
    """
    pid = find(ref, subject)
    process = None if pid is None else pid._process
    if process is None:
        return None
    table = owned_of(process, kind)
    if table is None and not process.starting:
        raise InvalidOptionError(
            subject, expected=f"a running {what}", got=f"{process!r}, which is none", fix=_suggestion(ref, kind)
        )
    return table


def running_table(ref: Ref, kind: type[_T], subject: str, what: str, start: str) -> _T:
    """Return the table of the process that a ref means; ``start`` is what starts one of a name, for the error.

    Raises:
        InvalidOptionError: no such process runs, and as for ``find_table``.
        NoNodeError: a name, outside of every node.
    """
    table = find_table(ref, kind, subject, what)
    if table is not None:
        return table
    pid, fix = find(ref, subject), None
    if pid is None:
        state = "which nobody holds"
        fix = _suggestion(ref, kind) or f"start it before those who use it: {start.format(name=cut(ref))}."
    else:
        state = "which has ended" if pid._process is None else "whose init is not done"
    raise InvalidOptionError(subject, expected=f"a running {what}", got=f"{cut(ref)}, {state}", fix=fix)


def _suggestion(ref: Ref, kind: type[object]) -> str | None:
    """Return the fix that names the process of this kind that may be meant, or None."""
    if not isinstance(ref, str):
        return None
    names = current_node("").names
    holders = {name: pid._process for name in names.all() if (pid := names.get(name)) is not None}
    guess = nearest(ref, [name for name, process in holders.items() if process and owned_of(process, kind)])
    return f"write {guess!r}." if guess else None
