# SPDX-License-Identifier: MIT
"""Random scenarios of a supervisor: any children, any strategy, and a handful of crashes, exits and requests."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.conformance.scenario import (
    Op,
    Scenario,
    Step,
    child,
    children,
    count,
    delete_child,
    ignores,
    on,
    poke,
    raises,
    restart_child,
    start_child,
    stops,
    supervisor,
    supervisor_child,
    terminate_child,
)

_RESTARTS = ("permanent", "transient", "temporary")
_STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")
_AUTO_SHUTDOWNS = ("never", "never", "any_significant", "all_significant")
_ENDS: tuple[Op, ...] = (("raise", "boom"), ("leave", "normal"), ("leave", "shutdown"), ("leave", ("shutdown", "done")))


def random_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed, always the same one."""
    random = Random(seed)
    auto_shutdown = random.choice(_AUTO_SHUTDOWNS)
    ids = list("abcd")[: random.randint(1, 4)]
    begun = supervisor(
        "s",
        *[_child(random, id, auto_shutdown) for id in ids],
        how="alone",
        strategy=random.choice(_STRATEGIES),
        intensity=random.randint(0, 4),
        period=60,
        auto_shutdown=auto_shutdown,
    )
    steps = [begun, *[_step(random, ids, auto_shutdown) for _ in range(random.randint(3, 9))]]
    return Scenario(f"random.{seed}", "Whatever comes.", (*steps, children("s"), count("s")))


def _step(random: Random, ids: list[str], auto_shutdown: str) -> Step:
    id = random.choice(ids)
    match random.choices(("end", "kill", "terminate", "restart", "delete", "start", "ask"), (45, 7, 10, 10, 6, 7, 15))[
        0
    ]:
        case "end":
            return poke(id, random.choice(_ENDS))
        case "kill":
            return poke(id, ("exit", id, "kill"))
        case "terminate":
            return terminate_child("s", id)
        case "restart":
            return restart_child("s", id)
        case "delete":
            return delete_child("s", id)
        case "start":
            ids.append("efghijklm"[len([id for id in ids if id > "d"])])
            return start_child("s", _server(random, ids[-1], auto_shutdown))
        case _:
            return children("s")


def _child(random: Random, id: str, auto_shutdown: str) -> dict[str, Any]:
    if random.random() < 0.12:
        below = child(f"{id}x", trap=True)
        return supervisor_child(id, below, restart=random.choice(_RESTARTS), intensity=1, period=60)
    return _server(random, id, auto_shutdown)


def _server(random: Random, id: str, auto_shutdown: str) -> dict[str, Any]:
    options: dict[str, Any] = {"restart": random.choice(_RESTARTS)}
    if random.random() < 0.5:
        options["trap"] = True
    if random.random() < 0.15:
        options["shutdown"] = "brutal_kill"
    if random.random() < 0.3 and auto_shutdown != "never" and options["restart"] != "permanent":
        options["significant"] = True
    if random.random() < 0.1:
        options["terminate"] = [raises("worse")]
    return child(id, *_inits(random), **options)


def _inits(random: Random) -> list[Op]:
    """Return what some incarnations do in their init instead of succeeding."""
    ways = ([raises("again")], [ignores()], [stops("shutdown")])
    first = 1 if random.random() < 0.1 else 2
    return [on(number, *random.choice(ways)) for number in range(first, 6) if random.random() < 0.3]
