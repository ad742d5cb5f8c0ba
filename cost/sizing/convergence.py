"""Samples until a target quality, as a function of the global batch, and what a step is made of.

Law: samples(B) = S (1 + B / B_noise) (McCandlish 2018), which is linear in B. For workloads with
published convergence points (MLCommons' reference runs, ``data/convergence.csv``, which hold no
times) the curve goes through them; for others B_noise is a parameter with a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cost.sizing.tables import DATA, read_table

Floats = NDArray[np.float64]

GENERIC_BATCHES = 10.0
"""B_noise over the smallest batch in use, where nothing is published: the geometric mean over the
pre-training workloads with convergence points is about 10 (5 for detection, 16 for BERT)."""


@dataclass(frozen=True)
class Workload:
    """A training task. ``parameters`` of the model, of which ``trained`` are kept in step between
    replicas; ``depth`` matrix products or convolutions one after the other in a forward pass;
    ``exchange_bytes`` a sample that go to other accelerators (embeddings, graph features).
    ``batches`` and ``samples``: published convergence points, ascending; empty when none are."""

    name: str
    parameters: float
    trained: float
    depth: float
    exchange_bytes: float
    batches: tuple[float, ...] = ()
    samples: tuple[float, ...] = ()

    @property
    def published(self) -> bool:
        """Whether samples to target are known from published points."""
        return len(self.batches) > 1

    def samples_to_target(self, batch: Floats, noise_batch: float = 0.0) -> Floats:
        """Samples at each global batch. With published points ``noise_batch`` is not used; else
        it is B_noise, and the result is in units of the samples at a vanishing batch."""
        if not self.published:
            return np.asarray(1.0 + batch / noise_batch, dtype=np.float64)
        measured = _extended(np.array(self.batches), np.array(self.samples), batch)
        pruned = _extended(*_lower_hull(self.batches, self.samples), batch)
        return np.asarray(np.sqrt(measured * pruned), dtype=np.float64)

    @property
    def largest_batch(self) -> float:
        """The largest batch that is known to converge; infinite when nothing is published."""
        return self.batches[-1] if self.published else np.inf

    def noise_batch(self) -> float:
        """B_noise of the line through the first and the last published point."""
        rise = (self.samples[-1] - self.samples[0]) / (self.batches[-1] - self.batches[0])
        return max(self.samples[0] / rise - self.batches[0], self.batches[0] / 2)


def _extended(batches: Floats, samples: Floats, batch: Floats) -> Floats:
    """Linear between points, level below the first, along the last segment above the last."""
    monotone = np.maximum.accumulate(samples)
    slope = (monotone[-1] - monotone[-2]) / (batches[-1] - batches[-2])
    beyond = monotone[-1] + slope * (batch - batches[-1])
    inside = np.interp(batch, batches, monotone)
    return np.asarray(np.where(batch > batches[-1], beyond, inside), dtype=np.float64)


def _lower_hull(batches: Sequence[float], samples: Sequence[float]) -> tuple[Floats, Floats]:
    """Points that no chord between two others undercuts: where one does, better hyperparameters
    exist (MLCommons prunes its reference points by the same rule)."""
    hull: list[tuple[float, float]] = []
    for point in zip(batches, samples, strict=True):
        while len(hull) > 1 and _above_chord(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return np.array([at for at, _ in hull]), np.array([value for _, value in hull])


def _above_chord(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    rise = (right[1] - left[1]) * (middle[0] - left[0])
    return (middle[1] - left[1]) * (right[0] - left[0]) >= rise


@cache
def workloads() -> dict[str, Workload]:
    """Known workloads by name and alias, in lower case."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in read_table(DATA / "convergence.csv", ("workload", "global_batch")):
        pair = (row.required("global_batch"), row.required("epochs_to_target"))
        points.setdefault(row.text("workload"), []).append(pair)
    found: dict[str, Workload] = {}
    for row in read_table(DATA / "workloads.csv", ("name", "parameters", "depth")):
        name, epoch = row.text("name"), row.required("samples_per_epoch")
        curve = sorted(points.get(name, []))
        workload = Workload(
            name,
            row.required("parameters"),
            row.required("trained_parameters"),
            row.required("depth"),
            row.number("exchange_bytes_per_sample", 0.0) or 0.0,
            tuple(batch for batch, _ in curve),
            tuple(epochs * epoch for _, epochs in curve),
        )
        for alias in (name, *filter(None, row.text("aliases").split("|"))):
            found[alias.lower()] = workload
    return found


def find_workload(name: str) -> Workload | None:
    """The workload that a table means, or None for one that has no published facts."""
    return workloads().get(name.strip().lower())
