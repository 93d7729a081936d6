# SPDX-License-Identifier: MIT
"""The via address of a registry's key, and the text that a stored letter keeps of it."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Hashable
from typing import Final

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Pid, Ref, Via
from stanchion.registry._owned_table import find_table, running_table
from stanchion.registry._table import Table

WHAT: Final = "registry"
START: Final = "child_spec(Registry, 'unique', name={name})"
_TEXT: Final = "Registry.via"
# Longer than any key that somebody wants to read, and shorter than what a letter keeps of its recipient.
_LONGEST_TEXT: Final = 1_000


class RegistryVia(Via):
    """The process that holds one key of a unique registry; see ``Registry.via``. Two of the same key are equal."""

    __slots__ = ("_key", "_registry", "_value")

    def __init__(self, registry: Ref, key: Hashable, value: object) -> None:
        self._registry = registry
        self._key = key
        self._value = value

    def whereis(self) -> Pid | None:
        """Return who holds the key now; None when nobody does, or the registry does not run.

        Raises:
            InvalidOptionError: the process that is named is no registry, or its keys are duplicate.
            NoNodeError: the registry is given by its name, outside of every node.
        """
        table = find_table(self._registry, Table, "Registry.via(registry)", WHAT)
        return None if table is None else _unique(table).holder(self._key)

    def register(self, pid: Pid) -> None:
        """Give the key to a process.

        Raises:
            KeyTakenError: another process has it.
            InvalidOptionError: the registry does not run, is none, or has duplicate keys; or the process is gone or
                belongs to another node.
            NoNodeError: the registry is given by its name, outside of every node.
        """
        process = pid._process
        if process is None:
            raise InvalidOptionError("register(pid)", expected="a live process", got=f"{pid!r}, which has ended")
        table = _unique(running_table(self._registry, Table, "Registry.via(registry)", WHAT, START))
        table.add(process, self._key, self._value, "Registry.via(registry)")

    def unregister(self, pid: Pid) -> None:
        """Take the key from a process; one that exits has lost it by then."""
        process = pid._process
        table = find_table(self._registry, Table, "Registry.via(registry)", WHAT) if process else None
        if table is not None and process is not None:
            table.remove(process, self._key)

    @property
    def text(self) -> str | None:
        """What ``ref_of`` makes the same address of; None when the registry or the key is nothing that text can name.

        That is so for a registry that is given by its pid, and for a key that is no plain literal.
        """
        text = repr(self)
        return text if ref_of(text) == self else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegistryVia) and (self._registry, self._key) == (other._registry, other._key)

    def __hash__(self) -> int:
        return hash((self._registry, self._key))

    def __repr__(self) -> str:
        return f"{_TEXT}({cut(self._registry, _LONGEST_TEXT)}, {cut(self._key, _LONGEST_TEXT)})"


def ref_of(text: str) -> str | RegistryVia:
    """Return the via address that a text says, else the text itself, which then is a plain name."""
    if not text.startswith(f"{_TEXT}(") or len(text) > _LONGEST_TEXT:
        return text
    try:
        match literal_eval(text.removeprefix(_TEXT)):
            case (str(registry), key) if registry:
                hash(key)
                return RegistryVia(registry, key, None)
            case _:
                return text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _unique(table: Table) -> Table:
    if not table.unique:
        raise InvalidOptionError(
            "Registry.via(registry)",
            expected="a registry of unique keys",
            got=f"{table!r}, whose keys are duplicate",
            fix="send to each process of Registry.lookup(), or use Registry.dispatch().",
        )
    return table
