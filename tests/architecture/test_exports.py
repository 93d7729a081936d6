# SPDX-License-Identifier: MIT
"""Each public name exists, has one home and is documented."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import stanchion
from tests.architecture.stations import fronts


def export_problems(module: ModuleType) -> list[str]:
    """Say what is wrong with one module's ``__all__`` and what it names."""
    names = getattr(module, "__all__", None)
    if names is None:
        return [f"{module.__name__}: expected an __all__, got none"]
    problems = []
    if list(names) != sorted(names, key=_export_order):
        problems.append(f"{module.__name__}.__all__: expected CONSTANTS, Classes, functions, each sorted, got {names}")
    for name in names:
        try:
            value = getattr(module, name)
        except AttributeError:
            problems.append(f"{module.__name__}.{name}: is in __all__ but does not exist")
            continue
        if callable(value) and inspect.getmodule(value) and not _documented(value):
            problems.append(f"{module.__name__}.{name}: expected a docstring, got none")
    return problems


def _export_order(name: str) -> tuple[int, str]:
    """Sort as ruff's RUF022 does."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def _documented(value: object) -> bool:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return True  # a type alias or another constant: the string beneath it documents it
    return bool(value.__doc__ and value.__doc__.strip())


def home_problems(modules: list[ModuleType]) -> list[str]:
    """Say which public names have more than one home."""
    homes: dict[str, str] = {}
    problems = []
    for module in modules:
        for name in getattr(module, "__all__", ()):
            if name in homes:
                problems.append(f"{name}: is public in {homes[name]} and in {module.__name__}")
            homes[name] = module.__name__
    return problems


def path_problems(module: ModuleType) -> list[str]:
    """Say which public classes and functions show the private file that they are written in."""
    return [
        f"{module.__name__}.{name}: its __module__ says {value.__module__}"
        for name in getattr(module, "__all__", ())
        if (inspect.isclass(value := getattr(module, name, None)) or inspect.isfunction(value))
        and value.__module__ != module.__name__
    ]


@pytest.mark.parametrize("module", fronts(), ids=lambda module: module.__name__)
def test_front_exports_what_exists_and_is_documented(module: ModuleType) -> None:
    assert export_problems(module) == []


@pytest.mark.parametrize("module", fronts(), ids=lambda module: module.__name__)
def test_public_names_show_their_public_path(module: ModuleType) -> None:
    assert path_problems(module) == []


def test_everyday_surface_resolves() -> None:
    assert export_problems(stanchion) == []


def test_everyday_surface_names_are_all_at_home_in_a_station() -> None:
    at_home = {name for module in fronts() for name in module.__all__}
    # Made by the composition root, which is no public module.
    assert set(stanchion.__all__) - at_home <= {"Node", "run", "__version__"}


def test_public_names_have_one_home() -> None:
    assert home_problems(fronts()) == []


def module_with(**names: object) -> ModuleType:
    module = ModuleType("stanchion.example")
    vars(module).update(names)
    return module


def undocumented() -> None: ...


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (module_with(), "expected an __all__, got none"),
        (module_with(__all__=["b", "a"], a=1, b=1), "expected CONSTANTS, Classes, functions"),
        (module_with(__all__=["missing"]), "is in __all__ but does not exist"),
        (module_with(__all__=["undocumented"], undocumented=undocumented), "expected a docstring, got none"),
    ],
)
def test_export_check_objects_to(module: ModuleType, problem: str) -> None:
    assert any(problem in found for found in export_problems(module))


def test_home_check_objects_to_two_homes() -> None:
    module = module_with(__all__=["undocumented"], undocumented=undocumented)
    twice = "undocumented: is public in stanchion.example and in stanchion.example"
    assert home_problems([module, module]) == [twice]


def test_path_check_objects_to_a_private_path() -> None:
    module = module_with(__all__=["undocumented"], undocumented=undocumented)
    assert path_problems(module) == [f"stanchion.example.undocumented: its __module__ says {__name__}"]
