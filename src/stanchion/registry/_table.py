# SPDX-License-Identifier: MIT
"""The table of one registry: which process holds which key, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError, KeyTakenError
from stanchion.kernel import INFO, Owned, Pid, Possession, Process, connect, disconnect, disown, own, undeliverable


class Entry(NamedTuple):
    """One entry of a registry.

    Attributes:
        key: The key.
        pid: The process that registered it.
        value: What it gave with it.
    """

    key: Hashable
    pid: Pid
    value: object


class Registered(NamedTuple):
    """The plain message by which a registry tells its listeners of an entry that was made.

    Attributes:
        registry: The registry.
        key: The key.
        pid: The process that registered it.
        value: What it gave with it.

    Source: ``{:register, registry, key, pid, value}`` of Elixir.
    """

    registry: Pid
    key: Hashable
    pid: Pid
    value: object


class Unregistered(NamedTuple):
    """The plain message by which a registry tells its listeners that a process has no entry under a key any more.

    It comes too when the process exits (Elixir tells listeners nothing of an exit).

    Attributes:
        registry: The registry.
        key: The key.
        pid: The process that had registered it.

    Source: ``{:unregister, registry, key, pid}`` of Elixir.
    """

    registry: Pid
    key: Hashable
    pid: Pid


class Record:
    """An entry in the table. Only the table changes it."""

    __slots__ = ("holding", "key", "siblings", "value")

    def __init__(self, holding: Holding, siblings: dict[Record, None], key: Hashable, value: object) -> None:
        self.holding = holding
        # The records of its key, of which it is one.
        self.siblings = siblings
        self.key = key
        self.value = value


class Holding(Owned):
    """What one process has in one registry; the process owns it while there is a record in it."""

    __slots__ = ("_table", "linked", "process", "records")

    def __init__(self, table: Table, process: Process, *, linked: bool) -> None:
        self._table = table
        self.process = process
        # Whether the registry made the link between the two, and is to take it away.
        self.linked = linked
        # In the order of registration.
        self.records: dict[Record, None] = {}

    def release(self) -> None:
        """Take the entries out of the registry; the exit of the process calls this."""
        self._table.forget(self)

    def held(self) -> Iterable[Possession]:
        """See ``Owned.held``."""
        return [Possession("key", f"{cut(record.key)} in {self._table!r}") for record in self.records]


class Table(Owned):
    """The keys of one registry, owned by its process.

    Each record is in ``_by_key`` and in the holding of its process, or in neither; no key and no process is in here
    without a record. Every change is one step, without an await in it.
    """

    __slots__ = ("_by_key", "_by_process", "_listeners", "count", "meta", "process", "unique")

    def __init__(
        self, process: Process, *, unique: bool, listeners: Iterable[str], meta: Mapping[Hashable, object]
    ) -> None:
        self.process = process
        self.unique = unique
        self.meta = dict(meta)
        # How many records there are.
        self.count = 0
        self._listeners = tuple(listeners)
        # In the order of registration.
        self._by_key: dict[Hashable, dict[Record, None]] = {}
        self._by_process: dict[Process, Holding] = {}

    def __repr__(self) -> str:
        return repr(self.process)

    # --- looking ---------------------------------------------------------------------------------

    def holder(self, key: Hashable) -> Pid | None:
        """Return who registered a key first, or None."""
        return next((record.holding.process.pid for record in self._by_key.get(key, ())), None)

    def pairs(self, key: Hashable) -> list[tuple[Pid, object]]:
        """Return the pid and the value of each entry under a key."""
        return [(record.holding.process.pid, record.value) for record in self._by_key.get(key, ())]

    def of(self, process: Process | None, key: Hashable) -> list[Record]:
        """Return the records of a process under a key."""
        holding = None if process is None else self._by_process.get(process)
        records = self._by_key.get(key)
        if holding is None or records is None:
            return []
        # Both are in the order of registration.
        few, many = sorted((holding.records, records), key=len)
        return [record for record in few if record in many]

    def keys(self, process: Process | None) -> list[Hashable]:
        """Return the keys of a process, each as often as it is registered."""
        holding = None if process is None else self._by_process.get(process)
        return [] if holding is None else [record.key for record in holding.records]

    def entries(self) -> list[Entry]:
        """Return everything, key by key."""
        return [
            Entry(record.key, record.holding.process.pid, record.value)
            for records in self._by_key.values()
            for record in records
        ]

    # --- changing --------------------------------------------------------------------------------

    def add(self, process: Process, key: Hashable, value: object, subject: str) -> None:
        """Register a process that has not finished, and link it with the registry.

        Raises:
            KeyTakenError: the registry is unique, and has the key.
            InvalidOptionError: the process belongs to another node; the text starts with ``subject``.
        """
        if process.node is not self.process.node:
            raise InvalidOptionError(
                subject, expected=f"a registry of the process's node, for {process.pid!r}", got=f"{self!r} of another"
            )
        holder = self.holder(key) if self.unique else None
        if holder is not None:
            raise KeyTakenError(repr(self), cut(key), holder, by_itself=holder is process.pid)
        # The key first: it is the user's code that compares it, and may raise.
        siblings = self._by_key.setdefault(key, {})
        holding = self._by_process.get(process) or self._begin(process)
        record = Record(holding, siblings, key, value)
        siblings[record] = holding.records[record] = None
        self.count += 1
        self._tell(Registered(self.process.pid, key, process.pid, value))

    def remove(self, process: Process, key: Hashable, matches: Callable[[Record], object] | None = None) -> None:
        """Take the records of a process under a key away, or those that match."""
        gone = [record for record in self.of(process, key) if matches is None or matches(record)]
        # What matches is the user's code, and may have changed the registry.
        gone = [record for record in gone if record in record.holding.records]
        if not gone:
            return
        holding = gone[0].holding
        for record in gone:
            self._take(record)
            del holding.records[record]
        if not holding.records:
            disown(process, holding)
            self._end(holding)
        if not self.of(process, key):
            self._tell(Unregistered(self.process.pid, key, process.pid))

    def forget(self, holding: Holding) -> None:
        """Take everything of a process away that exits."""
        for record in holding.records:
            self._take(record)
        self._end(holding)
        for key in dict.fromkeys(record.key for record in holding.records):
            self._tell(Unregistered(self.process.pid, key, holding.process.pid))
        holding.records.clear()  # as in release()

    def release(self) -> None:
        """Let the processes go; the exit of the registry calls this. Their links tell them of it."""
        for process, holding in self._by_process.items():
            disown(process, holding)
            holding.records.clear()
        for records in self._by_key.values():
            records.clear()  # a record and what it is in would keep each other alive
        self._by_process.clear()
        self._by_key.clear()

    def users(self) -> Iterable[Pid]:
        """See ``Owned.users``: whoever has an entry."""
        return [process.pid for process in self._by_process]

    def _begin(self, process: Process) -> Holding:
        linked = process is not self.process and self.process not in (process.links or ())
        if linked:
            connect(process, self.process)
        holding = self._by_process[process] = Holding(self, process, linked=linked)
        own(process, holding)
        return holding

    def _end(self, holding: Holding) -> None:
        del self._by_process[holding.process]
        if holding.linked:
            # Also when the process exits: its entries are gone, so the registry has no use for the exit signal.
            disconnect(holding.process, self.process)

    def _take(self, record: Record) -> None:
        del record.siblings[record]
        self.count -= 1
        # A key that the user changed meanwhile is not found, or is another's.
        if not record.siblings and self._by_key.get(record.key) is record.siblings:
            del self._by_key[record.key]

    def _tell(self, message: Registered | Unregistered) -> None:
        node = self.process.node
        for name in self._listeners:
            pid = node.names.get(name)
            refusal = "noproc" if pid is None else pid._mailbox.put((INFO, message, None))
            if refusal is not None:
                undeliverable(node, name, message, refusal)
