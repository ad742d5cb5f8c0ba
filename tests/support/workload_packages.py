"""Small workload packages written to a folder, and jobs that remember their progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workloads.jobs import Job

MANIFEST = """\
name: toy
version: 0.1.0
description: A package for tests.
framework: pytorch
entry_points:
  source: code:read
  train: code:define
parallelism: [ddp]
checkpoint: {every_steps: 10, keep: 2}
inputs:
  - {name: x, dtype: float32, shape: [batch, 2]}
outputs:
  - {name: y, dtype: int64, shape: [batch]}
metrics:
  - {name: accuracy, goal: maximize}
gate: {accuracy_min: 0.5}
image: {base: "python:3.11-slim"}
dataset:
  table: toy
  columns:
    id: {dtype: int64, unique: true, minimum: 0}
    label: {dtype: int64, minimum: 0, maximum: 9}
    values: {dtype: "list[float64]", length: 2, element_minimum: 0}
  split: {by: [id], test_fraction: 0.5}
  features: values
  label: label
hyperparameters:
  epochs: {type: integer, default: 2, minimum: 1, maximum: 10}
  rate: {type: number, default: 0.1, minimum: 0.0}
  kind: {type: string, default: plain, choices: [plain, fancy]}
  warm: {type: boolean, default: true}
"""

CODE = """\
from workloads.data.sources import read_parquet

def read(path):
    return read_parquet(path)

def define(hyperparameters):
    return dict(hyperparameters)
"""


def write_package(
    root: Path, name: str = "toy", manifest: str = MANIFEST, code: str = CODE
) -> Path:
    """A package folder below ``root``; returns ``root`` for ``load(name, [root])``."""
    folder = root / name.replace("-", "_")
    folder.mkdir(parents=True)
    (folder / "workload.yaml").write_text(manifest)
    (folder / "code.py").write_text(code)
    return root


def job_of(request: Mapping[str, Any], folder: Path) -> Job:
    """A job whose progress goes to ``folder/progress.jsonl``."""
    return Job(request, folder / "progress.jsonl")


def progress_of(folder: Path) -> list[dict[str, Any]]:
    """The lines that ``job_of``'s job wrote."""
    path = folder / "progress.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
