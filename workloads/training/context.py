"""The runtime contract: what a launcher, any launcher, tells each process of a run.

The names are environment variables, so that a container, ``torchrun`` and the local launcher can
all give them. ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` are torchrun's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.core.errors import BadInput, Problem

TERMINATED_EXIT_CODE = 143


@dataclass(frozen=True)
class RunContext:
    """A run as one of its processes sees it."""

    package: str
    hyperparameters: Mapping[str, Any]
    seed: int
    inputs: Path
    checkpoint_dir: Path
    checkpoint_every_steps: int
    checkpoint_keep: int
    output_dir: Path
    rank: int = 0
    world: int = 1
    restarts: int = 0
    status: Path | None = None
    metrics_port: int | None = None

    def environment(self) -> dict[str, str]:
        """The variables that say all of this, rank and world aside."""
        variables = {
            "MLSCALE_PACKAGE": self.package,
            "MLSCALE_HYPERPARAMETERS": json.dumps(dict(self.hyperparameters)),
            "MLSCALE_SEED": str(self.seed),
            "MLSCALE_INPUTS": str(self.inputs),
            "MLSCALE_CHECKPOINT_DIR": str(self.checkpoint_dir),
            "MLSCALE_CHECKPOINT_EVERY_STEPS": str(self.checkpoint_every_steps),
            "MLSCALE_CHECKPOINT_KEEP": str(self.checkpoint_keep),
            "MLSCALE_OUTPUT_DIR": str(self.output_dir),
        }
        if self.status is not None:
            variables["MLSCALE_STATUS"] = str(self.status)
        if self.metrics_port is not None:
            variables["MLSCALE_METRICS_PORT"] = str(self.metrics_port)
        return variables

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RunContext:
        """Read the variables; ``BadInput`` names every one that is missing or unreadable."""
        problems: list[Problem] = []

        def read(name: str, default: str | None = None, of: type[Any] | Any = str) -> Any:
            text = environment.get(name, default)
            if text is None:
                problems.append(Problem("the variable is not set", path=name))
                return None
            try:
                return of(text)
            except ValueError:
                problems.append(
                    Problem(f"{text!r} does not fit", path=name, expected=_EXPECTED.get(of))
                )
                return None

        optional_status = environment.get("MLSCALE_STATUS")
        values = {
            "package": read("MLSCALE_PACKAGE"),
            "hyperparameters": read("MLSCALE_HYPERPARAMETERS", "{}", json.loads),
            "seed": read("MLSCALE_SEED", "0", int),
            "inputs": read("MLSCALE_INPUTS", of=Path),
            "checkpoint_dir": read("MLSCALE_CHECKPOINT_DIR", of=Path),
            "checkpoint_every_steps": read("MLSCALE_CHECKPOINT_EVERY_STEPS", "50", int),
            "checkpoint_keep": read("MLSCALE_CHECKPOINT_KEEP", "3", int),
            "output_dir": read("MLSCALE_OUTPUT_DIR", of=Path),
            "rank": read("RANK", "0", int),
            "world": read("WORLD_SIZE", "1", int),
            "restarts": read("TORCHELASTIC_RESTART_COUNT", "0", int),
            "status": Path(optional_status) if optional_status else None,
            "metrics_port": read("MLSCALE_METRICS_PORT", "0", int) or None,
        }
        if problems:
            raise BadInput(problems)
        return cls(**values)


_EXPECTED: dict[Any, str] = {int: "an integer", json.loads: "JSON"}
