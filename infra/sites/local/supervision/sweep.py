"""Finding and ending whatever a stack left behind, by the marker in its environment."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from infra.sites.local.supervision.layout import MARKER


def marked_processes(directory: Path) -> list[psutil.Process]:
    """Every process of this user that was started for the stack in ``directory``."""
    wanted, found = str(directory), []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == wanted and process.pid != os.getpid():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def sweep(directory: Path, patience_seconds: float = 3) -> list[int]:
    """End them, SIGTERM first; returns the ids of those that were there."""
    processes = marked_processes(directory)
    for process in processes:
        _quietly(process.terminate)
    _gone, alive = psutil.wait_procs(processes, timeout=patience_seconds)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=patience_seconds)
    return [process.pid for process in processes]


def _quietly(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
