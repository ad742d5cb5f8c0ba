"""Fit the law of time to target on published runs, and judge it by leaving out whole families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cost.sizing.convergence import Workload, find_workload
from cost.sizing.hardware import REFERENCE
from cost.sizing.residual import conformal_quantile
from cost.sizing.tables import Row
from cost.sizing.target import (
    Family,
    Law,
    Run,
    by_configuration,
    fixed_parts,
    read_run,
    sample_exchange_seconds,
)

Floats = NDArray[np.float64]

# Priors (value, width in log units). Some forty kernels of 10 us in six products a layer; the time
# that one more unit of width costs at the smallest share of a batch; half of the exchange hidden.
# In the order of the fields of ``Law``.
_PRIORS: dict[str, tuple[float, float]] = {
    "layer_seconds": (60e-6, 0.5),
    "width_seconds": (15e-9, 0.6),
    "exposed": (0.4, 0.5),
    "straggler": (0.005, 1.0),
}
_SCATTER = 0.06


@dataclass(frozen=True)
class Cell:
    """Runs of the same configuration by several submitters, and the median of their minutes."""

    run: Run
    minutes: tuple[float, ...]


def read_cells(rows: Sequence[Row]) -> list[Cell]:
    """Measured rows of known workloads, grouped by configuration."""
    runs = [
        read_run(row, measured=True)
        for row in rows
        if row.text("minutes") and find_workload(row.text("workload")) is not None
    ]
    return [Cell(run, minutes) for run, minutes in by_configuration(runs)]


def fit_law(cells: Sequence[Cell]) -> Law:
    """Constants common to all families; each family and accelerator has a rate of its own, each
    family a scale of its fixed part drawn from a prior."""
    from scipy.optimize import least_squares

    usable = [cell for cell in cells if cell.run.batch]
    rates = sorted({(cell.run.workload, cell.run.device.name) for cell in usable})
    families = sorted({workload for workload, _ in rates})
    prior = np.log([value for value, _ in _PRIORS.values()])
    width = np.array([width for _, width in _PRIORS.values()])
    fixed_width = Law(0, 0, 0, 0).fixed_width

    family_of = np.array([families.index(cell.run.workload) for cell in usable])
    rate_of = np.array([rates.index((c.run.workload, c.run.device.name)) for c in usable])
    facts = _Facts(usable)

    def misfit(theta: Floats) -> Floats:
        scales, own = theta[4 : 4 + len(families)], theta[4 + len(families) :]
        off = facts.log_ratio(np.exp(theta[:4]), np.exp(scales[family_of]), np.exp(own[rate_of]))
        scaled = off / _SCATTER
        pull = np.sign(scaled) * np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))
        return np.concatenate([pull, (theta[:4] - prior) / width, scales / fixed_width])

    first = [_first_rate(usable, rate) for rate in rates]
    start = np.concatenate([prior, np.zeros(len(families)), first])
    theta = least_squares(misfit, start).x
    return _law(np.exp(theta[:4]))


def _law(values: Floats) -> Law:
    layer, width, exposed, straggler = (float(f"{value:.5g}") for value in values)
    return Law(layer, width, exposed, straggler)


def _step_seconds(run: Run) -> float:
    workload = find_workload(run.workload)
    assert workload is not None and run.batch is not None and run.minutes is not None
    samples = float(workload.samples_to_target(np.array([run.batch]))[0])
    return run.minutes * 60 * run.batch / samples


def _first_rate(cells: Sequence[Cell], rate: tuple[str, str]) -> float:
    runs = [cell.run for cell in cells if (cell.run.workload, cell.run.device.name) == rate]
    run = min(runs, key=lambda one: one.accelerators)
    return float(np.log(0.9 * _step_seconds(run) * run.accelerators / cast("float", run.batch)))


class _Facts:
    """What the law makes of each cell, in columns, so that a fit evaluates all at once."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        runs = [cell.run for cell in cells]
        known = [cast("Workload", find_workload(run.workload)) for run in runs]
        parts = [fixed_parts(run, one) for run, one in zip(runs, known, strict=True)]
        self.fixed = np.array(parts, dtype=np.float64)
        self.share = np.array([cast("float", run.batch) / run.accelerators for run in runs])
        self.exchange = np.array(
            [sample_exchange_seconds(run, one) for run, one in zip(runs, known, strict=True)]
        )
        self.doublings = np.log2([max(run.nodes, 1.0) for run in runs])
        self.measured = np.array([_step_seconds(run) for run in runs])

    def log_ratio(self, law: Floats, scale: Floats, rate: Floats) -> Floats:
        """log(modelled / measured) of a step; ``law`` in the order of ``_PRIORS``."""
        fixed = scale * (self.fixed @ law[:3])
        model = (self.share * (rate + self.exchange) + fixed) * (1 + law[3] * self.doublings)
        return np.asarray(np.log(model / self.measured), dtype=np.float64)


@dataclass(frozen=True)
class Judged:
    """One configuration predicted from known ones of its family, with a law that never saw the
    family: log(predicted / measured median), half of the interval, log of each measured run."""

    cell: Cell
    predicted: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Relative error against the median of the submitters."""
        return self.predicted / cast("float", self.cell.run.minutes) - 1


def judge(
    cells: Sequence[Cell], law_for: Callable[[str], Law], points: int, last: bool = False
) -> list[Judged]:
    """Predict every (workload, accelerator) family's larger runs from its smallest ``points``
    counts (with ``last``: from the smallest and the largest)."""
    judged = []
    for workload, device in sorted({(cell.run.workload, cell.run.device.name) for cell in cells}):
        own = [c for c in cells if (c.run.workload, c.run.device.name) == (workload, device)]
        counts = sorted({cell.run.accelerators for cell in own})
        if len(counts) <= points:
            continue
        chosen = {counts[0], counts[-1]} if last else set(counts[:points])
        known = [cell.run for cell in own if cell.run.accelerators in chosen]
        family = Family(known, law_for(workload), find_workload(workload))
        for cell in own:
            if cell.run.accelerators in chosen:
                continue
            answer = family.predict(replace(cell.run, minutes=None))
            judged.append(
                Judged(cell, *(cast("float", v) for v in (answer.minutes, answer.low, answer.high)))
            )
    return judged


def laws_without(cells: Sequence[Cell]) -> Callable[[str], Law]:
    """For each workload the law fitted on all others, with an interval calibrated on them alone."""
    names = sorted({cell.run.workload for cell in cells})
    laws = {
        name: fit_law_calibrated([c for c in cells if c.run.workload != name]) for name in names
    }
    return laws.__getitem__


def fit_law_calibrated(cells: Sequence[Cell]) -> Law:
    """The law with its interval: each family in turn predicted from its smallest runs by a law
    fitted on the others; the errors over the claimed deviations give the quantile."""
    names = sorted({cell.run.workload for cell in cells})
    laws = {name: fit_law([c for c in cells if c.run.workload != name]) for name in names}
    scores = []
    for points, last in ((1, False), (2, False), (2, True)):
        for one in judge(cells, laws.__getitem__, points, last):
            width = np.log(one.high / one.low) / (2 * 1.645)
            scores += [
                abs(np.log(one.predicted / minutes)) / width for minutes in one.cell.minutes[:3]
            ]
    return replace(fit_law(cells), quantile=conformal_quantile(scores))


def sample_seconds(cells: Sequence[Cell], law: Law) -> dict[str, float]:
    """Fitted seconds of one sample on the reference accelerator, by workload."""
    rates = {}
    for name in sorted({cell.run.workload for cell in cells}):
        family = Family([c.run for c in cells if c.run.workload == name], law, find_workload(name))
        own = family.index.get(REFERENCE)
        offset = family.theta[own] if own is not None else 0.0
        rates[name] = float(f"{np.exp(family.theta[0] + offset):.4g}")
    return rates
