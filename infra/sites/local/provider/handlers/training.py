"""``mlscale:local:TrainingJob``: a distributed training run on this machine's processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from infra.sites.local import told
from infra.sites.local.provider.handler import Failure, Properties
from infra.sites.local.provider.handlers._step import StepHandler, StepInputs
from infra.sites.local.supervision import Layout
from infra.sites.local.supervision.steps import fingerprint


class TrainingInputs(StepInputs):
    """A package trained on a table's snapshot by ``processes`` ranks."""

    package: str
    code_sha256: str
    store: str
    table: str
    snapshot_id: str
    processes: int = Field(default=2, ge=1, le=256)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    seed: int = 1
    checkpoint_every_steps: int = Field(default=100, ge=1)
    max_restarts: int = Field(default=3, ge=0)


class TrainingHandler(StepHandler[TrainingInputs]):
    """Goes on from its last good checkpoint after any death; the weights are the same bits."""

    token = "mlscale:local:TrainingJob"
    inputs = TrainingInputs
    module = "workloads.launch.local"
    outputs: ClassVar[tuple[str, ...]] = told.TRAINING

    def check(self, known: Properties) -> list[Failure]:
        """Checkpoints that an earlier run left can still be read."""
        if "snapshot_id" not in known or "directory" not in known:
            return []
        from workloads.training.checkpoint import CheckpointStore

        inputs = TrainingInputs.model_validate(known)
        request = self.request(inputs, Layout(Path(inputs.directory)))
        for folder in Path(request["checkpoint_dir"]).glob("*/"):
            CheckpointStore(folder, keep=1).latest_good()
        return []

    def request(self, inputs: TrainingInputs, layout: Layout) -> dict[str, Any]:
        """Checkpoints and weights stand in a folder of this very work."""
        asked = {
            "package": inputs.package,
            "store": inputs.store,
            "table": inputs.table,
            "snapshot_id": inputs.snapshot_id,
            "processes": inputs.processes,
            "hyperparameters": inputs.hyperparameters,
            "seed": inputs.seed,
            "checkpoint_every_steps": inputs.checkpoint_every_steps,
            "max_restarts": inputs.max_restarts,
        }
        # The code is part of the work: other code must not go on from this code's checkpoints.
        key = fingerprint(self.module, {**asked, "code_sha256": inputs.code_sha256})
        work = layout.data(inputs.unit) / f"work-{key}"
        return {**asked, "checkpoint_dir": str(work / "checkpoints"), "output_dir": str(work)}

    def told(self, result: Mapping[str, Any], inputs: TrainingInputs) -> Properties:
        """The weights and how they came to be."""
        return {
            "weights": result["weights"],
            "weights_sha256": result["weights_sha256"],
            "steps": result["steps"],
            "resumed_from_step": result["resumed_from_step"],
            "restarts": result["restarts"],
            "training": dict(result),
        }
