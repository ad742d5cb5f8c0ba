"""Run-to-completion steps as units: start or find again, follow, return the result.

A step's folder is keyed by a fingerprint of its request, so that a second ``up`` after any death
finds the same step: finished (its result is there), still running (it is followed), or dead (it is
started again and goes on from its own checkpoints).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.core.errors import MlscaleError, Problem
from infra.sites.local.supervision.layout import Layout
from infra.sites.local.supervision.supervisor import Supervisor, UnitState
from infra.sites.local.supervision.units import Unit, UnitStatus
from workloads.jobs import write_json_atomically

_POLL_SECONDS = 0.1
_CRASHES_WITHOUT_PROGRESS = 5


class StepFailed(MlscaleError):
    """A step refused its input or kept crashing; the problems say why."""

    exit_code = 6
    meaning = "a step of the stack refused or failed"


@dataclass(frozen=True)
class Step:
    """One step: ``module`` is run with ``request``; ``folder`` holds request, result and progress."""

    name: str
    module: str
    request: Mapping[str, Any]
    folder: Path

    @property
    def result(self) -> Path:
        """Its presence means that the step is over."""
        return self.folder / "result.json"

    @property
    def progress(self) -> Path:
        """JSON lines, appended."""
        return self.folder / "progress.jsonl"


def fingerprint(module: str, request: Mapping[str, Any]) -> str:
    """Stable over runs: the same work has the same folder."""
    text = json.dumps([module, request], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_step(
    supervisor: Supervisor, name: str, module: str, request: Mapping[str, Any], context: Any
) -> dict[str, Any]:
    """The step's result; raises ``StepFailed``.

    ``context`` is the provider's: ``log`` hears of the progress, ``cancelled`` ends the waiting
    (the step itself goes on and is found again).
    """
    folder = supervisor.layout.data(name) / fingerprint(module, request)
    step = Step(name, module, request, folder)
    result = _read_result(step)
    if result is None or not result["ok"]:
        step.result.unlink(missing_ok=True)  # what refused before may be mended by now
        result = _follow(supervisor, step, context)
    if not result["ok"]:
        raise StepFailed([Problem(**problem) for problem in result["error"]["problems"]])
    return dict(result["result"])


def _follow(supervisor: Supervisor, step: Step, context: Any) -> dict[str, Any]:
    start_step(supervisor, step)
    seen, crashes, last_pid = 0, 0, 0
    while (result := _read_result(step)) is None:
        state = supervisor.state(step.name)
        if state.pid and state.pid != last_pid:
            crashes += bool(last_pid)
            last_pid = state.pid
        lines = _new_lines(step, seen)
        if lines:
            seen, crashes = seen + len(lines), 0
            context.log(_said(lines[-1]))
        if crashes >= _CRASHES_WITHOUT_PROGRESS or _is_over(step, state):
            _give_up(supervisor, step, state)
        if context.cancelled.is_set():
            raise StepFailed(
                Problem(
                    f"{step.name} was left running by a cancelled operation",
                    fix="`pulumi up` finds it again and goes on",
                )
            )
        time.sleep(_POLL_SECONDS)
    return result


def finished(step: Step) -> bool:
    """Whether it ended well."""
    result = _read_result(step)
    return result is not None and bool(result["ok"])


def has_finished(layout: Layout, name: str) -> bool:
    """Whether the step ``name`` has ended well, also under a supervisor that is gone since."""
    results = layout.data(name).glob("*/result.json")
    return any(json.loads(path.read_text(encoding="utf-8"))["ok"] for path in results)


def start_step(supervisor: Supervisor, step: Step) -> None:
    """Start it, or leave it running if it does."""
    step.folder.mkdir(parents=True, exist_ok=True)
    request = step.folder / "request.json"
    write_json_atomically(request, dict(step.request))
    command = (
        sys.executable, "-m", step.module, "--request", str(request),
        "--result", str(step.result), "--progress", str(step.progress),
    )  # fmt: skip
    supervisor.apply(Unit(step.name, command, long_running=False, about={"step": step.module}))


def _is_over(step: Step, state: UnitState) -> bool:
    """Ended for good without a result; looked at twice, since the result may just have come."""
    ended = state.status in (UnitStatus.FAILED, UnitStatus.FINISHED, UnitStatus.STOPPED)
    return ended and _read_result(step) is None


def _give_up(supervisor: Supervisor, step: Step, state: UnitState) -> None:
    tail = supervisor.log_tail(step.name)
    with suppress(OSError):  # a supervisor that is gone restarts nothing
        supervisor.halt(step.name)
    raise StepFailed(
        Problem(
            f"{step.name} ({step.module}) keeps failing ({state.detail}); its log ends:\n{tail}",
            fix="mend the cause above, then `pulumi up` again: it goes on from its last checkpoint",
        )
    )


def _read_result(step: Step) -> dict[str, Any] | None:
    try:
        return dict(json.loads(step.result.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _new_lines(step: Step, seen: int) -> list[str]:
    try:
        return step.progress.read_text(encoding="utf-8").splitlines()[seen:]
    except FileNotFoundError:
        return []


def _said(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return ""  # a line that is being written
    share = "" if event["fraction"] is None else f"{event['fraction']:.0%} "
    return f"{share}{event['message']}"
