# SPDX-License-Identifier: MIT
"""Finding the target by more than a name: keys with values, and groups.

A message to a via address comes through here: the registry says who has the key at this moment. Then it is that
process's mailbox that takes the message, or refuses it.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.registry._process_groups import ProcessGroups
from stanchion.registry._registry import Keys, Registry
from stanchion.registry._scope import GroupMonitorRef, Joined, Left
from stanchion.registry._table import Entry, Registered, Unregistered
from stanchion.registry._via import RegistryVia, ref_of

__all__ = [
    "Entry",
    "GroupMonitorRef",
    "Joined",
    "Keys",
    "Left",
    "ProcessGroups",
    "Registered",
    "Registry",
    "RegistryVia",
    "Unregistered",
    "ref_of",
]

show_public_path(globals())
