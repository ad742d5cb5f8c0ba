"""What a unit is, and how supervisord is told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.core.errors import DamagedState, Problem
from workloads.jobs import REFUSED_EXIT_CODE, write_json_atomically, write_text_atomically


class UnitStatus(StrEnum):
    """What ``read`` reports of a unit; everything but the first two is drift."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Unit:
    """One supervised process.

    ``command`` is a list, never a shell line. ``long_running`` units are restarted whenever they end;
    others only when they crash. ``stop_seconds`` is the time between SIGTERM and SIGKILL.
    ``about`` is whatever its owner wants to find again (inputs and outputs of the resource).
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    long_running: bool = True
    stop_seconds: int = 20
    about: Mapping[str, Any] = field(default_factory=dict)

    def ini(self, log: Path, guard: tuple[str, ...]) -> str:
        """The section for supervisord (its configuration reference: program:x)."""
        environment = ",".join(
            f'{name}="{_escaped(value)}"' for name, value in sorted(self.environment.items())
        )
        lines = [
            f"[program:{self.name}]",
            f"command={' '.join(_quoted(part) for part in (*guard, *self.command))}",
            f"environment={environment}",
            "autorestart=unexpected",
            f"exitcodes={REFUSED_EXIT_CODE if self.long_running else f'0,{REFUSED_EXIT_CODE}'}",
            "autostart=false",
            f"startsecs={1 if self.long_running else 0}",
            "startretries=20",
            "stopsignal=TERM",
            f"stopwaitsecs={self.stop_seconds}",
            "stopasgroup=true",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(str(log))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=1",
        ]
        return "\n".join(lines) + "\n"


def write_unit(folder: Path, unit: Unit, ini: str) -> None:
    """Write a unit's files: ``ini`` for supervisord, the descriptor for us."""
    write_text_atomically(folder / f"{unit.name}.ini", ini)
    write_json_atomically(folder / f"{unit.name}.json", asdict(unit))


def read_unit(folder: Path, name: str) -> Unit | None:
    """A unit's descriptor, None when there is none; ``DamagedState`` when it can't be read."""
    path = folder / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        value["command"] = tuple(value["command"])
        return Unit(**value)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedState(
            Problem(
                f"the unit's descriptor can't be read: {error}",
                file=str(path),
                fix="delete the file, then run `pulumi up` again: it is written anew",
            )
        ) from error


def _quoted(part: str) -> str:
    """One word of supervisord's shlex-like command line, with its %-expansion switched off."""
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
