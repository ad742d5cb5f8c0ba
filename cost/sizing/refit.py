"""What has run corrects the model for that very workload: a factor and a narrower interval.

Measurements come as a CSV table or as the JSON of a Prometheus range query whose labels name the
columns. Training: rows as for ``predict_throughput`` with ``tokens_per_s``. Serving: ``batch`` and
``batch_ms`` of what a replica computed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cost.sizing.tables import Row, as_rows, read_table
from cost.sizing.throughput import Model, predict_throughput
from infra.core.errors import BadInput, Problem

_LEAST_DEVIATION = 0.02
_TO_DEVIATION = 1.4826
"""From the median absolute deviation to a normal's standard deviation."""


@dataclass(frozen=True)
class Refit:
    """Measured over modelled rate, the standard deviation of its logarithm (that of the median
    counts configurations, not samples in time), and from how many configurations."""

    factor: float
    deviation: float
    configurations: int


def read_measurements(path: Path, value: str) -> list[Row]:
    """Rows from a CSV table, or from a Prometheus answer (``.json``): one row a series with its
    labels as columns and the median of its samples as the column ``value``."""
    if path.suffix != ".json":
        return read_table(path, (value,))
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        series = document["data"]["result"]
        rows = [{**one["metric"], value: _middle(one)} for one in series]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            Problem(
                f"is no answer of a Prometheus range query: {error!r}",
                file=str(path),
                expected='{"data": {"result": [{"metric": {...}, "values": [[t, "v"], ...]}]}}',
                fix="save what /api/v1/query_range returns",
            )
        ) from error
    return as_rows([row for row in rows if row[value] is not None], str(path))


def read_what_ran(path: Path) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """(rows of trainings, rows of endpoints) by the column or label ``name``.

    A row with a ``batch`` is a replica's: its value is ``batch_ms``. Any other is a training's:
    its value is ``tokens_per_s``. In a Prometheus answer the sample is the value.
    """
    trainings: dict[str, list[Row]] = {}
    endpoints: dict[str, list[Row]] = {}
    column = "sample" if path.suffix == ".json" else "name"
    for row in read_measurements(path, column):
        served = bool(row.text("batch"))
        cells = dict(row.cells)
        if column == "sample":
            cells["batch_ms" if served else "tokens_per_s"] = row.text("sample")
        if not row.text("name"):
            raise row.bad("name", "is empty", "the training or endpoint that ran")
        home = endpoints if served else trainings
        home.setdefault(row.text("name"), []).append(Row(cells, row.file, row.line))
    return trainings, endpoints


def _middle(series: Mapping[str, Any]) -> float | None:
    samples = series["values"] if "values" in series else [series["value"]]
    numbers = [float(text) for _, text in samples]
    finite = [number for number in numbers if math.isfinite(number)]
    return median(finite) if finite else None


def refit_training(rows: Sequence[Row], model: Model | None = None) -> Refit:
    """Factor of a workload from its measured rows. BadInput when no row can be compared."""
    logs = []
    for row, predicted in zip(rows, predict_throughput(rows, model), strict=True):
        if predicted.tokens_per_s is not None:
            logs.append(math.log(row.required("tokens_per_s") / predicted.tokens_per_s))
    if not logs:
        raise BadInput(
            Problem(
                "no measured row can be compared with the model",
                file=rows[0].file if rows else None,
                expected="params, n_accelerators, accelerator, tokens_per_s on at least one row",
            )
        )
    middle = median(logs)
    spread = _TO_DEVIATION * median(abs(value - middle) for value in logs)
    # One configuration says nothing of the next: it keeps a tenth, which shrinks with their number.
    deviation = math.hypot(_LEAST_DEVIATION + spread, 0.1 / len(logs))
    return Refit(math.exp(middle), deviation, len(logs))


@dataclass(frozen=True)
class ServiceFit:
    """``fixed_ms + batch * request_ms`` through measured batches, and the coefficient of
    variation around it."""

    fixed_ms: float
    request_ms: float
    variation: float
    points: int


def refit_service(rows: Sequence[Row]) -> ServiceFit:
    """Service time of a batch by non-negative least squares over ``batch`` and ``batch_ms``.

    With one batch size only, nothing is fixed and the time is taken as proportional."""
    from scipy.optimize import nnls

    if not rows:
        raise BadInput(Problem("no measured batch", expected="rows with batch and batch_ms"))
    batch = np.array([row.required("batch") for row in rows])
    took = np.array([row.required("batch_ms") for row in rows])
    if len(set(batch)) == 1:
        fixed, each = 0.0, float(np.median(took) / batch[0])
    else:
        design = np.stack([np.ones_like(batch), batch], axis=1) / took[:, None]
        (fixed, each), _ = nnls(design, np.ones_like(took))
    modelled = fixed + each * batch
    variation = float(np.std(took / modelled))
    return ServiceFit(float(fixed), float(each), max(variation, 0.05), len(rows))
