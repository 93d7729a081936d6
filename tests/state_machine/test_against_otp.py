# SPDX-License-Identifier: MIT
"""Random machines do on Stanchion what they do on gen_statem of the installed Erlang/OTP, event by event.

Timeouts here are of zero seconds, or too long to come: real time is no matter for this test.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.state_machine.random_machines import Action, Result, run

SOURCE = Path(__file__).parent / "otp" / "machine.erl"
KINDS = {
    "state_timeout": "state_timeout",
    "timeout": "timeout",
    "timeout(x)": "{timeout,x}",
    "timeout(y)": "{timeout,y}",
}

Machine = tuple[list[Result], list[Action], list[int], bool]


def random_action(draw: random.Random, *, first: bool = False) -> Action:
    kind = draw.choice(["insert", "timeout", "timeout", "postpone"])
    if kind == "insert" or (kind == "postpone" and first):
        return ("insert", draw.randrange(10))
    if kind == "postpone":
        return ("postpone",)
    return ("timeout", draw.choice([*KINDS]), draw.choice([0, 0, None, "update", 600]), draw.randrange(10))


def random_machine(draw: random.Random) -> Machine:
    results: list[Result] = [
        (
            draw.choice(["keep", "next", "next", "repeat"]),
            draw.choice("abc"),
            [random_action(draw) for _ in range(draw.randrange(5))],
        )
        for _ in range(draw.randrange(25))
    ]
    first = [random_action(draw, first=True) for _ in range(draw.randrange(4))]
    return results, first, [draw.randrange(10) for _ in range(draw.randrange(7))], draw.random() < 0.5


def erlang_action(action: Action) -> str:
    match action:
        case ("insert", content):
            return f"{{next_event,internal,{content}}}"
        case ("timeout", kind, None, _):
            return f"{{{KINDS[kind]},cancel}}"
        case ("timeout", kind, seconds, content):
            return f"{{{KINDS[kind]},{seconds if isinstance(seconds, str) else seconds * 1000},{content}}}"
        case _:
            return "postpone"


def erlang(machine: Machine) -> str:
    results, first, messages, enter = machine

    def listed(actions: list[Action]) -> str:
        return f"[{','.join(map(erlang_action, actions))}]"

    given = ",".join(f"{{{kind},{to},{listed(actions)}}}" for kind, to, actions in results)
    return f"{{{'true' if enter else 'false'},[{given}],{listed(first)},{messages}}}.\n"


def on_otp(machines: list[Machine], folder: Path) -> list[str]:
    given, traces = folder / "machines.eterm", folder / "traces.txt"
    given.write_text("".join(map(erlang, machines)), encoding="utf-8")
    environment = {**os.environ, "ERL_CRASH_DUMP": os.devnull}
    for command in (
        ["erlc", "-o", str(folder), str(SOURCE)],
        ["erl", "-noshell", "-noinput", "-pa", str(folder), "-run", "machine", "main", str(given), str(traces)],
    ):
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=15)
    return traces.read_text(encoding="utf-8").splitlines()


@pytest.mark.allow_blocking("it runs erl")
async def test_random_machines_are_told_what_gen_statem_tells_them(tmp_path: Path) -> None:
    if shutil.which("erl") is None or shutil.which("erlc") is None:
        missing = "no Erlang/OTP: there is no erl and erlc (Debian: apt-get install erlang-base)"
        if os.environ.get("STANCHION_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{missing}, and STANCHION_REQUIRE_SERVICES=1", pytrace=False)
        pytest.skip(missing)
    draw = random.Random(1)
    machines = [random_machine(draw) for _ in range(200)]
    for machine, trace in zip(machines, on_otp(machines, tmp_path), strict=True):
        results, first, messages, enter = machine
        assert await run(results, first, messages, enter=enter) == [line for line in trace.split(";") if line], machine
