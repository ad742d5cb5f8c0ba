"""Stacks of a test's own on the real engine: state, ports and processes apart from everyone's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from infra.core.places import ROOT
from infra.sites.local.supervision import Layout, Supervisor, marked_processes
from tests.support.processes import wait_until

BIN = Path(sys.executable).parent

TRAINING_ONLY = """
config:
  mlscale:platform:
    name: digits
    environment: dev
    owner: {team: platform, cost_center: "1000", contact: platform@example.com}
    sites: {here: {cloud: local}}
    stores: {lake: {site: here}}
    training:
      digits:
        sites: [here]
        package: digits
        dataset: {store: lake, table: digits}
        parallelism: {data: 2}
        hyperparameters: {epochs: 40}
        checkpoint: {every_steps: 20}
        gate: {accuracy_min: 0.9}
"""


class Stack:
    """One stack: ``name`` is unique, ``environment`` keeps it apart, its file stands in ``stacks/``."""

    def __init__(self, folder: Path, declaration: str) -> None:
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.state = folder / "state"
        self.file = ROOT / "stacks" / f"Pulumi.{self.name}.yaml"
        self.file.write_text(declaration, encoding="utf-8")
        (folder / "backend").mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self.environment = {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "MLSCALE_STATE": str(self.state),
            "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
            "PULUMI_HOME": str(folder / "pulumi-home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }
        self.backend = folder / "backend" / ".pulumi"

    @property
    def layout(self) -> Layout:
        """Where what runs keeps its files."""
        return Layout(self.state / "run" / f"mlscale-{self.name}@here")

    @property
    def supervisor(self) -> Supervisor:
        """Its supervisord."""
        return Supervisor(self.layout)

    @property
    def store(self) -> Path:
        """The store ``lake``."""
        return self.state / "stores" / f"mlscale-{self.name}" / "lake"

    def mlscale(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run our command line."""
        return self._run([str(BIN / "mlscale"), *arguments], ok)

    def pulumi(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the engine's, as a user does from the root."""
        return self._run(
            [str(BIN / "pulumi"), *arguments, "-s", self.name, "--non-interactive"], ok
        )

    def shell(self, script: str) -> str:
        """Run shell lines from the root, as pasted; what they print."""
        return self._run(["bash", "-euo", "pipefail", "-c", script], ok=True).stdout

    def up(self) -> dict[str, Any]:
        """``mlscale up``; the outputs."""
        done = self.mlscale("up", self.name, "--json")
        return dict(json.loads(done.stdout))

    def start_up(self) -> subprocess.Popen[str]:
        """``mlscale up`` in the background."""
        return subprocess.Popen(
            [str(BIN / "mlscale"), "up", self.name],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def resource(self, kind: str) -> dict[str, Any]:
        """The state of the one resource of type ``mlscale:local:<kind>``."""
        state = json.loads(self.pulumi("stack", "export").stdout)
        found = [
            resource
            for resource in state["deployment"]["resources"]
            if resource["type"] == f"mlscale:local:{kind}"
        ]
        assert len(found) == 1, f"{len(found)} resources of kind {kind}"
        return dict(found[0])

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for it."""
        return marked_processes(self.layout.directory)

    def close(self) -> None:
        """Take it down for good, whatever state it is in."""
        self.supervisor.stop()
        self.file.unlink(missing_ok=True)

    def _run(self, command: list[str], ok: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert not ok or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done


@contextmanager
def stack(folder: Path, declaration: str) -> Iterator[Stack]:
    """A stack that is gone afterwards."""
    found = Stack(folder, declaration)
    try:
        yield found
    finally:
        found.close()


def kill(pid: int) -> None:
    """SIGKILL."""
    os.kill(pid, signal.SIGKILL)


def when(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for a moment that a test wants to strike at."""
    wait_until(true, seconds, what)


def progress_step(layout: Layout, unit: str) -> int:
    """The last training step that the unit told of, 0 before the first."""
    best = 0
    for path in layout.data(unit).glob("*/progress.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            message = json.loads(line)["message"] if line.endswith("}") else ""
            if "step " in message and "/" in message.split("step ")[1]:
                best = max(best, int(message.split("step ")[1].split("/")[0]))
    return best


def settle(seconds: float = 0.2) -> None:
    """Give a signal time to arrive."""
    time.sleep(seconds)
