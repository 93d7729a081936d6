# SPDX-License-Identifier: MIT
"""The top of the command line: its groups, and how each command ends."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any, Protocol, runtime_checkable

import typer
from typer.core import TyperGroup

import stanchion
from stanchion.cli._dlq import dlq
from stanchion.cli._exit_codes import FAILED, OK, USAGE, CommandError
from stanchion.cli._run import run
from stanchion.cli._timeouts import timeouts
from stanchion.errors import InvalidOptionError, StanchionError


@runtime_checkable
class _UsageError(Protocol):
    """What typer raises when it cannot make sense of the arguments; its class is not typer's in every release."""

    ctx: typer.Context | None

    def format_message(self) -> str: ...


class _Commands(TyperGroup):
    """Ends each command with an exit code, and with ``error: ...`` in place of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StanchionError as error:
            if ctx.params["traceback"]:
                traceback.print_exception(error)
            _say(str(error))
            raise typer.Exit(_exit_code(error)) from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="backslashreplace")  # text from a store must not fail for the terminal's encoding
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except typer.Abort:
            sys.exit(FAILED)
        except Exception as error:
            if not isinstance(error, _UsageError):
                raise
            path = error.ctx.command_path if error.ctx is not None else "stanchion"
            _say(f"{path}: {error.format_message()}\nFix: {path} --help shows what it takes.")
            sys.exit(USAGE)
        sys.exit(code if isinstance(code, int) else OK)


def _say(text: str) -> None:
    print(f"error: {text}", file=sys.stderr)


def _exit_code(error: StanchionError) -> int:
    if isinstance(error, CommandError):
        return error.exit_code
    return USAGE if isinstance(error, InvalidOptionError) else FAILED


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
app.add_typer(dlq, name="dlq")
app.add_typer(timeouts, name="timeouts")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"stanchion {stanchion.__version__}")
        raise typer.Exit


@app.callback()
def top(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version, and end.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", envvar="STANCHION_TRACEBACK", help="Show where an error comes from.")
    ] = False,
) -> None:
    """Supervised processes on asyncio: run an application, see to its dead letters, and explain its timeouts.

    Exit codes: 0 done; 1 it failed, or there was no such letter; 2 the command, or a file that it names, is not right,
    and nothing was done.
    """
    if ctx.invoked_subcommand is None:
        print(ctx.get_help(), file=sys.stderr)
        raise typer.Exit(USAGE)
