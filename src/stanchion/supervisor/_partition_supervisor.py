# SPDX-License-Identifier: MIT
"""The partition supervisor: the same child several times over, one of which a key leads to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Literal, cast

from stanchion._validate import callable_or_none, cut, whole_number
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.kernel import Ref, Via, current_process, own
from stanchion.supervisor._child_spec import ChildSpec, Restart, checked_spec, child_spec
from stanchion.supervisor._flags import Flags, Strategy, checked_flags
from stanchion.supervisor._partitions import (
    Partitions,
    PartitionVia,
    find_partitions,
    no_partition_supervisor,
    number_of,
)
from stanchion.supervisor._supervisor import Supervisor
from stanchion.timeouts import POLICY

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.kernel import Name
    from stanchion.timeouts import Policy

WithArguments = Callable[[tuple[object, ...], int], Iterable[object]]


class PartitionSupervisor(Supervisor):
    """A supervisor of so many partitions: children by one spec, whose ids are the numbers from 0 on.

    Use it when one process is a bottleneck, or when its crash loses too much, and what it does falls into parts that do
    not depend on each other. ``PartitionSupervisor.via(name, key)`` is the address of the partition of a key.

    Start one with ``start(PartitionSupervisor, spec, partitions)`` or ``start_link``; put one into a tree with
    ``PartitionSupervisor.child_spec``. ``which_children`` and its kin work on it.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Counter(st.GenServer):
        ...     def init(self):
        ...         self.counts = {}
        ...     def handle_cast(self, word):
        ...         self.counts[word] = self.counts.get(word, 0) + 1
        ...     def handle_call(self, word, sender):
        ...         return self.counts.get(word, 0)
        >>> async def main():
        ...     async with st.Node():
        ...         await st.start(st.PartitionSupervisor, st.child_spec(Counter), 4, name="counters")
        ...         for word in "the cat and the dog".split():
        ...             st.cast(st.PartitionSupervisor.via("counters", word), word)
        ...         return await st.call(st.PartitionSupervisor.via("counters", "the"), "the")
        >>> asyncio.run(main())
        2

    Source: Elixir's PartitionSupervisor. There the number of partitions is by default that of the cores.
    """

    async def init(  # type: ignore[override]  # what start() was given decides which init runs
        self,
        child: ChildSpec,
        partitions: int,
        with_arguments: WithArguments | None = None,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
    ) -> None:
        """Start the partitions in order; when one does not start, stop those before it, and fail.

        Args:
            child: What ``child_spec`` returned, without a name. Each partition's spec is a copy of it with the
                partition's number for its id.
            partitions: How many, at least 1.
            with_arguments: ``with_arguments(args, partition)`` returns the arguments of one partition, by those of
                ``child`` and its number; None gives all of them the same.
            strategy: Who is restarted with a partition; see ``Supervisor.init`` for these three.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.

        Raises:
            ChildStartError: a partition did not start.
            ChildSpecError: ``child`` is no spec, has a name, or is significant.
            InvalidOptionError: another argument is wrong.

        Source: ``start_link/1`` of Elixir's PartitionSupervisor.
        """
        flags = _flags("PartitionSupervisor", child, partitions, with_arguments, strategy, max_restarts, max_seconds)
        process = current_process("PartitionSupervisor.init()")
        own(process, Partitions(self._pid_of, partitions))
        await super().init(*flags)

    @classmethod
    def child_spec(
        cls,
        child: ChildSpec,
        partitions: int,
        *,
        with_arguments: WithArguments | None = None,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
        id: Hashable | None = None,
        name: Name | None = None,
        restart: Restart = "permanent",
        shutdown: Seconds | Literal["brutal_kill"] | Policy | None = POLICY,
        timeout: Seconds | Policy | None = POLICY,
    ) -> ChildSpec:
        """Say how a supervisor starts, restarts and stops a child that is a supervisor of this class.

        Args:
            child: See ``init`` for these six.
            partitions: How many, at least 1.
            with_arguments: ``with_arguments(args, partition)`` returns the arguments of one partition.
            strategy: ``"one_for_one"``, ``"one_for_all"`` or ``"rest_for_one"``.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.
            id: What it is called in the supervisor above; by default ``name``, else the name of the class.
            name: The name or via address to register at each start, or None.
            restart: As in the function ``child_spec``.
            shutdown: As in the function ``child_spec``.
            timeout: As in the function ``child_spec``, for the start of all partitions together.

        Raises:
            ChildSpecError: ``child`` is no spec, has a name, or is significant.
            InvalidOptionError: another argument is wrong.

        Source: ``PartitionSupervisor.child_spec/1`` of Elixir.
        """
        _flags(cls.__name__, child, partitions, with_arguments, strategy, max_restarts, max_seconds)
        options = (child, partitions, with_arguments, strategy, max_restarts, max_seconds)
        return child_spec(cls, *options, id=id, name=name, restart=restart, shutdown=shutdown, timeout=timeout)

    @staticmethod
    def via(supervisor: Ref, key: Hashable) -> Via:
        """Return the address of the partition that a key leads to.

        A whole number leads to the partition of its remainder, everything else to one by its hash; do not rely on
        which. The address holds through restarts; while the partition does not run, nobody is there.

        Args:
            supervisor: The partition supervisor: a pid, a registered name or a via address.
            key: Anything hashable.

        Raises:
            InvalidOptionError: ``key`` has no hash. Where the address is used: ``supervisor`` is none, or a process is
                to be registered under it.

        Source: ``{:via, PartitionSupervisor, {name, key}}`` of Elixir.
        """
        try:
            number = number_of(key)
        except Exception:
            subject = "PartitionSupervisor.via(key)"
            raise InvalidOptionError(subject, expected="something hashable, a string say", got=cut(key)) from None
        return PartitionVia(supervisor, key, number)

    @staticmethod
    def partitions(supervisor: Ref) -> int:
        """Return how many partitions a running partition supervisor has.

        Raises:
            InvalidOptionError: ``supervisor`` is none.

        Source: ``PartitionSupervisor.partitions/1`` of Elixir.
        """
        table = find_partitions("PartitionSupervisor.partitions(supervisor)", supervisor)
        if table is None:
            raise no_partition_supervisor("PartitionSupervisor.partitions(supervisor)", supervisor)
        return table.count


def _flags(
    subject: str,
    child: ChildSpec,
    partitions: int,
    with_arguments: WithArguments | None,
    strategy: Strategy,
    max_restarts: int,
    max_seconds: Seconds,
) -> Flags:
    """Check the arguments, and return those of the supervisor with a spec for each partition."""
    checked_spec(child)
    if child.name is not None:
        raise ChildSpecError(
            child.id,
            expected="no name for the child of a partition supervisor",
            got=cut(child.name),
            fix="leave out name=; address a partition by PartitionSupervisor.via(supervisor, key).",
        )
    whole_number(f"{subject}(partitions)", partitions, at_least=1)
    callable_or_none(f"{subject}(with_arguments)", with_arguments)
    specs: list[ChildSpec] = []
    for partition in range(partitions):
        spec = copy.copy(child)
        spec.id = partition
        if with_arguments is not None:
            spec.args = _arguments(subject, with_arguments(child.args, partition))
        specs.append(spec)
    return checked_flags(subject, specs, strategy, max_restarts, max_seconds)


def _arguments(subject: str, returned: object) -> tuple[object, ...]:
    if isinstance(returned, tuple | list):
        return tuple(cast("Iterable[object]", returned))
    expected = "a tuple or list of arguments as its return value"
    raise InvalidOptionError(f"{subject}(with_arguments)", expected=expected, got=cut(returned))
