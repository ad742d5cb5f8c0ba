"""How verbs call the engine: a stub stands for ``pulumi`` and writes down what it was asked."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.core.errors import DamagedState, EngineFailed, InvalidStack, MissingTool
from infra.core.places import PROJECT, ROOT
from infra.sites.local.places import run_directory
from infra.sites.local.supervision import Layout, Supervisor, Unit, marked_processes
from scripts.cli import down
from scripts.cli._engine import Engine
from scripts.cli.logs import _grown
from scripts.cli.up import _digits_model
from tests.support.processes import Process, wait_until

_STUB = """#!/bin/sh
echo "$*" >> "$STUB_SAID"
case "$*" in
  "stack ls"*) echo "[{\\"name\\": \\"$STUB_STACK\\"}]" ;;
  "stack output"*) echo '{"endpoints": {"digits": "http://127.0.0.1:1"}}' ;;
  "fail"*) echo "progress"; echo "it broke" >&2; exit 255 ;;
esac
"""


# The engine's `~` is the account's home folder, whatever HOME says.
_ACCOUNT = Path(pwd.getpwuid(os.getuid()).pw_dir)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    program = tmp_path / "pulumi"
    program.write_text(_STUB)
    program.chmod(0o755)
    monkeypatch.setenv("STUB_SAID", str(tmp_path / "said"))
    monkeypatch.setenv("STUB_STACK", "local")
    monkeypatch.setenv("MLSCALE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}?metadata=skip")
    monkeypatch.setattr("scripts.tools.engine.executable", lambda: str(program))
    return Engine("local")


def _asked(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "said").read_text().splitlines()
    return [line.partition(" --cwd ")[0] for line in lines]


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def _lock(folder: Path, name: str, owner: Any) -> None:
    _write(folder / ".pulumi/locks/organization/mlscale/local" / f"{name}.json", owner)


def _dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def test_without_an_engine_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.tools.engine.executable", lambda: None)
    with pytest.raises(MissingTool, match="scripts/setup --only engine"):
        Engine("local")


def test_a_stack_that_is_there_is_left_alone_and_one_that_is_not_is_told(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.prepare()
    assert _asked(tmp_path) == ["stack ls --json"]
    monkeypatch.setenv("STUB_STACK", "other")
    assert not Engine("local").prepare()


def test_a_dead_owners_lock_is_cleared(engine: Engine, tmp_path: Path) -> None:
    here = socket.gethostname()
    _lock(tmp_path, "dead", {"hostname": here, "pid": _dead_pid()})
    _lock(tmp_path, "reused", {"hostname": here, "pid": os.getpid()})  # no pulumi any more
    assert engine.prepare()
    assert _asked(tmp_path)[-1] == "cancel --yes --stack local"


@pytest.mark.parametrize(
    "owner",
    [{"hostname": "elsewhere", "pid": 1}, {"pid": 1}, {}, [], "{", {"hostname": "", "pid": "x"}],
)
def test_any_other_owner_keeps_its_lock(engine: Engine, tmp_path: Path, owner: Any) -> None:
    if isinstance(owner, dict) and owner.get("hostname") == "":
        owner = {**owner, "hostname": socket.gethostname()}
    _lock(tmp_path, "dead", {"hostname": socket.gethostname(), "pid": _dead_pid()})
    _lock(tmp_path, "other", owner)
    assert engine.prepare()
    assert _asked(tmp_path) == ["stack ls --json"]


def test_a_living_engine_keeps_its_lock(engine: Engine, tmp_path: Path) -> None:
    named = tmp_path / "pulumi-sleeps"
    named.symlink_to("/bin/sleep")
    with subprocess.Popen([named, "60"]) as living:
        _lock(tmp_path, "living", {"hostname": socket.gethostname(), "pid": living.pid})
        assert engine.prepare()
        living.kill()
    assert _asked(tmp_path) == ["stack ls --json"]


@pytest.mark.parametrize("state", ["", "{", "[]", "{}", b"\xff\xfe"])
def test_an_unreadable_state_is_refused_with_its_backup(
    engine: Engine, tmp_path: Path, state: str | bytes
) -> None:
    file = tmp_path / ".pulumi" / "stacks" / "mlscale" / "local.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(state if isinstance(state, bytes) else state.encode())
    with pytest.raises(DamagedState, match=r"restore .* from a backup"):
        engine.prepare()
    _write(Path(f"{file}.bak"), {"checkpoint": {}})
    with pytest.raises(DamagedState, match=r"cp .*local\.json\.bak"):
        engine.prepare()
    assert not (tmp_path / "said").exists()


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file://~", _ACCOUNT),
        ("file:///srv/state?create_dir=true", Path("/srv/state")),
        ("file://./here", ROOT / "here"),
        ("s3://bucket", None),
    ],
)
def test_the_folder_of_a_backend(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, url: str, folder: Path | None
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    assert Engine("local")._backend_folder() == (folder / ".pulumi" if folder else None)


def test_without_a_variable_the_projects_backend_counts(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    assert Engine("local")._backend_folder() == _ACCOUNT / ".pulumi"


def test_what_the_engine_says_of_a_failure_is_passed_on(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineFailed, match=r"`pulumi fail` failed: it broke$"):
        engine.run("fail", quiet=True)
    assert capfd.readouterr().out == ""
    with pytest.raises(EngineFailed, match=r"`pulumi fail` failed$"):
        engine.run("fail")
    assert capfd.readouterr().out == "progress\n"
    assert engine.outputs() == {"endpoints": {"digits": "http://127.0.0.1:1"}}


def test_an_interrupt_leaves_the_engine_its_time(tmp_path: Path) -> None:
    """Ctrl-C reaches verb and engine; the verb waits while the engine ends its operation in order."""
    program = tmp_path / "pulumi"
    program.write_text(
        f"#!{sys.executable}\n"
        "import signal, time\n"
        "def leave(*_):\n    time.sleep(1)\n    print('in order', flush=True)\n    raise SystemExit(1)\n"
        "signal.signal(signal.SIGINT, leave)\nprint('at work', flush=True)\nsignal.pause()\n"
    )
    program.chmod(0o755)
    code = (
        "import os, sys\nos.setpgid(0, 0)\nimport scripts.tools.engine as tools\n"
        "from infra.core.errors import EngineFailed\nfrom scripts.cli._engine import Engine\n"
        f"tools.executable = lambda: {str(program)!r}\n"
        "try:\n    Engine('local').run('up')\nexcept EngineFailed:\n    sys.exit(9)\n"
    )
    verb = Process([sys.executable, "-c", code], tmp_path / "log").start()
    wait_until(lambda: "at work" in verb.output(), what="the engine's start")
    os.killpg(verb.pid, signal.SIGINT)
    assert verb.wait() == 9
    assert verb.output() == "at work\nin order\n"


def test_down_of_a_stack_that_never_was(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with a file is down already; a name without one is a mistake. Neither makes a stack."""
    monkeypatch.setenv("STUB_STACK", "another")
    down.command("local", as_json=True)
    with pytest.raises(InvalidStack, match="locla"):
        down.command("locla", as_json=True)
    assert _asked(tmp_path) == ["stack ls --json"] * 2


def test_down_ends_what_the_state_forgot(engine: Engine, tmp_path: Path) -> None:
    """The engine was killed before it wrote down that the supervisor runs."""
    layout = Layout(run_directory(PROJECT, "local", "here"))
    supervisor = Supervisor(layout)
    supervisor.start()
    supervisor.apply(Unit("sleeper", (sys.executable, "-c", "import time; time.sleep(600)")))
    down.command("local", as_json=True)
    assert _asked(tmp_path)[-1] == "destroy --yes --stack local"
    assert marked_processes(layout.directory) == []
    assert not (tmp_path / "state").exists()


def test_the_example_is_for_digits_only() -> None:
    from infra.spec import load

    platform = load("local", ROOT)
    assert _digits_model(platform, "digits") == "digits"
    training = platform.training["digits"].model_copy(update={"package": "fraud"})
    other = platform.model_copy(update={"training": {"digits": training}})
    assert _digits_model(other, "digits") is None


def test_a_log_is_told_once_and_in_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "unit.log"
    log.write_text("one\ntwo\nthr")
    positions = {log: 0}
    assert list(_grown(log, positions)) == ["one", "two"]
    log.write_text("one\ntwo\nthree\n")
    assert list(_grown(log, positions)) == ["three"]
    log.write_text("new\n")  # rotated
    assert list(_grown(log, positions)) == ["new"]
    assert list(_grown(log, {log: 0}, whole=False)) == ["new"]
    log.unlink()
    assert list(_grown(log, positions)) == []
