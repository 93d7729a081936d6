# SPDX-License-Identifier: MIT
"""Policies from files and the environment, and what is said of each mistake there."""

from __future__ import annotations

from pathlib import Path

import pytest

from stanchion.errors import InvalidOptionError, TimeoutsConfigError
from stanchion.timeouts import Rule, TimeoutPolicy
from tests.timeouts.conftest import WriteFile

WHOLE = """
default = 2
factor = 1.5
environment = "ci"
minimum = 0.5
maximum = 60
debugger = 10
watch = 3

[environments]
ci = 4

[services]
stock = 3
"shop.Inventory" = 2.5

[operations]
reserve = 1

[patterns]
"cache.*" = 0.1
"""


def refusal(path: str | None = "timeouts.toml") -> TimeoutsConfigError:
    with pytest.raises(TimeoutsConfigError) as caught:
        TimeoutPolicy.load(path)
    return caught.value


# --- files -----------------------------------------------------------------------------------------


def test_file_says_all_that_code_can_say(write: WriteFile) -> None:
    policy = TimeoutPolicy.load(write(WHOLE))
    assert [rule[:3] for rule in policy.rules()] == [
        ("operation", "reserve", 1.0),
        ("pattern", "cache.*", 0.1),
        ("service", "shop.Inventory", 2.5),
        ("service", "stock", 3.0),
        ("default", None, 2.0),
    ]
    assert (policy.factor, policy.environment, policy.minimum, policy.maximum) == (4.0, "ci", 0.5, 60.0)
    assert (policy.debugger, policy.watch) == (10.0, 3.0)


def test_rule_of_a_file_names_the_file(write: WriteFile) -> None:
    write("[operations]\nreserve = 1\n")
    policy = TimeoutPolicy.load("timeouts.toml")
    assert policy.rules() == (
        Rule("operation", "reserve", 1.0, "timeouts.toml"),
        Rule("default", None, 5.0, "built-in"),
    )
    assert policy.file == "timeouts.toml"


def test_pyproject_has_a_table_of_its_own(write: WriteFile) -> None:
    write("[tool.stanchion.timeouts]\ndefault = 2\n[tool.stanchion.timeouts.services]\nstock = 3\n", "pyproject.toml")
    policy = TimeoutPolicy.load("pyproject.toml")
    assert [rule.seconds for rule in policy.rules()] == [3.0, 2.0]


@pytest.mark.parametrize(("here", "shown"), [(".", "pyproject.toml"), ("a/b", "{folder}/pyproject.toml")])
def test_nearest_pyproject_that_speaks_of_timeouts_is_found(
    here: str, shown: str, write: WriteFile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("[tool.stanchion.timeouts]\ndefault = 2\n", "pyproject.toml")
    write("[tool.other]\n", "a/pyproject.toml")
    (folder / "a" / "b").mkdir()
    monkeypatch.chdir(folder / here)
    policy = TimeoutPolicy.load()
    assert (policy.default, policy.file) == (2.0, shown.format(folder=folder))


def test_file_may_begin_with_the_mark_that_editors_write(folder: Path) -> None:
    (folder / "timeouts.toml").write_bytes(b"\xef\xbb\xbfdefault = 2\n")
    assert TimeoutPolicy.load("timeouts.toml").default == 2.0


def test_policy_is_built_in_when_there_is_no_file(write: WriteFile) -> None:
    write("[tool.stanchion.audit]\n", "pyproject.toml")
    policy = TimeoutPolicy.load()
    assert policy.rules() == (Rule("default", None, 5.0, "built-in"),)
    assert (policy.file, policy.services()) == (None, [])


def test_argument_goes_before_file_and_environment(write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCHION_TIMEOUTS__ENVIRONMENT", "laptop")
    policy = TimeoutPolicy.load(write(WHOLE), environment="night", watch=9)
    assert (policy.environment, policy.factor, policy.watch) == ("night", 1.5, 9.0)


# --- the environment -------------------------------------------------------------------------------


def test_environment_variables_go_before_the_file(write: WriteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"DEFAULT": "7", "FACTOR": "2", "MINIMUM": "1", "MAXIMUM": "9", "DEBUGGER": "0"}.items():
        monkeypatch.setenv(f"STANCHION_TIMEOUTS__{key}", value)
    monkeypatch.setenv("STANCHION_TIMEOUTS__ENVIRONMENT", "laptop")
    monkeypatch.setenv("STANCHION_TIMEOUTS__WATCH", "0.5")
    policy = TimeoutPolicy.load(write(WHOLE))
    assert policy.rules()[-1] == Rule("default", None, 7.0, "environment variable STANCHION_TIMEOUTS__DEFAULT")
    assert (policy.factor, policy.minimum, policy.maximum) == (2.0, 1.0, 9.0) or policy.factor == 1.5
    assert (policy.environment, policy.debugger, policy.watch) == ("laptop", 0.0, 0.5)


@pytest.mark.parametrize(
    ("variables", "environment", "factor"),
    [
        ({"STANCHION_ENVIRONMENT": "night"}, "night", 1.5),
        ({"STANCHION_ENVIRONMENT": ""}, "ci", 4.0),
        ({"STANCHION_ENVIRONMENT": "night", "STANCHION_TIMEOUTS__ENVIRONMENT": "ci"}, "ci", 4.0),
    ],
)
def test_environment_is_named_by(
    variables: dict[str, str], environment: str, factor: float, write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    policy = TimeoutPolicy.load(write(WHOLE))
    assert (policy.environment, policy.factor) == (environment, factor)


def test_policy_made_in_code_reads_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCHION_TIMEOUTS__DEFAULT", "7")
    monkeypatch.setenv("STANCHION_ENVIRONMENT", "ci")
    assert (TimeoutPolicy().default, TimeoutPolicy().environment) == (5.0, None)


ALL = (
    "STANCHION_TIMEOUTS__DEFAULT, STANCHION_TIMEOUTS__FACTOR, STANCHION_TIMEOUTS__MINIMUM, STANCHION_TIMEOUTS__MAXIMUM, "
    "STANCHION_TIMEOUTS__DEBUGGER, STANCHION_TIMEOUTS__WATCH, STANCHION_TIMEOUTS__ENVIRONMENT"
)


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        (
            "DEFAULT",
            "500ms",
            (
                "environment variable STANCHION_TIMEOUTS__DEFAULT: expected seconds > 0 as a finite number, got '500ms'\n"
                "Fix: write 0.5."
            ),
        ),
        (
            "DEFAULT",
            "nan",
            "environment variable STANCHION_TIMEOUTS__DEFAULT: expected seconds > 0 as a finite number, got nan",
        ),
        (
            "FACTOR",
            "-1",
            "environment variable STANCHION_TIMEOUTS__FACTOR: expected a finite number > 0, got -1.0",
        ),
        (
            "ENVIRONMENT",
            "",
            "environment variable STANCHION_TIMEOUTS__ENVIRONMENT: expected the name of an environment, got ''",
        ),
        (
            "DEFUALT",
            "1",
            (
                f"environment variable STANCHION_TIMEOUTS__DEFUALT: expected one of {ALL}, "
                "got a name that stands for no key\nFix: write STANCHION_TIMEOUTS__DEFAULT."
            ),
        ),
        (
            "SERVICES",
            "1",
            (
                f"environment variable STANCHION_TIMEOUTS__SERVICES: expected one of {ALL}, "
                "got a name that stands for no key\nFix: write it in a file; a variable can say no rules."
            ),
        ),
    ],
)
def test_mistake_is_told_with_its_variable(
    variable: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STANCHION_TIMEOUTS__{variable}", value)
    error = refusal(None)
    assert str(error) == text
    assert (error.source, error.key) == (f"STANCHION_TIMEOUTS__{variable}", None)


def test_variable_that_is_meant_for_a_policy_is_not_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCHION_TIMEOUT_MAXIMUM", "1")
    assert str(refusal(None)) == (
        f"environment variable STANCHION_TIMEOUT_MAXIMUM: expected one of {ALL}, got a name that stands for no key\n"
        "Fix: write STANCHION_TIMEOUTS__MAXIMUM."
    )


def test_mistake_in_a_file_is_told_also_when_a_variable_goes_before_it(
    write: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCHION_TIMEOUTS__DEFAULT", "2")
    write("default = -1")
    assert str(refusal()) == "timeouts.toml: default: expected seconds > 0 as a finite number, got -1"


# --- mistakes ----------------------------------------------------------------------------------------

KEYS = "default, services, operations, patterns, environments, factor, environment, minimum, maximum, debugger, watch"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("defualt = 1", f"timeouts.toml: defualt: expected one of the keys {KEYS}, got 'defualt'\nFix: write default."),
        ("zzz = 1", f"timeouts.toml: zzz: expected one of the keys {KEYS}, got 'zzz'"),
        (
            "default_ms = 5000",
            (
                f"timeouts.toml: default_ms: expected one of the keys {KEYS}, got 'default_ms'\n"
                "Fix: write default = 5.0, in seconds."
            ),
        ),
        (
            "maximum_minutes = 'x'",
            (
                f"timeouts.toml: maximum_minutes: expected one of the keys {KEYS}, got 'maximum_minutes'\n"
                "Fix: write maximum = ..., in seconds."
            ),
        ),
        (
            f"default_ms = 1{'0' * 400}",
            (
                f"timeouts.toml: default_ms: expected one of the keys {KEYS}, got 'default_ms'\n"
                "Fix: write default = ..., in seconds."
            ),
        ),
        (
            "default_s = true",
            (
                f"timeouts.toml: default_s: expected one of the keys {KEYS}, got 'default_s'\n"
                "Fix: write default = ..., in seconds."
            ),
        ),
        (
            "[tool.stanchion.timeouts]\ndefault = 1",
            (
                f"timeouts.toml: tool: expected one of the keys {KEYS}, got 'tool'\n"
                "Fix: write its keys at the top of the file: only in pyproject.toml they stand in "
                "[tool.stanchion.timeouts]."
            ),
        ),
        (
            "default = '5s'",
            "timeouts.toml: default: expected seconds > 0 as a finite number, got '5s'\nFix: write 5.0.",
        ),
        (
            "default = '2 min'",
            "timeouts.toml: default: expected seconds > 0 as a finite number, got '2 min'\nFix: write 120.0.",
        ),
        ("default = '2'", "timeouts.toml: default: expected seconds > 0 as a finite number, got '2'\nFix: write 2.0."),
        ("default = 'long'", "timeouts.toml: default: expected seconds > 0 as a finite number, got 'long'"),
        ("default = '2 tons'", "timeouts.toml: default: expected seconds > 0 as a finite number, got '2 tons'"),
        ("default = -1", "timeouts.toml: default: expected seconds > 0 as a finite number, got -1"),
        ("default = 0", "timeouts.toml: default: expected seconds > 0 as a finite number, got 0"),
        ("default = nan", "timeouts.toml: default: expected seconds > 0 as a finite number, got nan"),
        (
            "default = inf",
            (
                "timeouts.toml: default: expected seconds > 0 as a finite number, got inf\n"
                "Fix: no limit is written where the wait is: timeout=None."
            ),
        ),
        ("default = true", "timeouts.toml: default: expected seconds > 0 as a finite number, got True"),
        (
            "default = 07:32:00",
            "timeouts.toml: default: expected seconds > 0 as a finite number, got datetime.time(7, 32)",
        ),
        ("services = 3", "timeouts.toml: services: expected a table, got 3"),
        (
            "[services]\nstock = '3s'",
            "timeouts.toml: [services] stock: expected seconds > 0 as a finite number, got '3s'\nFix: write 3.0.",
        ),
        (
            "[services]\nshop.stock = 3",
            (
                "timeouts.toml: [services] shop: expected seconds > 0 as a finite number, got {'stock': 3}\n"
                'Fix: write a name with dots in quotes, "shop.stock" = 2.0; for TOML, it is tables within tables otherwise.'
            ),
        ),
        (
            "[operations]\n'cache.*' = 3",
            (
                "timeouts.toml: [operations] cache.*: expected an operation as the key, got the pattern 'cache.*'\n"
                "Fix: write 'cache.*' under patterns."
            ),
        ),
        ("[environments]\nci = 0", "timeouts.toml: [environments] ci: expected a finite number > 0, got 0"),
        ("environment = 3", "timeouts.toml: environment: expected the name of an environment, got 3"),
        ("minimum = 3\nmaximum = 1", "timeouts.toml: minimum: expected at most the maximum, 1, got 3"),
        ("default = ", "timeouts.toml: expected TOML, got Invalid value (at end of document)"),
        (
            "default = 1\ndefault = 2",
            "timeouts.toml: expected TOML, got Cannot overwrite a value (at end of document)",
        ),
    ],
)
def test_mistake_is_told_with_its_file_and_key(file: str, text: str, write: WriteFile) -> None:
    write(file)
    error = refusal()
    assert str(error) == text
    assert error.source == "timeouts.toml"


def test_mistake_carries_its_place(write: WriteFile) -> None:
    write("[tool.stanchion.timeouts.services]\nstock = '3s'\n", "pyproject.toml")
    error = refusal("pyproject.toml")
    assert str(error) == (
        "pyproject.toml: [tool.stanchion.timeouts.services] stock: expected seconds > 0 as a finite number, got '3s'\n"
        "Fix: write 3.0."
    )
    assert error.key == "tool.stanchion.timeouts.services.stock"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("", "pyproject.toml: expected a table [tool.stanchion.timeouts], got none"),
        ("[tool.stanchion]\naudit = 1", "pyproject.toml: expected a table [tool.stanchion.timeouts], got none"),
        ("tool = 3", "pyproject.toml: tool: expected a table, got 3"),
        ("[tool]\nstanchion = 3", "pyproject.toml: tool.stanchion: expected a table, got 3"),
        ("[tool.stanchion]\ntimeouts = 3", "pyproject.toml: tool.stanchion.timeouts: expected a table, got 3"),
        (
            "[tool.stanchion.timeout]",
            (
                "pyproject.toml: expected the table [tool.stanchion.timeouts], got [tool.stanchion.timeout]\n"
                "Fix: write [tool.stanchion.timeouts]."
            ),
        ),
        (
            "[tool.stanchion.timeouts]\nservice = 1",
            (
                f"pyproject.toml: [tool.stanchion.timeouts] service: expected one of the keys {KEYS}, got 'service'\n"
                "Fix: write services."
            ),
        ),
    ],
)
def test_mistake_of_a_pyproject_is_told(file: str, text: str, write: WriteFile) -> None:
    write(file, "pyproject.toml")
    assert str(refusal("pyproject.toml")) == text


def test_file_that_cannot_be_read_is_told(folder: Path) -> None:
    assert str(refusal("gone.toml")) == "gone.toml: expected a file to read, got No such file or directory"
    (folder / "bytes.toml").write_bytes(b"\xff")
    assert str(refusal("bytes.toml")).startswith("bytes.toml: expected TOML, got 'utf-8' codec")
    assert str(refusal("\0.toml")) == "\0.toml: expected TOML, got embedded null byte"
    (folder / "deep.toml").write_text("a = " + "[" * 5000)
    assert str(refusal("deep.toml")).startswith("deep.toml: expected TOML, got ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"path": 3}, "TimeoutPolicy.load(path): expected the path of a TOML file, or None, got 3"),
        (
            {"watch": 0},
            "TimeoutPolicy.load(watch): expected seconds > 0 as a finite number, or a timedelta, got 0",
        ),
        ({"environment": ""}, "TimeoutPolicy.load(environment): expected the name of an environment, got ''"),
    ],
)
def test_load_refuses(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        TimeoutPolicy.load(**arguments)
    assert str(caught.value) == text


# --- again -------------------------------------------------------------------------------------------


def test_reload_takes_the_new_rules_and_keeps_what_was_set(write: WriteFile) -> None:
    path = write("default = 2\n[operations]\na = 1\n")
    policy = TimeoutPolicy.load(path)
    table = policy.limits("stock", None)
    policy.set(9, operation="b")
    policy.limit("stock", None, 7)
    write("default = 3\n[operations]\nc = 1\n")
    policy.reload()
    assert [(rule.key, rule.seconds) for rule in policy.rules()] == [("b", 9.0), ("c", 1.0), (None, 3.0)]
    assert (table, policy.limit("stock", None, 7)) == ({}, 3.0)


def test_reload_of_a_broken_file_changes_nothing(write: WriteFile) -> None:
    policy = TimeoutPolicy.load(write("default = 2\n"))
    write("default = ")
    with pytest.raises(TimeoutsConfigError):
        policy.reload()
    assert policy.default == 2.0


@pytest.mark.parametrize("path", ["pyproject.toml", None])
def test_reload_finds_the_file_when_the_folder_has_changed(
    path: str | None, write: WriteFile, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("[tool.stanchion.timeouts]\ndefault = 2\n", "pyproject.toml")
    policy = TimeoutPolicy.load(path)
    write("[tool.stanchion.timeouts]\ndefault = 3\n", "pyproject.toml")
    monkeypatch.chdir(tmp_path_factory.mktemp("other"))
    policy.reload()
    assert policy.default == 3.0


def test_reload_of_a_file_that_was_looked_for_and_is_gone_changes_nothing(write: WriteFile) -> None:
    path = write("[tool.stanchion.timeouts]\ndefault = 2\n", "pyproject.toml")
    policy = TimeoutPolicy.load()
    path.unlink()
    with pytest.raises(TimeoutsConfigError) as caught:
        policy.reload()
    assert str(caught.value) == "pyproject.toml: expected a file to read, got No such file or directory"
    assert (policy.default, policy.file) == (2.0, "pyproject.toml")


def test_policy_is_built_in_when_the_current_folder_was_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    assert TimeoutPolicy.load().rules() == (Rule("default", None, 5.0, "built-in"),)
    assert str(refusal("t.toml")) == "t.toml: expected a file to read, got No such file or directory"
