# SPDX-License-Identifier: MIT
"""The result, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from examples.relay.demo.account import Account
from examples.relay.demo.tally import Tally

COLUMNS: Final = (
    "received",
    "delivered",
    "failed",
    "restarted",
    "dead-lettered",
    "redelivered",
    "duplicates",
    "lost",
)


def rows(accounts: Mapping[str, Account], tally: Tally) -> list[tuple[str, Sequence[int]]]:
    """Return the numbers of each subscriber, of the ingress, and of all together."""
    result: list[tuple[str, Sequence[int]]] = []
    for name, account in accounts.items():
        told = [tally[word, name] for word in ("failed", "restarted", "dead-lettered", "redelivered")]
        result.append((name, [account.received, account.delivered, *told, account.duplicates, len(account.lost)]))
    result.append(("ingress", [0, 0, 0, tally["restarted", "ingress"], 0, 0, 0, 0]))
    result.append(("all", [sum(column) for column in zip(*(numbers for _, numbers in result), strict=True)]))
    return result


def table(accounts: Mapping[str, Account], tally: Tally, notes: Mapping[str, str]) -> str:
    """Return the table as text; ``notes`` says something about a row, after its name."""
    lines: list[tuple[str, Sequence[str]]] = [("", COLUMNS)]
    for name, numbers in rows(accounts, tally):
        lines.append((f"{name} ({notes[name]})" if name in notes else name, [str(number) for number in numbers]))
    first = max(len(head) for head, _ in lines)
    widths = [max(len(column), 5) for column in COLUMNS]
    return "\n".join(
        head.ljust(first) + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for head, cells in lines
    )


def problems(accounts: Mapping[str, Account]) -> list[str]:
    """Return what must not be: events that were lost, and arrivals that nobody can explain."""
    found: list[str] = []
    for name, account in accounts.items():
        found += [f"{name}: event {id_} is lost" for id_ in account.lost]
        found += [f"{name}: event {id_} arrived and should not, or with another body" for id_ in account.strange]
    return found
