"""supervisord (https://supervisord.org) for one stack: start, ask, stop."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ProtocolError, ServerProxy

import psutil

from infra.core.errors import MissingTool, Problem, Refused
from infra.sites.local.supervision.layout import MARKER, Layout
from infra.sites.local.supervision.sweep import sweep
from infra.sites.local.supervision.units import Unit, UnitStatus, read_unit, write_unit
from workloads.jobs import REFUSED_EXIT_CODE, write_text_atomically

_SHUTTING_DOWN, _ALREADY_ADDED, _BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING = 6, 90, 10, 60, 70
_STOP_SECONDS = 60
_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "JAVA_HOME",
    "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
)
_UP = {"RUNNING", "STARTING", "BACKOFF", "STOPPING"}


@dataclass(frozen=True)
class UnitState:
    """A unit as supervisord sees it; ``pid`` is 0 when it isn't running."""

    name: str
    status: UnitStatus
    pid: int
    detail: str


class Supervisor:
    """The supervisord of the stack in ``layout``; safe to use from several threads and processes."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def is_alive(self) -> bool:
        """Whether it answers on its socket."""
        try:
            self._call(lambda rpc: rpc.getState())
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Start it unless it answers; sweeps first what an earlier one left. Units stay stopped."""
        with self._locked():
            if self.is_alive():
                return
            sweep(self.layout.directory)
            self._write_config()
            command = [
                sys.executable,
                "-m",
                "supervisor.supervisord",
                "-c",
                str(self.layout.config),
            ]
            done = subprocess.run(
                command,
                env=self._environment(),
                cwd=self.layout.directory,
                capture_output=True,
                text=True,
                start_new_session=True,
                check=False,
            )
            _until(self.is_alive, 15, lambda: f"supervisord did not start: {done.stderr.strip()}")

    def stop(self) -> None:
        """Stop every unit and the supervisor itself, and sweep what still runs."""
        with self._locked():
            pid = self.pid()
            if pid is not None:
                self._call(lambda rpc: rpc.shutdown())
                # Units stop one after the other; whatever needs longer is swept.
                with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                    psutil.Process(pid).wait(timeout=_STOP_SECONDS)
            sweep(self.layout.directory)
            self.layout.socket.unlink(missing_ok=True)
            shutil.rmtree(self.layout.scratch, ignore_errors=True)

    def pid(self) -> int | None:
        """The process id of the supervisor, None when it isn't alive."""
        try:
            return int(self._call(lambda rpc: rpc.getPID()))
        except OSError:
            return None

    def apply(self, unit: Unit) -> None:
        """Make the unit known and start it; one whose definition changed is restarted."""
        with self._locked():
            # Relative to supervisord's folder: it expands `%` in this one path twice.
            log = self.layout.log(unit.name).relative_to(self.layout.directory)
            ini = unit.ini(log, self._guard())
            write_unit(self.layout.units, unit, ini)
            # What supervisord runs counts, not what the file said: its writer may have been killed.
            [[_added, changed, _removed]] = self._call(lambda rpc: rpc.reloadConfig())
            if unit.name in changed:
                self._forget(unit.name)
            self._tolerating(_ALREADY_ADDED, lambda rpc: rpc.addProcessGroup(unit.name))
            self._tolerating(_ALREADY_STARTED, lambda rpc: rpc.startProcess(unit.name, False))

    def halt(self, name: str) -> None:
        """Stop a unit and leave it stopped; ``apply`` starts it again."""
        with self._locked():
            self._tolerating(_NOT_RUNNING, lambda rpc: rpc.stopProcess(name, True))

    def remove(self, name: str) -> None:
        """Stop a unit and forget it, with its log, data and descriptor; nothing if there is none."""
        with self._locked():
            if self.is_alive() and self._known(name):
                self._forget(name)
            for suffix in (".ini", ".json"):
                (self.layout.units / f"{name}{suffix}").unlink(missing_ok=True)
            if self.is_alive():
                self._call(lambda rpc: rpc.reloadConfig())
            for log in self.layout.logs.glob(f"{name}.log*"):
                log.unlink(missing_ok=True)
            shutil.rmtree(self.layout.data(name), ignore_errors=True)

    def state(self, name: str) -> UnitState:
        """How a unit is; STOPPED when the supervisor is gone or doesn't know it."""
        gone = UnitState(name, UnitStatus.STOPPED, 0, "not running")
        try:
            info = self._call(lambda rpc: rpc.getProcessInfo(name))
        except OSError:
            return gone
        except Fault as fault:
            if fault.faultCode == _BAD_NAME:
                return gone
            raise
        return _state(info)

    def states(self) -> list[UnitState]:
        """Every unit that the supervisor knows; empty when it is gone."""
        try:
            return [_state(info) for info in self._call(lambda rpc: rpc.getAllProcessInfo())]
        except OSError:
            return []

    def unit(self, name: str) -> Unit | None:
        """A unit's descriptor."""
        return read_unit(self.layout.units, name)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a unit's log, for error messages."""
        try:
            text = self.layout.log(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(empty log)"

    def _known(self, name: str) -> bool:
        return any(state.name == name for state in self.states())

    def _forget(self, name: str) -> None:
        self._tolerating(_NOT_RUNNING, lambda rpc: rpc.stopProcess(name, True))
        self._tolerating(_BAD_NAME, lambda rpc: rpc.removeProcessGroup(name))

    def _guard(self) -> tuple[str, ...]:
        guard = Path(__file__).with_name("guard.py")
        return (sys.executable, "-S", "-E", str(guard), str(self.pid()))

    def _environment(self) -> dict[str, str]:
        """Only what the processes need: the engine's own (passphrase, tokens) stays out of them."""
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        kept.update(
            {name: value for name, value in os.environ.items() if name.startswith("MLSCALE_")}
        )
        own = {MARKER: str(self.layout.directory), "TMPDIR": str(self.layout.scratch)}
        # In any locale: paths and logs are UTF-8.
        return {**kept, **own, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}

    def _write_config(self) -> None:
        for folder in (self.layout.units, self.layout.logs):
            folder.mkdir(parents=True, exist_ok=True)
        _require_own(self.layout.socket.parent)
        self.layout.scratch.mkdir(mode=0o700, exist_ok=True)
        self.layout.socket.unlink(missing_ok=True)
        directory = str(self.layout.directory).replace("%", "%%")
        write_text_atomically(
            self.layout.config,
            f"""[unix_http_server]
file={self.layout.socket}
chmod=0700

[supervisord]
directory={directory}
logfile={directory}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={directory}/supervisord.pid
identifier=mlscale

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files=units/*.ini
""",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time: supervisord reloads its whole configuration or nothing."""
        self.layout.directory.mkdir(parents=True, exist_ok=True)
        with (self.layout.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _call(self, ask: Callable[[Any], Any]) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.layout.socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return ask(cast("Any", proxy).supervisor)
        except Fault as fault:
            if fault.faultCode != _SHUTTING_DOWN:
                raise
            raise ConnectionError("supervisord is shutting down") from fault
        except (ProtocolError, HTTPException) as error:  # it died while it answered
            raise ConnectionError(f"supervisord broke off: {error}") from error

    def _tolerating(self, fault_code: int, ask: Callable[[Any], Any]) -> None:
        try:
            self._call(ask)
        except Fault as fault:
            if fault.faultCode != fault_code:
                raise


def _state(info: dict[str, Any]) -> UnitState:
    exited = info["statename"] == "EXITED"
    if exited and info["exitstatus"] in (0, REFUSED_EXIT_CODE):
        status = UnitStatus.FAILED if info["exitstatus"] else UnitStatus.FINISHED
    elif exited or info["statename"] in _UP:  # a crashed one is about to be restarted
        status = UnitStatus.RUNNING
    else:
        status = UnitStatus.FAILED if info["statename"] == "FATAL" else UnitStatus.STOPPED
    return UnitState(info["name"], status, info["pid"], info["description"] or info["statename"])


def _require_own(folder: Path) -> None:
    """Make ``folder``, or refuse one that another user of this machine made first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        fix = f"have its owner or root remove {folder}"
        raise Refused(Problem(f"{folder} belongs to another user of this machine", fix=fix))
    folder.chmod(0o700)


def _until(true: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise MissingTool(Problem(otherwise(), fix="mlscale doctor"))
        time.sleep(0.05)
