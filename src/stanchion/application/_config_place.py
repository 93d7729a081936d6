# SPDX-License-Identifier: MIT
"""Where in a configuration a mistake is, and what is said of it."""

from __future__ import annotations

from typing import NamedTuple

from stanchion.errors import ApplicationConfigError

Step = str | int
Place = tuple[Step, ...]
"""The keys, and the indexes into lists, that lead from an application's table to a value."""


class Places(NamedTuple):
    """What the places of one application's configuration are called.

    Attributes:
        name: The application, and the name of its table.
        source: The file, or ``config``.
        variables: The environment variable by which a place was set.
    """

    name: str
    source: str
    variables: dict[Place, str]

    def error(self, place: Place, *, expected: str, got: str, fix: str | None = None) -> ApplicationConfigError:
        """Return the error for what is found at a place."""
        whole = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.variables), None)
        if whole is None:
            source = self.source
            subject = f"{source}: {self._in_file(place)}"
        else:
            source = self.variables[whole]
            subject = f"environment variable {source}"
        return ApplicationConfigError(source, self.dotted(place), subject=subject, expected=expected, got=got, fix=fix)

    def dotted(self, place: Place) -> str:
        """Return a place in one word: ``shop.smtp.port``."""
        return _dotted((self.name, *place))

    def variable(self, place: Place) -> str:
        """Return the environment variable for a place."""
        return "__".join(shouted(str(step)) for step in (self.name, *place))

    def _in_file(self, place: Place) -> str:
        """Return a place as a file shows it: ``[shop.smtp] port``."""
        last = max((index for index, step in enumerate(place) if isinstance(step, str)), default=0)
        return f"[{self.dotted(place[:last])}] {_dotted(place[last:])}".rstrip()


def shouted(key: str) -> str:
    """Return a key as it stands in the name of an environment variable."""
    return key.upper().replace("-", "_")


def _dotted(place: Place) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
