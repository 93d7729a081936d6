# SPDX-License-Identifier: MIT
"""For the reference pages: an ``Example:`` of a docstring is code, as what Griffe calls ``Examples:`` is."""

from __future__ import annotations

from typing import Any

import griffe


class ExamplesOfDocstrings(griffe.Extension):
    """Changes the heading before Griffe reads it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change one docstring; Griffe calls this for each object."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
