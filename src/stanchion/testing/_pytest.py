# SPDX-License-Identifier: MIT
"""What the pytest plugin does for tests that ask for a node. Only pytest, by way of the plugin, imports this."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import shlex
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest

from stanchion import Node
from stanchion._validate import cut, instance, known_options, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.testing._async_fixtures import Promised, check_plain, is_async, promising
from stanchion.testing._isolated import run_isolated
from stanchion.testing._left import LeftoverError
from stanchion.testing._virtual_time import VirtualClock

SEED: Final = "stanchion_seed"

_NODE: Final = pytest.StashKey[Node]()
_PROMISES: Final = pytest.StashKey[list[Promised]]()
_SEEDS: Final = 10**9
_OWN_OPTIONS: Final = ("seed", "seeds", "virtual_time")


class Options(NamedTuple):
    """What the markers of one test say.

    Attributes:
        seed: The seed; None for another one in each run.
        seeds: How many seeds.
        virtual_time: Whether the clock jumps.
        node: The options of the node.
    """

    seed: int | None
    seeds: int
    virtual_time: bool
    node: dict[str, Any]


def options_of(item: pytest.Item) -> Options:
    """Return what the markers of a test say; the nearest one wins, option by option.

    Raises:
        InvalidOptionError: an option is unknown, or its value is wrong.
    """
    given: dict[str, Any] = {}
    for marker in item.iter_markers("stanchion"):
        if marker.args:
            raise InvalidOptionError(
                "mark.stanchion", expected="options by name", got=cut(marker.args), fix="write stanchion(seed=...)."
            )
        given = {**marker.kwargs, **given}
    known_options("mark.stanchion", given, list(dict.fromkeys([*_OWN_OPTIONS, *inspect.signature(Node).parameters])))
    seed = given.pop("seed", None)
    return Options(
        None if seed is None else whole_number("mark.stanchion(seed)", seed),
        whole_number("mark.stanchion(seeds)", given.pop("seeds", 1), at_least=1),
        instance("mark.stanchion(virtual_time)", given.pop("virtual_time", True), bool),
        given,
    )


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make one test of each seed, where the command line or the marker asks for several.

    Raises:
        CollectError: the marker is wrong.
    """
    config = metafunc.config
    try:
        options = options_of(metafunc.definition)
    except InvalidOptionError as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None
    first: int | None = config.getoption("--stanchion-seed")
    count: int | None = config.getoption("--stanchion-seeds")
    if count is None:
        # A seed to replay is one seed.
        count = options.seeds if first is None else 1
    if count > 1:
        if first is None:
            first = options.seed or 0
        seeds = range(first, first + count)
        metafunc.fixturenames.append(SEED)
        metafunc.parametrize(SEED, seeds, indirect=True, ids=[_seed_id(seed) for seed in seeds])


def choose_seed(request: pytest.FixtureRequest) -> int:
    """Return the seed of a test: its parameter, the command line's, the marker's, or a new one, in this order."""
    seed: int | None = getattr(request, "param", None)
    if seed is None:
        seed = request.config.getoption("--stanchion-seed")
    if seed is None:
        seed = options_of(request.node).seed
    return secrets.randbelow(_SEEDS) if seed is None else whole_number("--stanchion-seed", seed)


def make_node(request: pytest.FixtureRequest, seed: int) -> Node:
    """Make the node of a test; the test's runner enters it."""
    item: pytest.Function = request.node
    if not inspect.iscoroutinefunction(_function_of(item)):
        raise InvalidOptionError(
            f"fixture 'node' of {item.name}",
            expected="an async test, around which it is entered",
            got="an async generator" if inspect.isasyncgenfunction(item.obj) else "a plain one",
            fix=f"write `async def {item.originalname}(...)`, without yield.",
        )
    node = item.stash[_NODE] = _new_node(options_of(item), seed)
    return node


@contextmanager
def promised(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Have pytest, and whoever else looks at the fixture meanwhile, see a plain one where it is async."""
    item, function = cast("pytest.Function", request.node), fixturedef.func
    if not is_async(function):
        check_plain(fixturedef.argname, {name: request.getfixturevalue(name) for name in fixturedef.argnames})
        yield
        return
    vars(fixturedef)["func"] = promising(function, item.instance, item.stash.setdefault(_PROMISES, []))
    try:
        yield
    finally:
        vars(fixturedef)["func"] = function


@contextmanager
def made_plain(item: pytest.Function) -> Generator[None, None, None]:
    """Put a plain function that runs an async test in its node in the place of the test; pytest calls it."""
    fixture = item.stash.get(_NODE, None)
    function, options, seed = _function_of(item), options_of(item), seed_of(item)
    fresh = [] if fixture is None else [fixture]
    promises = item.stash.setdefault(_PROMISES, [])
    loop_factory = None if options.virtual_time else asyncio.SelectorEventLoop

    @wraps(function)  # hypothesis prints its name, and comes back to it with the next seed
    def run(*args: Any, **arguments: Any) -> None:
        __tracebackhide__ = True
        # Hypothesis comes here once for each example, and a node lives once.
        node = fresh.pop() if fresh else _new_node(options, seed)
        body = partial(
            _with_fixtures, partial(function, *args), arguments, promises, {} if fixture is None else {fixture: node}
        )
        try:
            run_isolated(body, seed=seed, node=node, loop_factory=loop_factory)
            return
        except LeftoverError as error:
            text = str(error)
        pytest.fail(text, pytrace=False)

    holder, attribute = (item.obj.hypothesis, "inner_test") if hasattr(item.obj, "hypothesis") else (item, "obj")
    before = getattr(holder, attribute)
    setattr(holder, attribute, run)
    try:
        yield
    finally:
        setattr(holder, attribute, before)


async def _with_fixtures(
    test: Callable[..., Coroutine[Any, Any, None]],
    arguments: dict[str, object],
    promises: list[Promised],
    instead: dict[object, object],
) -> None:
    """Run a test with its async fixtures around it, in their order.

    Args:
        test: The test.
        arguments: Its arguments, among them promises, and a node that is not this run's.
        promises: The fixtures.
        instead: What to pass in the place of others.
    """
    __tracebackhide__ = True

    def fulfil(value: object) -> object:
        return next((real for promise, real in instead.items() if promise is value), value)

    async with AsyncExitStack() as stack:
        for promise in promises:
            instead[promise] = await promise.set_up(fulfil, stack)
        await test(**{name: fulfil(value) for name, value in arguments.items()})


def replay_text(item: pytest.Function) -> str:
    """Say how to have the same order again."""
    seed = seed_of(item)
    # The test is selected without its seed, which is a part of its name only where there are several.
    test = item.name
    for part in (f"-{_seed_id(seed)}", f"{_seed_id(seed)}-", f"[{_seed_id(seed)}]"):
        if part in test and hasattr(item, "callspec"):
            test = test.replace(part, "")
            break
    path = Path(os.path.relpath(item.path, item.config.invocation_params.dir)).as_posix()
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    command = shlex.join(["pytest", "::".join([path, *classes, test]), f"--stanchion-seed={seed}"])
    return f"The order of processes was drawn from seed {seed}. To have it again:\n  {command}"


def seed_of(item: pytest.Function) -> int:
    """Return the seed that a test runs with."""
    return cast("int", item.funcargs[SEED])


def _seed_id(seed: int) -> str:
    return f"seed={seed}"


def _new_node(options: Options, seed: int) -> Node:
    clock = VirtualClock() if options.virtual_time else None
    defaults = {"name": "test", "clock": clock, "block_threshold": None, "leak_check": None, "seed": seed}
    return Node(**cast("dict[str, Any]", {**defaults, **options.node}))


def _function_of(item: pytest.Function) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return the function behind a test: hypothesis's inner one, or the one that another plugin has wrapped."""
    function: Any = item.obj
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return cast("Callable[..., Coroutine[Any, Any, None]]", inspect.unwrap(inner))
