# SPDX-License-Identifier: MIT
"""An environment without variables of a policy, and a folder without a pyproject.toml above it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

WriteFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the current folder of the test."""
    for variable in list(os.environ):
        if variable.startswith(("STANCHION_TIMEOUT", "STANCHION_ENVIRONMENT")):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> WriteFile:
    """Return what writes a file of the folder."""

    def write(text: str, name: str = "timeouts.toml") -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write
