# SPDX-License-Identifier: MIT
"""Loads what Stanchion itself loads late.

pytester forgets the modules that are first loaded in one of its runs, and the next import would make a second one, whose
messages are not those of the first.
"""

from __future__ import annotations

import stanchion.dead_letters
import stanchion.messages
import stanchion.testing._pytest

LOADED = (stanchion.dead_letters, stanchion.messages, stanchion.testing._pytest)
