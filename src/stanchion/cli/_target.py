# SPDX-License-Identifier: MIT
"""From ``module:app`` to an application, with an answer to each way in which that goes wrong."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from stanchion._validate import cut, nearest
from stanchion.application import Application
from stanchion.cli._exit_codes import CommandError
from stanchion.errors import InvalidOptionError, StanchionError

_T = TypeVar("_T")


def application_of(target: str) -> Application:
    """Return the application that ``module:app`` names; the current folder is searched first.

    Raises:
        InvalidOptionError: there is no such module, nothing of that name in it, or it is no application.
        CommandError: the module, or the function in it, raised.
    """
    module_name, _, path = target.partition(":")
    if not module_name or not path or "/" in module_name or module_name.endswith(".py"):
        raise InvalidOptionError(
            "run", expected="MODULE:APP, as in shop:app", got=cut(target), fix=_target_fix(module_name, path)
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _imported(module_name)
    value = _attribute(module, path)
    if not isinstance(value, Application) and callable(value):
        value = _returned(target, value)
    if isinstance(value, Application):
        return value
    if inspect.iscoroutine(value):
        value.close()
    raise InvalidOptionError(
        f"run {target}",
        expected="an Application, or a function that returns one",
        got=cut(value),
        fix=_name_fix(module, path),
    )


def _target_fix(module_name: str, path: str) -> str:
    module = module_name.removesuffix(".py").strip("/.").replace("/", ".")
    return f"stanchion run {module or 'shop'}:{path or 'app'}"


# --- the module ------------------------------------------------------------------------------------


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # One that is missing further in was found, and imports something that is not there.
        if _place(error) is None and (name == missing or name.startswith(f"{missing}.")):
            raise _no_module(name) from error
        raise _raised(f"import of {name}", error) from error
    except Exception as error:
        raise _raised(f"import of {name}", error) from error


def _no_module(name: str) -> InvalidOptionError:
    folder = Path.cwd()
    guess = nearest(name, [module.name for module in pkgutil.iter_modules([str(folder)])])
    return InvalidOptionError(
        "run",
        expected=f"a module {name!r} in {folder}, or installed",
        got="none",
        fix=f"did you mean {guess}?" if guess else "run it in the folder that the module is in.",
    )


def _raised(subject: str, error: Exception) -> CommandError:
    place = _place(error)
    return CommandError(
        subject,
        expected="it to succeed",
        got=f"{type(error).__name__}: {error}" + (f"\n  at {place}" if place else ""),
        fix="stanchion --traceback run ... shows the whole way there.",
    )


def _place(error: Exception) -> str | None:
    """Return the line of users' code that raised; None when it was the import itself."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    ours = (__file__, importlib.__file__)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename not in ours and not frame.filename.startswith("<frozen importlib"):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return None


# --- what is in it ---------------------------------------------------------------------------------


def _attribute(module: ModuleType, path: str) -> object:
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise InvalidOptionError(
            f"run {module.__name__}:{path}",
            expected=f"{path!r} in {module.__file__ or module.__name__}",
            got="nothing of that name",
            fix=_name_fix(module, path),
        ) from error


def _name_fix(module: ModuleType, path: str) -> str:
    names = vars(module)
    apps = [name for name, value in names.items() if isinstance(value, Application)]
    guess = nearest(path, apps) or (apps[0] if apps else None)
    if guess is None:
        guess = nearest(path, [name for name in names if not name.startswith("_") and name != path])
    if guess is not None:
        return f"stanchion run {module.__name__}:{guess}"
    return 'write app = stanchion.Application("...", children=[...]) in it.'


def _returned(target: str, function: Callable[[], _T]) -> _T:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise InvalidOptionError(
            f"run {target}",
            expected="a function without arguments",
            got=f"{cut(function)}: {error}",
            fix="write a function that calls it with them.",
        ) from error
    except ValueError:  # one without a signature: calling it will tell
        pass
    try:
        return function()
    except StanchionError:
        raise
    except Exception as error:
        raise _raised(f"run {target}", error) from error
