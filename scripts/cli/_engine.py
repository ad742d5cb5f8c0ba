"""Calling the Pulumi engine the way a user would, with what a kill may have left put right first."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.core.errors import DamagedState, EngineFailed, MissingTool, Problem
from infra.core.places import ROOT

PROJECT = "mlscale"


class Engine:
    """The ``pulumi`` of this checkout for one stack.

    Raises ``MissingTool`` when there is no usable engine.
    """

    def __init__(self, stack: str) -> None:
        from scripts.cli.env import engine_environment
        from scripts.tools.engine import executable

        program = executable()
        if program is None:
            raise MissingTool(
                Problem("there is no Pulumi engine", fix="scripts/setup --only engine")
            )
        self.stack = stack
        self._program = program
        self._environment = {**os.environ, **engine_environment()}

    def run(self, *arguments: str, quiet: bool = False) -> None:
        """Run ``pulumi`` in the foreground; ``EngineFailed`` when it ends badly.

        ``quiet`` keeps its output to itself unless it fails.
        """
        command = [self._program, *arguments, "--stack", self.stack, "--cwd", str(ROOT)]
        done = subprocess.run(
            command, env=self._environment, capture_output=quiet, text=True, check=False
        )
        if done.returncode != 0:
            said = f": {(done.stderr or done.stdout).strip()[-3000:]}" if quiet else ""
            raise EngineFailed(Problem(f"`pulumi {' '.join(arguments)}` failed{said}"))

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secrets stay masked."""
        command = [self._program, "stack", "output", "--json"]
        done = subprocess.run(
            [*command, "--stack", self.stack, "--cwd", str(ROOT)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            fix = f"mlscale up {self.stack}"
            raise EngineFailed(Problem(f"no outputs: {done.stderr.strip()}", fix=fix))
        return dict(json.loads(done.stdout))

    def prepare(self) -> None:
        """Make the stack if there is none, refuse an unreadable state, clear a dead owner's lock."""
        self._require_readable_state()
        if self._exists():
            if self._has_only_dead_owners():
                self.run("cancel", "--yes", quiet=True)
            return
        self.run("stack", "init", quiet=True)

    def _exists(self) -> bool:
        command = [self._program, "stack", "ls", "--json", "--cwd", str(ROOT)]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EngineFailed(Problem(f"the state can't be reached: {done.stderr.strip()}"))
        return any(stack["name"] == self.stack for stack in json.loads(done.stdout))

    def _require_readable_state(self) -> None:
        state = self._state_file()
        if state is None or not state.exists():
            return
        try:
            json.loads(state.read_text(encoding="utf-8"))["checkpoint"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            kept = state.with_name(f"{state.name}.bak")
            fix = f"cp {kept} {state}" if kept.exists() else f"restore {state} from a backup"
            raise DamagedState(
                Problem(
                    f"the state of stack `{self.stack}` can't be read: {error}",
                    file=str(state),
                    expected="the JSON that the engine wrote",
                    fix=f"{fix}, then `pulumi refresh`",
                )
            ) from error

    def _has_only_dead_owners(self) -> bool:
        """A lock is left behind when its owner was killed; one that lives, or lives elsewhere, counts."""
        owners = list(self._lock_owners())
        return bool(owners) and all(_is_dead(owner) for owner in owners)

    def _lock_owners(self) -> Iterator[dict[str, Any]]:
        folder = self._backend_folder()
        if folder is None:
            return
        for lock in (folder / "locks" / "organization" / PROJECT / self.stack).glob("*.json"):
            try:
                yield json.loads(lock.read_text(encoding="utf-8"))
            except (ValueError, OSError):
                yield {}

    def _state_file(self) -> Path | None:
        folder = self._backend_folder()
        return folder / "stacks" / PROJECT / f"{self.stack}.json" if folder else None

    def _backend_folder(self) -> Path | None:
        """The folder of a file backend, None for any other."""
        url = self._environment.get("PULUMI_BACKEND_URL") or _project_backend()
        if not url.startswith("file://"):
            return None
        path = url.removeprefix("file://")
        return Path(path).expanduser() / ".pulumi"


def _project_backend() -> str:
    from ruamel.yaml import YAML

    project = YAML(typ="safe").load(ROOT / "Pulumi.yaml")
    return str(project.get("backend", {}).get("url", ""))


def _is_dead(owner: dict[str, Any]) -> bool:
    import psutil

    if owner.get("hostname") != socket.gethostname() or "pid" not in owner:
        return False
    try:
        return "pulumi" not in psutil.Process(owner["pid"]).name()
    except psutil.NoSuchProcess:
        return True
