"""Calling the Pulumi engine the way a user would, with what a kill may have left put right first."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.core.errors import DamagedState, EngineFailed, MissingTool, Problem
from infra.core.places import PROJECT, ROOT


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
        done = self._ended(*arguments, "--stack", self.stack, captured=quiet)
        if done.returncode != 0:
            said = f": {(done.stderr or done.stdout).strip()[-3000:]}" if quiet else ""
            raise EngineFailed(Problem(f"`pulumi {' '.join(arguments)}` failed{said}"))

    def make(self) -> None:
        """Make the stack; one that another run has made meanwhile is as good."""
        done = self._ended("stack", "init", "--stack", self.stack)
        if done.returncode != 0 and "already exists" not in done.stderr:
            raise EngineFailed(Problem(f"the stack can't be made: {done.stderr.strip()}"))

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secrets stay masked."""
        done = self._ended("stack", "output", "--json", "--stack", self.stack)
        if done.returncode != 0:
            fix = f"mlscale up {self.stack}"
            raise EngineFailed(Problem(f"no outputs: {done.stderr.strip()}", fix=fix))
        return dict(json.loads(done.stdout))

    def prepare(self) -> bool:
        """Refuse an unreadable state, clear a dead owner's lock; False when there is no such stack."""
        self._require_readable_state()
        if not self._exists():
            return False
        if self._has_only_dead_owners():
            self.run("cancel", "--yes", quiet=True)
        return True

    def _ended(self, *arguments: str, captured: bool = True) -> subprocess.CompletedProcess[str]:
        """``pulumi`` with ``arguments``, once it has ended.

        Ctrl-C reaches the engine too, which ends its operation in order: it is waited for, never killed.
        """
        pipe = subprocess.PIPE if captured else None
        command = [self._program, *arguments, "--cwd", str(ROOT)]
        with subprocess.Popen(
            command, env=self._environment, stdout=pipe, stderr=pipe, text=True, errors="replace"
        ) as engine:
            while True:
                with suppress(KeyboardInterrupt):
                    said, complained = engine.communicate()
                    break
        return subprocess.CompletedProcess(command, engine.returncode, said, complained)

    def _exists(self) -> bool:
        done = self._ended("stack", "ls", "--json")
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
                owner = json.loads(lock.read_text(encoding="utf-8"))
            except (ValueError, OSError):
                owner = None
            yield owner if isinstance(owner, dict) else {}

    def _state_file(self) -> Path | None:
        folder = self._backend_folder()
        return folder / "stacks" / PROJECT / f"{self.stack}.json" if folder else None

    def _backend_folder(self) -> Path | None:
        """The folder of a file backend, None for any other."""
        url = self._environment.get("PULUMI_BACKEND_URL") or _project_backend()
        if not url.startswith("file://"):
            return None
        path = url.removeprefix("file://").partition("?")[0]
        if path.startswith("~"):
            # As the engine does it: the account's home folder, whatever HOME says.
            path = f"{pwd.getpwuid(os.getuid()).pw_dir}{path[1:]}"
        return ROOT / path / ".pulumi"


def _project_backend() -> str:
    from ruamel.yaml import YAML

    project = YAML(typ="safe").load(ROOT / "Pulumi.yaml")
    return str(project.get("backend", {}).get("url", ""))


def _is_dead(owner: dict[str, Any]) -> bool:
    import psutil

    pid = owner.get("pid")
    if owner.get("hostname") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        return "pulumi" not in psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
