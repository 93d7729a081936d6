# SPDX-License-Identifier: MIT
"""What runs: applications, each a tree with a name and a configuration, one after the other on one node.

A message that comes from outside finds its receiver because an application has started it; and when the program is
told to stop, the applications stop in the reverse of the order in which they started, each with time to finish what it
took.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.application._application import Application
from stanchion.application._config import ConfigSource
from stanchion.application._controller import ApplicationInfo, which_applications
from stanchion.application._master import RestartType
from stanchion.application._run import Loop, run

__all__ = ["Application", "ApplicationInfo", "ConfigSource", "Loop", "RestartType", "run", "which_applications"]

show_public_path(globals())
