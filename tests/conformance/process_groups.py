# SPDX-License-Identifier: MIT
"""Process groups: pg."""

from __future__ import annotations

from tests.conformance.scenario import (
    Theme,
    alive,
    crash,
    do,
    exit,
    finish,
    groups,
    join,
    members,
    monitor,
    op,
    part,
    scope,
    send,
    spawn,
    unwatch_group,
    watch_group,
    watch_scope,
)

process_groups = Theme("process_groups")

process_groups(
    "join_and_leave",
    "Processes join a group and leave it.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    join("pg", "g", "a"),
    join("pg", "g", "b"),
    members("pg", "g"),
    part("pg", "g", "a"),
    members("pg", "g"),
)
process_groups(
    "join_twice",
    "A process that joined twice is a member twice, and must leave twice.",
    scope("pg"),
    spawn("a"),
    join("pg", "g", "a"),
    join("pg", "g", "a"),
    members("pg", "g"),
    part("pg", "g", "a"),
    members("pg", "g"),
    part("pg", "g", "a"),
    members("pg", "g"),
)
process_groups(
    "join_of_several",
    "Several processes join in one go, one of them twice.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    join("pg", "g", "a", "b", "a"),
    members("pg", "g"),
)
process_groups(
    "leave_without_join",
    "A process that is no member cannot leave.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    part("pg", "g", "a"),
    join("pg", "g", "b"),
    part("pg", "g", "a"),
    members("pg", "g"),
)
process_groups(
    "leave_of_several",
    "Of several that leave, those that are no members are left out.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    join("pg", "g", "a"),
    part("pg", "g", "b", "a"),
    members("pg", "g"),
)
process_groups(
    "exit_leaves",
    "A member that exits has left.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    join("pg", "g", "a", "b", "a"),
    crash("a"),
    members("pg", "g"),
)
process_groups(
    "groups_with_members",
    "A group is there while it has members.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    groups("pg"),
    join("pg", "g", "a"),
    join("pg", "h", "b"),
    groups("pg"),
    part("pg", "g", "a"),
    finish("b"),
    groups("pg"),
)
process_groups(
    "many_groups",
    "A process may be in many groups.",
    scope("pg"),
    spawn("a"),
    join("pg", "g", "a"),
    join("pg", "h", "a"),
    exit("test", "a", "kill"),
    members("pg", "g"),
    members("pg", "h"),
)
process_groups(
    "two_scopes",
    "Groups of two scopes have nothing to do with each other.",
    scope("pg"),
    scope("other"),
    spawn("a"),
    join("pg", "g", "a"),
    members("other", "g"),
    groups("other"),
)
process_groups(
    "join_of_somebody_who_is_gone",
    "A process that has ended does not stay a member.",
    scope("pg"),
    spawn("a"),
    finish("a"),
    join("pg", "g", "a"),
    members("pg", "g"),
)
process_groups(
    "watch",
    "Who watches a group is told its members, and then who joins and leaves.",
    scope("pg"),
    spawn("a"),
    spawn("b"),
    spawn("m"),
    join("pg", "g", "a"),
    watch_group("m", "pg", "g"),
    join("pg", "g", "b"),
    part("pg", "g", "a"),
    crash("b"),
)
process_groups(
    "watch_tells_of_each_join",
    "A second join and leave of one process are told too.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_group("m", "pg", "g"),
    join("pg", "g", "a", "a"),
    part("pg", "g", "a"),
    part("pg", "g", "a"),
)
process_groups(
    "watch_leave_more_often_than_joined",
    "What is told of a process that leaves more often than it joined.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_group("m", "pg", "g"),
    join("pg", "g", "a"),
    part("pg", "g", "a", "a"),
)
process_groups(
    "watch_only_this_group",
    "Who watches a group hears nothing of others.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_group("m", "pg", "g"),
    join("pg", "h", "a"),
    crash("a"),
)
process_groups(
    "watch_exit_of_a_double_member",
    "The exit of a process that joined twice is told.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    join("pg", "g", "a", "a"),
    watch_group("m", "pg", "g"),
    exit("test", "a", "kill"),
)
process_groups(
    "watch_scope",
    "Who watches a scope hears of all groups.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_scope("m", "pg"),
    join("pg", "g", "a"),
    join("pg", "h", "a"),
    part("pg", "g", "a"),
    finish("a"),
)
process_groups(
    "unwatch",
    "Who has stopped watching hears nothing more.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_group("m", "pg", "g"),
    join("pg", "g", "a"),
    unwatch_group("m", "pg"),
    part("pg", "g", "a"),
    send("test", "m", "hello"),
)
process_groups(
    "two_watches",
    "Each watch tells by itself.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    watch_group("m", "pg", "g", "one"),
    watch_group("m", "pg", "g", "two"),
    unwatch_group("m", "pg", "one"),
    join("pg", "g", "a"),
    part("pg", "g", "a"),
)
process_groups(
    "members_survive_the_scope",
    "The end of the scope leaves the members alone.",
    spawn("parent", trap=True),
    scope("pg", by="parent"),
    spawn("a"),
    join("pg", "g", "a"),
    exit("test", "pg", "kill"),
    alive("test", "a"),
)
process_groups(
    "has_left_when_down_comes",
    "Who hears of a member's exit asks for the members.",
    scope("pg"),
    spawn("a"),
    spawn("m"),
    join("pg", "g", "a"),
    monitor("m", "a"),
    do("test", op(exit("test", "a", "kill"))),
    members("pg", "g", by="m"),
)
