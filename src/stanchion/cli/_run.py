# SPDX-License-Identifier: MIT
"""``stanchion run``: an application of the user's, as the program."""

from __future__ import annotations

import logging
from typing import Annotated, cast

import typer

import stanchion
from stanchion._validate import one_of
from stanchion.application import Loop
from stanchion.cli._target import application_of
from stanchion.timeouts import TimeoutPolicy

_log = logging.getLogger("stanchion.cli")

_LEVELS = ("debug", "info", "warning", "error", "critical")
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:APP",
            show_default=False,
            help="The module, and the Application in it, or a function without arguments that returns one.",
        ),
    ],
    config: Annotated[
        str | None,
        typer.Option(
            "--config", metavar="FILE", help="A TOML file with a table for each application that is configured."
        ),
    ] = None,
    dead_letters: Annotated[
        str | None,
        typer.Option(
            "--dead-letters",
            metavar="URL",
            help="Where the node keeps dead letters, as in sqlite:///letters.db. Without it, it keeps none.",
        ),
    ] = None,
    timeouts: Annotated[
        str | None,
        typer.Option(
            "--timeouts",
            metavar="FILE",
            help="A TOML file with the timeouts. Without it, the nearest pyproject.toml with [tool.stanchion.timeouts].",
        ),
    ] = None,
    loop: Annotated[
        str, typer.Option("--loop", metavar="LOOP", help="asyncio, uvloop, or auto: uvloop where it is installed.")
    ] = "auto",
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="The least that is logged to stderr: debug, info, ...")
    ] = "info",
) -> None:
    """Run an application until SIGINT or SIGTERM.

    The module is imported from the current folder, or from where Python finds it. The first signal stops it in
    order, the second kills what is left. Ends with 0 after a signal, with 1 when the application gave up.
    """
    level = one_of("--log-level", log_level.lower(), _LEVELS)
    logging.basicConfig(level=level.upper(), format=_FORMAT)
    if level == "info":  # each step of bringing a schema up to date is for who looks for mistakes
        logging.getLogger("alembic").setLevel("WARNING")
    app = application_of(target)
    policy = TimeoutPolicy.load(timeouts)
    node = stanchion.Node(app.name, dead_letters=dead_letters, timeouts=policy)
    _log.info("application %s starts; dead letters: %s", app.name, dead_letters or "none are kept")
    stanchion.run(app, config=config, node=node, loop=cast("Loop", loop))  # run() checks it
