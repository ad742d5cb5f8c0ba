"""What only the provider knows of each resource type: the names of its outputs, for both sides."""

from __future__ import annotations

from typing import Final

SERVICE: Final = ("url", "bound_port", "log", "status")
STORE: Final = ("catalog", "objects")
DATASET: Final = ("snapshot_id", "rows", "rejected_rows", "quarantine", "content_sha256")
TRAINING: Final = (
    "weights",
    "weights_sha256",
    "steps",
    "resumed_from_step",
    "restarts",
    "training",
)
MODEL: Final = (
    "run_id",
    "model_version",
    "model_uri",
    "onnx",
    "onnx_sha256",
    "metrics",
    "code_sha256",
    "data_snapshot",
)
STATUS: Final = ("status",)
