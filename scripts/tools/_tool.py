"""What a tool of this machine is to ``setup`` and ``doctor``, and the helpers they share."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str, float | None], None]
"""Called with what is being done and the fraction that is done (0 to 1, None when unknown)."""


@dataclass(frozen=True)
class Finding:
    """What was found: ``missing`` is None when the tool is usable, else what lacks; ``fix`` a command."""

    detail: str
    path: str | None = None
    version: str | None = None
    missing: str | None = None
    fix: str | None = None

    @property
    def usable(self) -> bool:
        """True when nothing is missing."""
        return self.missing is None


@dataclass(frozen=True)
class Tool:
    """One tool: its name, why it is needed, how it is found and put in place.

    ``install`` is None for what only the machine's owner can install (Java); it raises
    ``MissingTool`` with the way out when it can't.
    """

    name: str
    purpose: str
    find: Callable[[], Finding]
    install: Callable[[Progress], None] | None = None


def version_tuple(text: str) -> tuple[int, ...]:
    """The first dotted number in ``text`` as a tuple to compare, () when there is none."""
    match = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def output_of(command: list[str], timeout_seconds: float = 20) -> str:
    """What a short command prints on both streams; "" when it can't be run, or not in that time."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def replaced(final: Path) -> AbstractContextManager[Path]:
    """A scratch folder beside ``final`` that takes its place when the block ends well.

    A kill leaves only the scratch folder, which the next run clears; so ``final`` is whole or absent.
    Checkouts that share a cache take turns: the folder above is the lock.
    """
    return _Replaced(final)


class _Replaced(AbstractContextManager[Path]):
    def __init__(self, final: Path) -> None:
        self._final = final
        self._scratch = final.with_name(f".{final.name}.partial")

    def __enter__(self) -> Path:
        self._scratch.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._scratch.parent, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        return self._scratch

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            if kind is None:
                shutil.rmtree(self._final, ignore_errors=True)
                self._scratch.replace(self._final)
            else:
                shutil.rmtree(self._scratch, ignore_errors=True)
        finally:
            os.close(self._lock)
