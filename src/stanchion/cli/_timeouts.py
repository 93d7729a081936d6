# SPDX-License-Identifier: MIT
"""``stanchion timeouts``: which limits a program would have, and why."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from stanchion.cli._exit_codes import USAGE
from stanchion.cli._json import write
from stanchion.cli._options import AsJson
from stanchion.cli._payload import Json
from stanchion.cli._people import console, hint, visible
from stanchion.timeouts import Rule, TimeoutDecision, TimeoutPolicy

timeouts = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

File: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="The TOML file, or pyproject.toml. Without it, the nearest pyproject.toml with [tool.stanchion.timeouts].",
    ),
]
Environment: TypeAlias = Annotated[
    str | None,
    typer.Option("--environment", metavar="NAME", help="The environment; without it, what file and variables say."),
]

_BOUNDS: Final = ("factor", "environment", "minimum", "maximum", "debugger", "watch")


@timeouts.callback()
def top(ctx: typer.Context) -> None:
    """Say which limit a wait has, and why.

    File and environment variables are read as `stanchion run` does.
    """
    if ctx.invoked_subcommand is None:
        hint(ctx.get_help())
        raise typer.Exit(USAGE)


@timeouts.command()
def explain(
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", show_default=False, help="The registered name of the server, or the path of its class."
        ),
    ],
    request: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST",
            show_default=False,
            help="The operation, as in reserve, or the path of the request's class.",
        ),
    ],
    file: File = None,
    environment: Environment = None,
    deadline: Annotated[
        float | None, typer.Option("--deadline", metavar="SECONDS", help="What a deadline leaves.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say which limit a call without timeout= has, which rule gives it, and which other rules speak of it."""
    decision = TimeoutPolicy.load(file, environment=environment).explain(service, request, deadline=deadline)
    if json:
        write(_decision_json(decision))
    else:
        print(visible(str(decision)))


@timeouts.command()
def show(file: File = None, environment: Environment = None, json: AsJson = False) -> None:
    """Show every rule, and where it comes from; those that nobody wrote are the own defaults of Stanchion's waits."""
    policy = TimeoutPolicy.load(file, environment=environment)
    if json:
        bounds: dict[str, Json] = {name: getattr(policy, name) for name in _BOUNDS}
        write({"file": policy.file, "rules": [_rule_json(rule) for rule in policy.rules(built_in=True)], **bounds})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("RULE", no_wrap=True)
    table.add_column("KEY", overflow="fold")
    table.add_column("SECONDS", no_wrap=True, justify="right")
    table.add_column("SOURCE", overflow="fold")
    for rule in policy.rules(built_in=True):
        table.add_row(
            rule.kind.replace("_", "-"), Text(visible(rule.key or "")), f"{rule.seconds:g}", Text(visible(rule.source))
        )
    out = console()
    out.print(table)
    bounded = {name: getattr(policy, name) for name in _BOUNDS}
    out.print(Text(visible(", ".join(f"{name} {value}" for name, value in bounded.items() if value is not None))))


@timeouts.command()
def check(file: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="The file.")]) -> None:
    """Check a file of timeouts: ends with 0 when it is right, else with 2 and what is wrong with it."""
    policy = TimeoutPolicy.load(file)
    count = sum(rule.source == policy.file for rule in policy.rules())
    print(visible(f"{file}: {count} rule{'' if count == 1 else 's'}"))


def _rule_json(rule: Rule) -> Json:
    return dict(rule._asdict())


def _decision_json(decision: TimeoutDecision) -> Json:
    losers: list[Json] = [_rule_json(rule) for rule in decision.losers]
    rule = None if decision.rule is None else _rule_json(decision.rule)
    return {**decision._asdict(), "rule": rule, "losers": losers}
