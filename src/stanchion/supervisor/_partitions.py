# SPDX-License-Identifier: MIT
"""Finding the partition of a key, from outside of the partition supervisor."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from zlib import crc32

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Owned, Pid, Ref, Via, find, owned_of


class Partitions(Owned):
    """What a partition supervisor's process owns, so that whoever has its pid finds its partitions."""

    __slots__ = ("count", "pid_of")

    def __init__(self, pid_of: Callable[[int], Pid | None], count: int) -> None:
        # Who runs as a partition, or None.
        self.pid_of = pid_of
        self.count = count


class PartitionVia(Via):
    """The address of one key's partition. Two of the same key are equal."""

    __slots__ = ("_key", "_number", "_supervisor")

    def __init__(self, supervisor: Ref, key: Hashable, number: int) -> None:
        self._supervisor = supervisor
        self._key = key
        self._number = number

    def whereis(self) -> Pid | None:
        """See ``Via.whereis``."""
        table = find_partitions("PartitionSupervisor.via(supervisor)", self._supervisor)
        pid = None if table is None else table.pid_of(self._number % table.count)
        # Until the supervisor has handled the exit, that is a pid that nobody has any more.
        return pid if pid is not None and pid.alive else None

    def register(self, pid: Pid) -> None:
        """Refuse to be anybody's name."""
        raise InvalidOptionError(
            "PartitionSupervisor.via()",
            expected="to be used for a process that runs",
            got=f"as the name of {pid!r}",
            fix="start the partitions by a PartitionSupervisor, and other processes under names of their own.",
        )

    def unregister(self, pid: Pid) -> None:
        """See ``Via.unregister``: nobody is registered."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PartitionVia):
            return NotImplemented
        return (self._supervisor, self._key) == (other._supervisor, other._key)

    def __hash__(self) -> int:
        return hash((self._supervisor, self._key))

    def __repr__(self) -> str:
        return f"PartitionSupervisor.via({self._supervisor!r}, {cut(self._key)})"


def number_of(key: Hashable) -> int:
    """Return the number of a key, which is the same in each run where the key's own hash is not."""
    if isinstance(key, int):
        return abs(key)
    if isinstance(key, str):
        return crc32(key.encode("utf-8", "surrogatepass"))
    return key.id if isinstance(key, Pid) else hash(key)


def find_partitions(subject: str, supervisor: Ref) -> Partitions | None:
    """Return the partitions of a partition supervisor; None when no such process runs, or is only being started.

    Raises:
        InvalidOptionError: ``supervisor`` is no ref, or another process; the text starts with ``subject``.
        NoNodeError: a name, outside of every node.
    """
    pid = find(supervisor, subject)
    process = None if pid is None else pid._process
    if process is None:
        return None
    partitions = owned_of(process, Partitions)
    if partitions is None and not process.starting:
        raise no_partition_supervisor(subject, supervisor)
    return partitions


def no_partition_supervisor(subject: str, supervisor: Ref) -> InvalidOptionError:
    """Return the error for what is no partition supervisor."""
    return InvalidOptionError(
        subject, expected="a running partition supervisor", got=cut(supervisor) + ", which is none"
    )
