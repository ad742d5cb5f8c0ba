"""The command line as scripts and people meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.core.places import ROOT
from scripts.cli import VERBS

_MLSCALE = str(Path(sys.executable).parent / "mlscale")


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_MLSCALE, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_help_lists_every_verb_and_imports_none() -> None:
    code = (
        "import sys; sys.argv = ['mlscale', '--help']\n"
        "from scripts.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pulumi', 'pydantic', 'numpy', 'torch', 'mlflow', 'polars', 'scipy', 'ruamel'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for verb in VERBS:
        assert verb in done.stdout


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_and_json(verb: str) -> None:
    done = _run(verb, "--help", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    if "COMMAND" not in text:
        assert "--json" in text
        assert "Example" in text


def test_version() -> None:
    assert _run("--version").stdout.startswith("mlscale 0.")


def test_errors_are_one_line_on_stderr_or_json_on_stdout() -> None:
    done = _run("validate", "no-such-stack")
    assert done.returncode == 3
    assert "no-such-stack" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    as_json = _run("validate", "no-such-stack", "--json")
    assert as_json.returncode == 3
    document = json.loads(as_json.stdout)
    assert document["exit_code"] == 3
    assert document["problems"][0]["message"]


def test_an_unknown_verb_and_an_unknown_option_are_usage_errors() -> None:
    assert _run("vaildate").returncode == 2
    assert _run("env", "--nope").returncode == 2


def test_env_keeps_what_is_set() -> None:
    wanted = json.loads(_run("env", "--json", PULUMI_CONFIG_PASSPHRASE="mine").stdout)
    assert "PULUMI_CONFIG_PASSPHRASE" not in wanted
    assert str(Path(sys.executable).parent) in wanted["PATH"]
    lines = _run("env").stdout
    assert lines.startswith("export PATH=")


def test_support_gives_a_reason_for_every_no() -> None:
    rows = json.loads(_run("support", "--json").stdout)
    assert rows["streams (Kafka)"]["local"] is True
    refused = [cell for row in rows.values() for cell in row.values() if cell is not True]
    assert refused
    assert all(isinstance(cell, str) and len(cell) > 15 for cell in refused)
    assert "| streams (Kafka) | yes |" in _run("support", "--markdown").stdout
    assert "streams (Kafka)" in _run("support").stdout


def test_doctor_names_what_is_missing_and_the_way_out(tmp_path: Path) -> None:
    here = str(Path(sys.executable).parent)
    done = _run("doctor", "--json", MLSCALE_CACHE=str(tmp_path), PATH=here, JAVA_HOME="")
    assert done.returncode == 5
    found = json.loads(done.stdout)
    assert found["java"]["missing"]
    assert "openjdk" in found["java"]["fix"]
    assert found["kafka"]["fix"] == "scripts/setup --only kafka"
    assert found["prometheus"]["missing"]
    assert found["python"]["missing"] is None
    table = _run("doctor", MLSCALE_CACHE=str(tmp_path), PATH=here, JAVA_HOME="", COLUMNS="200")
    assert "scripts/setup --only kafka" in table.stdout


def test_setup_refuses_a_tool_it_does_not_know() -> None:
    done = _run("setup", "--only", "fortran")
    assert done.returncode == 10
    assert "expected one of" in done.stderr


def test_status_of_a_stack_that_never_ran(tmp_path: Path) -> None:
    done = _run("status", "local", MLSCALE_STATE=str(tmp_path))
    assert "nothing of stack local runs here" in done.stdout
    address = _run("status", "local", "--url", "digits", MLSCALE_STATE=str(tmp_path))
    assert address.returncode == 10
    assert "a stack that is up" in address.stderr
    logs = _run("logs", "local", "--unit", "x", MLSCALE_STATE=str(tmp_path))
    assert logs.returncode == 10


def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(  # noqa: S602 - the pipe is what is tested
        f"{_MLSCALE} support --json | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
