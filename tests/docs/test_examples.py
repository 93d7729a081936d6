# SPDX-License-Identifier: MIT
"""Each example's demo runs to its end, as a user would start it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMOS = sorted((ROOT / "examples").glob("*/demo.py"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.parent.name)
def test_demo_runs_to_its_end(demo: Path) -> None:
    command = [sys.executable, "-m", f"examples.{demo.parent.name}.demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
