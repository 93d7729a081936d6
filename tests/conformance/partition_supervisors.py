# SPDX-License-Identifier: MIT
"""Partition supervisors, as Elixir's."""

from __future__ import annotations

from tests.conformance.scenario import Theme, answer, call, child, crash, exit, on, raises
from tests.conformance.scenario_elixir import partition, partitions, word

partition_supervisors = Theme("partition_supervisors")

partition_supervisors(
    "start",
    "The partitions start in order; their ids are the numbers from 0.",
    partitions("p", 3, child("a")),
    word("partition_children", "p"),
    word("partition_count", "p"),
    word("how_many_partitions", "p"),
)
partition_supervisors(
    "number_leads_to_its_remainder",
    "A whole number leads to the partition of its remainder.",
    partitions("p", 2, child("a")),
    call("test", partition("p", 0), "zero", answer(0)),
    call("test", partition("p", 1), "one", answer(1)),
    call("test", partition("p", 5), "five", answer(5)),
)
partition_supervisors(
    "restart",
    "A partition that crashes is restarted in its place.",
    partitions("p", 2, child("a")),
    crash("a"),
    word("partition_children", "p"),
    call("test", partition("p", 1), "one", answer(1)),
)
partition_supervisors(
    "one_for_all",
    "The strategy counts for partitions too.",
    partitions("p", 2, child("a", trap=True), strategy="one_for_all"),
    crash("a"),
    word("partition_children", "p"),
)
partition_supervisors(
    "max_restarts",
    "Too many restarts end it.",
    partitions("p", 2, child("a"), max_restarts=0),
    crash("a"),
)
partition_supervisors(
    "stop",
    "It stops its partitions in reverse order.",
    partitions("p", 3, child("a", trap=True)),
    exit("test", "p", "shutdown"),
)
partition_supervisors(
    "start_fails",
    "When a partition does not start, those before it are stopped.",
    partitions("p", 3, child("a", on(2, raises("boom")), trap=True)),
)
