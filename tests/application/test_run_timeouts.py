# SPDX-License-Identifier: MIT
"""The timeouts of an application that is run: loaded, given, or the node's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stanchion.application import Application, run
from stanchion.errors import InvalidOptionError, TimeoutsConfigError
from stanchion.kernel import Node, current_node
from stanchion.server import stop
from stanchion.supervisor import child_spec
from stanchion.timeouts import TimeoutPolicy
from tests.supervisor.servers import hang


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which has a policy."""
    (tmp_path / "pyproject.toml").write_text("[tool.stanchion.timeouts]\ndefault = 7\n")
    (tmp_path / "other.toml").write_text("default = 8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def default_of(**options) -> float:
    """Return the default of the policy that an application runs with."""
    seen: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def look() -> None:
        seen.append(current_node("look").timeouts.default)
        tasks.append(asyncio.ensure_future(stop("shop_sup")))
        await hang()

    run(Application("shop", children=[child_spec(look)]), **options)
    return seen[0]


def test_run_loads_the_policy_of_the_folder() -> None:
    assert default_of() == 7.0


def test_run_takes_a_file_or_a_policy(folder: Path) -> None:
    assert default_of(timeouts="other.toml") == 8.0
    assert default_of(timeouts=folder / "other.toml") == 8.0
    assert default_of(timeouts=TimeoutPolicy(9)) == 9.0


def test_run_leaves_a_node_its_own() -> None:
    assert default_of(node=Node("mine", timeouts=3)) == 3.0


def test_run_refuses_timeouts_beside_a_node() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        default_of(node=Node("mine"), timeouts="other.toml")
    assert str(caught.value) == (
        "run(timeouts): expected None beside node=, which has its timeouts, got 'other.toml'\n"
        "Fix: pass it to the node: Node(timeouts=TimeoutPolicy.load(...))."
    )


def test_run_refuses_what_is_no_policy() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        default_of(timeouts=2.0)
    assert str(caught.value) == ("run(timeouts): expected a TimeoutPolicy, the path of a TOML file, or None, got 2.0")


def test_run_starts_nothing_when_the_policy_is_wrong(folder: Path) -> None:
    (folder / "other.toml").write_text("default = '5s'\n")
    with pytest.raises(TimeoutsConfigError):
        default_of(timeouts="other.toml")
