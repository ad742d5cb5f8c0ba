"""Checkpoints that are whole or not there, and the way back to the last good one.

``step-00000120.pt`` holds a run's state at a step; ``step-00000120.json`` its SHA-256 and size. The
second is written after the first is on the disk, so a checkpoint without it never counted.
Nothing here needs torch: a launcher looks for damage before it starts anything.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.core.errors import DamagedState, Problem
from workloads.data.files import replacing, sha256_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: ``step`` steps were done when ``path`` was written."""

    step: int
    path: Path


class CheckpointStore:
    """The checkpoints in ``folder``, of which the newest ``keep`` stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def save(self, step: int, write: Callable[[IO[bytes]], None]) -> Checkpoint:
        """Write the state after ``step`` steps; ``write`` gets the stream. Older ones are dropped.

        A full disk raises ``MissingTool`` and leaves the ones there were.
        """
        path = self._path(step)
        seal = path.with_suffix(".json")
        # A save under the same name: while its bytes change, no old seal may speak for them.
        seal.unlink(missing_ok=True)
        with replacing(path) as stream:
            write(stream)
        record = {"sha256": sha256_of(path), "bytes": path.stat().st_size, "step": step}
        with replacing(seal) as stream:
            stream.write(json.dumps(record).encode())
        self._drop_old()
        return Checkpoint(step, path)

    def latest_good(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None where none was ever finished.

        A damaged one is passed over with a warning. Raises ``DamagedState`` where all are.
        """
        problems: list[Problem] = []
        for seal in self._seals():
            problem = _damage(seal)
            if problem is None:
                checkpoint = Checkpoint(_step_of(seal), seal.with_suffix(".pt"))
                for passed in problems:
                    _logger.warning("%s; going on from step %d", passed, checkpoint.step)
                return checkpoint
            problems.append(problem)
        if problems:
            raise DamagedState(
                [
                    *problems,
                    Problem(
                        "no checkpoint of this run is whole",
                        file=str(self.folder),
                        fix=f"delete {self.folder} to train from the start",
                    ),
                ]
            )
        return None

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.pt"

    def _seals(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.json"), reverse=True)

    def _drop_old(self) -> None:
        for seal in self._seals()[self._keep :]:
            seal.unlink(missing_ok=True)
            seal.with_suffix(".pt").unlink(missing_ok=True)
        # States without a seal, and what a killed writer left behind.
        for path in self.folder.glob("step-*.pt"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)
        for leftover in self.folder.glob(".step-*"):
            leftover.unlink(missing_ok=True)


def _step_of(seal: Path) -> int:
    return int(seal.stem.removeprefix("step-"))


def _damage(seal: Path) -> Problem | None:
    path = seal.with_suffix(".pt")
    try:
        record: dict[str, Any] = json.loads(seal.read_text(encoding="utf-8"))
        expected, size = record["sha256"], record["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return Problem("the checkpoint's record is unreadable", file=str(seal))
    if not path.is_file():
        return Problem("the checkpoint's file is missing", file=str(path))
    found = path.stat().st_size
    if found != size:
        return Problem(
            f"the checkpoint is torn: {found} bytes", file=str(path), expected=f"{size} bytes"
        )
    if sha256_of(path) != expected:
        return Problem(
            "the checkpoint's bytes have changed", file=str(path), expected=f"SHA-256 {expected}"
        )
    return None
