# SPDX-License-Identifier: MIT
"""A run of pytest with the plugin and nothing else of ours; and what Stanchion itself loads late.

pytester forgets the modules that are first loaded in one of its runs, and the next import would make a second one, whose
messages are not those of the first.
"""

from __future__ import annotations

import textwrap

import pytest

import stanchion.dead_letters
import stanchion.messages
import stanchion.testing._pytest

LOADED = (stanchion.dead_letters, stanchion.messages, stanchion.testing._pytest)

HEADER = """
import asyncio
import pytest
import stanchion as st
from stanchion.testing import Probe, SeededLoop, advance, wait_quiet
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Return a function that runs one test file with the plugin and nothing else of ours."""

    def run(code: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=HEADER + textwrap.dedent(code))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:cov", "-W", "error", *options)

    return run
