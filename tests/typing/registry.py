# SPDX-License-Identifier: MIT
"""What type checkers make of registries and groups. Checked, never run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import assert_type

import stanchion as st
from stanchion.registry import Entry, GroupMonitorRef, Joined, Left


class Session(st.GenServer):
    def init(self, user: str) -> None:
        self.user = user


def is_adult(age: int) -> bool:
    return age >= 18


def older(age: int) -> int:
    return age + 1


def greet(entries: list[tuple[st.Pid, object]]) -> None:
    for pid, _ in entries:
        st.cast(pid, "hello")


async def finds() -> None:
    ada = st.Registry.via("sessions", "ada", 36)
    assert_type(ada, st.Via)
    await st.start(Session, "Ada", name=ada)
    st.child_spec(Session, "Ada", name=ada)
    st.child_spec(st.Registry, "unique", name="sessions")
    st.cast(ada, "hello")
    await st.send_supervised(ada, "hello")
    await st.broadcast_supervised([ada, "bob"], "hello")
    assert_type(st.Registry.lookup("sessions", "ada"), list[tuple[st.Pid, object]])
    assert_type(st.Registry.match("sessions", "ada", is_adult), list[tuple[st.Pid, int]])
    assert_type(st.Registry.update_value("sessions", "ada", older), tuple[int, int])
    assert_type(st.Registry.keys("sessions", st.self_pid()), list[Hashable])
    assert_type(st.Registry.select("sessions", lambda entry: entry.key == "ada"), list[Entry])
    st.Registry.dispatch("sessions", "ada", greet)


class Board(st.GenServer):
    def init(self) -> None:
        self.ref, self.players = st.ProcessGroups.monitor("players")
        assert_type(self.ref, GroupMonitorRef)
        assert_type(self.players, list[st.Pid])

    def handle_info(self, message: Joined | Left) -> None:
        assert_type(message.pids, list[st.Pid])


def joins(pid: st.Pid) -> None:
    st.ProcessGroups.join("players", pid)
    st.ProcessGroups.join("players", {pid})
    assert_type(st.ProcessGroups.leave("players", [pid]), bool)
    st.ProcessGroups.join("players", "ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    st.Registry.via("sessions", ["ada"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
