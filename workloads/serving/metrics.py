"""The model server's metrics, in Prometheus' text format 0.0.4.

Own counters: updates happen in one thread (the event loop), so that they need no lock; a request
costs 0.3 us here and 1.3 us with prometheus-client (measured; ``docs/serving.md``).
Predictions are only kept at request time and counted when somebody scrapes, or every
``_FOLD_ROWS`` rows, in one numpy call each.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from workloads.serving.protocol import Signature
from workloads.serving.tensors import Array

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
LATENCY_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SCORES = tuple(round(step / 20, 2) for step in range(1, 21))
OUTCOMES = ("ok", "bad_request", "too_busy", "failed", "disconnected")

_FOLD_ROWS = 8192
_MAX_CLASSES = 1000  # a label a class; the rest is counted as class="other"


class Histogram:
    """Counts of observations by upper bound, their sum and number."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Array) -> None:
        """Count an array of observations; values that aren't finite are left out."""
        finite = values[np.isfinite(values)]
        places = np.searchsorted(np.asarray(self.bounds), finite, side="left")
        for place, count in enumerate(np.bincount(places, minlength=len(self.counts)).tolist()):
            self.counts[place] += count
        self.total += float(finite.sum())

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The samples of this histogram."""
        running = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            running += count
            shown = "+Inf" if bound == math.inf else repr(float(bound))
            yield f'{name}_bucket{{{labels},le="{shown}"}} {running}'
        yield f"{name}_sum{{{labels}}} {self.total!r}"
        yield f"{name}_count{{{labels}}} {running}"


class ModelMetrics:
    """What is counted for one version of one model."""

    def __init__(self, model: str, version: str, signature: Signature) -> None:
        self.labels = f'model="{model}",version="{version}"'
        self.requests = dict.fromkeys(OUTCOMES, 0)
        self.latency = Histogram(LATENCY_SECONDS)
        self.batches = Histogram(BATCH_ROWS)
        self.scores = Histogram(SCORES)
        self.classes: dict[str, int] = {}
        self._class_output, self._score_output = _watched_outputs(signature)
        self._kept: list[dict[str, Array]] = []
        self._kept_rows = 0

    def request(self, outcome: str, seconds: float) -> None:
        """Count one request; ``outcome`` is one of ``OUTCOMES``."""
        self.requests[outcome] += 1
        self.latency.observe(seconds)

    def batch(self, rows: int, outputs: dict[str, Array]) -> None:
        """Count one run of the model over ``rows`` rows, and what it predicted."""
        self.batches.observe(rows)
        self._kept.append(outputs)
        self._kept_rows += rows
        if self._kept_rows >= _FOLD_ROWS:
            self._fold()

    def _fold(self) -> None:
        kept, self._kept, self._kept_rows = self._kept, [], 0
        if not kept:
            return
        if self._class_output is not None:
            values = np.concatenate([outputs[self._class_output].ravel() for outputs in kept])
            for value, count in zip(
                *map(np.ndarray.tolist, np.unique(values, return_counts=True)), strict=True
            ):
                known = str(value) in self.classes or len(self.classes) < _MAX_CLASSES
                label = str(value) if known else "other"
                self.classes[label] = self.classes.get(label, 0) + count
        if self._score_output is not None:
            arrays = [outputs[self._score_output] for outputs in kept]
            self.scores.observe_all(
                np.concatenate([array.max(axis=1) if array.ndim > 1 else array for array in arrays])
            )

    def samples(self) -> Mapping[str, Iterable[str]]:
        """Lines by metric name."""
        self._fold()
        return {
            "mlscale_inference_requests_total": [
                f'mlscale_inference_requests_total{{{self.labels},outcome="{outcome}"}} {count}'
                for outcome, count in self.requests.items()
            ],
            "mlscale_inference_duration_seconds": self.latency.lines(
                "mlscale_inference_duration_seconds", self.labels
            ),
            "mlscale_inference_batch_rows": self.batches.lines(
                "mlscale_inference_batch_rows", self.labels
            ),
            "mlscale_predicted_class_total": [
                f'mlscale_predicted_class_total{{{self.labels},class="{name}"}} {count}'
                for name, count in sorted(self.classes.items())
            ],
            "mlscale_prediction_score": (
                self.scores.lines("mlscale_prediction_score", self.labels)
                if self._score_output is not None
                else []
            ),
        }


_HELP = {
    "mlscale_inference_requests_total": ("counter", "Requests answered, by outcome."),
    "mlscale_inference_duration_seconds": (
        "histogram",
        "From the request's headers to its answer.",
    ),
    "mlscale_inference_batch_rows": ("histogram", "Rows in one run of the model."),
    "mlscale_inference_queue_requests": ("gauge", "Requests that wait for a run."),
    "mlscale_predicted_class_total": ("counter", "Predicted rows, by class."),
    "mlscale_prediction_score": ("histogram", "Score of the predicted class."),
    "mlscale_model_info": ("gauge", "1 for each version served, with its lineage."),
}


def render(models: Sequence[tuple[ModelMetrics, int, Mapping[str, str]]]) -> bytes:
    """The whole page; an item is (metrics, requests waiting, lineage)."""
    by_name: dict[str, list[str]] = {name: [] for name in _HELP}
    for metrics, waiting, lineage in models:
        for name, lines in metrics.samples().items():
            by_name[name].extend(lines)
        by_name["mlscale_inference_queue_requests"].append(
            f"mlscale_inference_queue_requests{{{metrics.labels}}} {waiting}"
        )
        # A lineage value may hold quotes or backslashes; names and versions can't.
        shown = ",".join(f'{key}="{_escaped(value)}"' for key, value in lineage.items())
        by_name["mlscale_model_info"].append(f"mlscale_model_info{{{metrics.labels},{shown}}} 1")
    page: list[str] = []
    for name, (kind, text) in _HELP.items():
        page += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *by_name[name]]
    return ("\n".join(page) + "\n").encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _watched_outputs(signature: Signature) -> tuple[str | None, str | None]:
    """The outputs that hold the class (integers, one a row) and the score (floats, by row)."""
    label = score = None
    for spec in signature.outputs if signature.batchable else ():
        kind = spec.numpy_type.kind
        if kind in "iu" and len(spec.shape) == 1 and label is None:
            label = spec.name
        if kind == "f" and len(spec.shape) in (1, 2) and score is None:
            score = spec.name
    return label, score
