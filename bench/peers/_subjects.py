# SPDX-License-Identifier: MIT
"""Who is compared, and the virtual environment in which each runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from bench.peers._job import JobName

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENTS: Final = ROOT / ".venv-peers"


class Subject(NamedTuple):
    """One library.

    Attributes:
        name: What it is called; its file in ``jobs/`` is ``on_`` and this.
        requirement: What pip installs; None for what this environment has already.
    """

    name: str
    requirement: str | None


SUBJECTS: Final = (
    Subject("floor", None),
    Subject("stanchion", None),
    Subject("pykka", "pykka"),
    Subject("tapio", "tapio-py"),
    Subject("otpylib", "otpylib"),
    Subject("triotp", "triotp"),
    Subject("xoscar", "xoscar"),
)
"""The floor comes first: the others are compared with it."""


class MissingError(Exception):
    """A library cannot be installed or cannot do a job; the text says why."""


def python_of(subject: Subject) -> Path:
    """Return the Python that has the library, and install it first where that was not done before.

    Raises:
        MissingError: it cannot be installed.
    """
    if subject.requirement is None:
        return Path(sys.executable)
    home = ENVIRONMENTS / subject.name
    python, installed = home / "bin" / "python", home / "installed"
    if not installed.exists():
        _output(Path(sys.executable), "-m", "venv", "--clear", str(home), limit=120)
        _output(python, "-m", "pip", "install", "--quiet", subject.requirement, limit=600)
        installed.touch()
    return python


def version_of(subject: Subject) -> str:
    """Return the version of the library that is measured; that of Python for the floor."""
    if subject.name == "floor":
        return sys.version.split()[0]
    name = subject.requirement or subject.name
    return _output(python_of(subject), "-c", f"import importlib.metadata as m; print(m.version({name!r}))", limit=60)


def figure(subject: Subject, job: JobName, count: int) -> float:
    """Do a job in a fresh process, and return how many it did in a second.

    Raises:
        MissingError: it did not come to a figure.
    """
    return float(_output(python_of(subject), "-m", f"bench.peers.jobs.on_{subject.name}", job, str(count), limit=120))


def _output(python: Path, *arguments: str, limit: float) -> str:
    """Return the last line that a Python prints, empty when it prints nothing."""
    command = [str(python), *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(str(error)) from error
    if done.returncode:
        raise MissingError((done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2])
    return done.stdout.strip().rpartition("\n")[2]
