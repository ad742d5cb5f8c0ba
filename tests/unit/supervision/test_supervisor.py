"""A real supervisord with real processes: restarted when killed, gone when it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from infra.core.errors import Refused
from infra.sites.local.provider.handler import Context
from infra.sites.local.supervision import (
    Layout,
    StepFailed,
    Supervisor,
    Unit,
    UnitStatus,
    marked_processes,
    run_step,
    sweep,
)
from infra.sites.local.supervision.layout import MARKER
from tests.support.processes import wait_until
from tests.support.supervised import supervisor  # noqa: F401 - a fixture

_SLEEPER = Unit("sleeper", (sys.executable, "-c", "import time; print('up'); time.sleep(600)"))


def _pid(found: Supervisor, name: str = "sleeper") -> int:
    wait_until(lambda: found.state(name).pid, what=f"the start of {name}")
    return found.state(name).pid


def _environment_with(pid: int, name: str) -> dict[str, str]:
    """A process's environment, once it is its own: between fork and exec it is the supervisor's."""
    process = psutil.Process(pid)
    wait_until(lambda: name in process.environ(), what=f"{name} in the environment")
    wait_until(lambda: "time.sleep" in " ".join(process.cmdline()), what="the command")
    return process.environ()


def test_a_killed_process_is_back_by_itself(supervisor: Supervisor) -> None:  # noqa: F811
    supervisor.apply(_SLEEPER)
    first = _pid(supervisor)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.state("sleeper").pid not in (0, first), what="the restart")
    assert supervisor.state("sleeper").status is UnitStatus.RUNNING


def test_nothing_outlives_a_killed_supervisor(supervisor: Supervisor) -> None:  # noqa: F811
    supervisor.apply(_SLEEPER)
    child, parent = _pid(supervisor), supervisor.pid()
    assert parent is not None
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(child), what="the end of the child")
    assert supervisor.state("sleeper").status is UnitStatus.STOPPED
    assert supervisor.states() == []
    assert supervisor.pid() is None
    supervisor.start()
    assert supervisor.state("sleeper").status is UnitStatus.STOPPED  # it starts nothing unasked
    supervisor.apply(_SLEEPER)
    assert _pid(supervisor) != child


def test_a_changed_unit_is_restarted_an_equal_one_is_left_alone(
    supervisor: Supervisor,  # noqa: F811
) -> None:
    supervisor.apply(_SLEEPER)
    first = _pid(supervisor)
    supervisor.apply(_SLEEPER)
    assert supervisor.state("sleeper").pid == first
    supervisor.apply(Unit(**{**vars(_SLEEPER), "environment": {"X": "100%"}}))
    second = _pid(supervisor)
    assert second != first
    assert _environment_with(second, "X")["X"] == "100%"
    supervisor.halt("sleeper")
    assert supervisor.state("sleeper").status is UnitStatus.STOPPED


def test_a_change_whose_writer_was_killed_still_restarts_the_unit(
    supervisor: Supervisor,  # noqa: F811
) -> None:
    supervisor.apply(_SLEEPER)
    first = _pid(supervisor)
    changed = Unit(**{**vars(_SLEEPER), "environment": {"X": "new"}})
    ini = supervisor.layout.units / "sleeper.ini"
    ini.write_text(ini.read_text().replace("environment=", 'environment=X="new"'))
    supervisor.apply(changed)
    assert _pid(supervisor) != first


def test_folders_with_spaces_percents_and_letters_of_any_alphabet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the socket stands doesn't depend on it
    found = Supervisor(Layout(tmp_path / "hôme of 100% me" / "run"))
    found.start()
    try:
        found.apply(_SLEEPER)
        wait_until(lambda: "up" in found.log_tail("sleeper"), what="the log")
        monkeypatch.delenv("TMPDIR")
        assert Supervisor(found.layout).is_alive()
    finally:
        found.stop()
    assert marked_processes(found.layout.directory) == []


def test_a_socket_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Layout, "socket", tmp_path / "sockets" / "x.sock")
    (tmp_path / "sockets").mkdir()
    monkeypatch.setattr("infra.sites.local.supervision.supervisor.os.getuid", lambda: 4242)
    with pytest.raises(Refused, match="belongs to another user"):
        Supervisor(Layout(tmp_path / "run")).start()


def test_a_supervisor_that_is_leaving_counts_as_gone(supervisor: Supervisor) -> None:  # noqa: F811
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(99)"
    supervisor.apply(Unit("stubborn", (sys.executable, "-c", stubborn), stop_seconds=1))
    wait_until(lambda: "up" in supervisor.log_tail("stubborn"), what="the start")
    supervisor._call(lambda rpc: rpc.shutdown())
    assert not supervisor.is_alive()
    assert supervisor.pid() is None
    assert supervisor.state("stubborn").status is UnitStatus.STOPPED


def test_the_engines_secrets_stay_out_of_processes(
    supervisor: Supervisor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor.stop()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "canary-passphrase")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-key")
    supervisor.start()
    supervisor.apply(_SLEEPER)
    wait_until(lambda: "up" in supervisor.log_tail("sleeper"), what="the log")
    environment = _environment_with(_pid(supervisor), MARKER)
    assert "canary" not in " ".join(environment.values())
    assert environment[MARKER] == str(supervisor.layout.directory)


def test_removing_a_unit_takes_its_files_along(supervisor: Supervisor) -> None:  # noqa: F811
    supervisor.apply(_SLEEPER)
    pid = _pid(supervisor)
    wait_until(lambda: "up" in supervisor.log_tail("sleeper"), what="the log")
    data = supervisor.layout.data("sleeper")
    data.mkdir(parents=True)
    supervisor.remove("sleeper")
    assert not psutil.pid_exists(pid)
    assert not data.exists()
    assert supervisor.unit("sleeper") is None
    assert supervisor.log_tail("sleeper") == "(no log)"
    supervisor.remove("sleeper")  # again: nothing to do


def test_a_sweep_ends_what_carries_the_mark_even_if_it_ignores_sigterm(
    supervisor: Supervisor,  # noqa: F811
) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(99)"
    marked = {**os.environ, MARKER: str(supervisor.layout.directory)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=marked, stdout=subprocess.PIPE
    ) as stray:
        assert stray.stdout
        stray.stdout.readline()
        own = supervisor.pid()
        assert {process.pid for process in marked_processes(supervisor.layout.directory)} == {
            stray.pid,
            own,
        }
        supervisor.stop()
        assert not psutil.pid_exists(stray.pid)
    assert sweep(supervisor.layout.directory) == []


def test_a_step_that_keeps_crashing_is_given_up_with_its_log(
    supervisor: Supervisor,  # noqa: F811
) -> None:
    with pytest.raises(StepFailed, match=r"(?s)keeps failing.*No module named no_such_step"):
        run_step(supervisor, "broken", "no_such_step", {}, Context())
    assert supervisor.state("broken").status is UnitStatus.STOPPED  # nobody waits for it any more


def test_a_refused_step_says_why_and_can_be_tried_again(
    supervisor: Supervisor,  # noqa: F811
) -> None:
    request = {"store": "/nowhere", "table": "t", "package": "no-such-package", "source": None}
    request["max_rejected_fraction"] = "0"
    for _ in range(2):
        with pytest.raises(StepFailed, match="no-such-package"):
            run_step(supervisor, "ingest", "workloads.data.ingest", request, Context())


def test_a_cancelled_wait_leaves_the_step_running(supervisor: Supervisor) -> None:  # noqa: F811
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StepFailed, match="left running by a cancelled operation"):
        run_step(supervisor, "waits", "http.server", {}, Context(cancelled=cancelled))
