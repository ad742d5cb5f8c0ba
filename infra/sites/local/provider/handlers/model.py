"""``mlscale:local:Model``: evaluated, gated, logged, exported and registered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from infra.sites.local import told
from infra.sites.local.provider.handler import Properties
from infra.sites.local.provider.handlers._step import StepHandler, StepInputs
from infra.sites.local.supervision import Layout


class ModelInputs(StepInputs):
    """The result of a training job, and the bounds that it must keep to be registered."""

    package: str
    store: str
    table: str
    snapshot_id: str
    weights: str
    weights_sha256: str
    training: dict[str, Any]
    tracking_uri: str
    experiment: str
    model_name: str
    alias: str = "champion"
    gate: dict[str, float] = Field(default_factory=dict)


class ModelHandler(StepHandler[ModelInputs]):
    """A version in the registry; a model that misses its gate is logged, never registered."""

    token = "mlscale:local:Model"
    inputs = ModelInputs
    module = "workloads.registry.publish"
    outputs: ClassVar[tuple[str, ...]] = told.MODEL

    def request(self, inputs: ModelInputs, layout: Layout) -> dict[str, Any]:
        """Everything but where the step itself runs."""
        return inputs.model_dump(exclude={"directory", "unit"})

    def told(self, result: Mapping[str, Any], inputs: ModelInputs) -> Properties:
        """What a server and an auditor need."""
        return {
            "run_id": result["run_id"],
            "model_version": result["model_version"],
            "model_uri": result["model_uri"],
            "onnx": result["onnx"],
            "onnx_sha256": result["onnx_sha256"],
            "metrics": dict(result["metrics"]),
            "code_sha256": result["code_sha256"],
            "data_snapshot": result["data_snapshot"],
        }

    def read(self, resource_id: str, state: Properties) -> tuple[Properties, Properties] | None:
        """Gone when its file is gone from the store."""
        known = super().read(resource_id, state)
        return known if known and Path(known[1]["onnx"]).exists() else None
