"""Fit the constants of the training model on published rows.

``python -m cost.sizing.calibrate --training rows.csv`` writes ``data/training.json``: the
constants, the correction and their provenance. The same functions serve the held-out evaluation,
so that what is judged is the method that ships.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cost.sizing import residual
from cost.sizing.calibrate_target import fit_law_calibrated, read_cells, sample_seconds
from cost.sizing.steptime import (
    RESERVED_BYTES,
    Configurations,
    Constants,
    memory_bytes,
    step_seconds,
)
from cost.sizing.tables import DATA, Row, read_table, write_text
from cost.sizing.target import Law
from cost.sizing.throughput import (
    Model,
    Setup,
    as_configurations,
    features,
    read_setup,
)
from infra.core.errors import BadInput, Problem

Floats = NDArray[np.float64]

VERSION = "1"
"""Version of the method; goes up when the formulas change, so that locks can tell."""

_NOISE = 0.04
"""Scatter of published rates, log units: beyond it a row counts linearly, not squared."""

_FEWEST_ROWS = 12

_MOST_ACTIVATIONS = 0.8
"""Prior on the share of the counted activations that is held at once. Tables that hold no run near
the limit of memory would let all of them count, and call runs that did fit impossible."""

# Name -> (prior, width in log units). The priors are what the papers named in ``steptime`` or the
# counting of bytes lead one to expect: a third of the forward and backward pass again for
# recomputation; 34 bytes of activations read and written about three times; logits in 16 and 32
# bit about four times; communication that hides under two thirds of the compute.
_SHARED: dict[str, tuple[float, float]] = {
    "fp8": (1.4, 0.3),
    "elementwise": (100.0, 0.5),
    "vocabulary": (40.0, 0.4),
    "gather_seconds": (1e-3, 1.2),
    "overlap": (0.7, 0.2),
    "leak": (0.022, 0.4),
    "straggler": (0.005, 0.7),
    "recompute": (4 / 3, 0.05),
}
_GEMM: dict[str, tuple[float, float]] = {"hopper": (0.78, 0.1)}
_GEMM_ELSE = (0.88, 0.08)
_ATTENTION: dict[str, tuple[float, float]] = {"hopper": (0.4, 0.3)}
_ATTENTION_ELSE = (0.5, 0.3)
_DEVICE_WIDTH = 0.05


@dataclass(frozen=True)
class Measured:
    """Rows that can be learned from: set-ups, log tokens a second, name of the model."""

    setups: tuple[Setup, ...]
    log_rate: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.setups)

    def where(self, keep: Callable[[str], bool]) -> Measured:
        """The rows whose model ``keep`` says yes to."""
        chosen = [index for index, name in enumerate(self.names) if keep(name)]
        return Measured(
            tuple(self.setups[index] for index in chosen),
            self.log_rate[chosen],
            tuple(self.names[index] for index in chosen),
        )


def read_measured(rows: Sequence[Row]) -> Measured:
    """Rows with a measured rate and everything that the model asks for; others are left out."""
    setups, rates, names = [], [], []
    for row in rows:
        rate = row.positive("tokens_per_s")
        complete = all(
            row.text(name) for name in ("params", "seq_len", "micro_batch", "grad_accum")
        )
        if rate is None or not complete or not row.text("n_accelerators"):
            continue
        setups.append(read_setup(row))
        rates.append(np.log(rate))
        names.append(row.text("workload"))
    return Measured(tuple(setups), np.array(rates), tuple(names))


class _Parameters:
    """The vector of logarithms that is fitted, and back to ``Constants``."""

    def __init__(self, measured: Measured) -> None:
        self.architectures = sorted({setup.device.architecture for setup in measured.setups})
        self.devices = sorted({setup.device.name for setup in measured.setups})
        priors = [
            *_SHARED.values(),
            *(_GEMM.get(name, _GEMM_ELSE) for name in self.architectures),
            *(_ATTENTION.get(name, _ATTENTION_ELSE) for name in self.architectures),
            *((1.0, _DEVICE_WIDTH) for _ in self.devices),
        ]
        self.prior = np.log([value for value, _ in priors])
        self.width = np.array([width for _, width in priors])
        devices = [setup.device for setup in measured.setups]
        self.peak = np.array([one.matmul_tflops * 1e12 for one in devices])
        self.eight_bit = np.array([one.runs("fp8") for one in devices])
        self.architecture_of = [self.architectures.index(one.architecture) for one in devices]
        self.device_of = [self.devices.index(one.name) for one in devices]

    def constants(self, logs: Floats) -> Constants:
        values = iter(float(value) for value in np.exp(logs))
        shared = {name: next(values) for name in _SHARED}
        gemm = {name: next(values) for name in self.architectures}
        attention = {name: next(values) for name in self.architectures}
        device = {name: next(values) for name in self.devices}
        return Constants(gemm=gemm, device=device, attention=attention, **shared)

    def with_rates(self, columns: Configurations, constants: Constants) -> Configurations:
        """The columns with the rates that other constants give."""
        gemm = np.array([constants.gemm[name] for name in self.architectures])
        attention = np.array([constants.attention[name] for name in self.architectures])
        device = np.array([constants.device[name] for name in self.devices])
        return replace(
            columns,
            matmul_flops=self.peak * gemm[self.architecture_of] * device[self.device_of],
            attention_flops=self.peak * attention[self.architecture_of],
            eight_bit_gain=np.where(self.eight_bit, constants.fp8, 1.0),
        )


def fit_constants(measured: Measured) -> Constants:
    """Least squares in log units with a prior on each constant and a bounded pull of outliers."""
    from scipy.optimize import least_squares

    parameters = _Parameters(measured)
    columns = as_configurations(measured.setups, parameters.constants(parameters.prior))

    def misfit(logs: Floats) -> Floats:
        constants = parameters.constants(logs)
        now = parameters.with_rates(columns, constants)
        off = np.log(now.tokens / step_seconds(now, constants)) - measured.log_rate
        scaled = off / _NOISE
        bounded = np.sign(scaled) * np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))
        return np.concatenate([bounded, (logs - parameters.prior) / parameters.width])

    return parameters.constants(least_squares(misfit, parameters.prior).x)


Memo = dict[frozenset[str], Model]
"""Fits without intervals by the models that they saw, to be shared while one table is judged."""


def fit(measured: Measured, memo: Memo | None = None) -> Model:
    """The whole training model on these rows alone.

    The interval's width comes from leaving out each model in turn: the errors on rows whose model
    the fit had not seen, over the deviation it claimed for them.
    """
    memo = {} if memo is None else memo
    model = _fit_point(measured, memo)
    names = sorted(set(measured.names))
    held = [name for name in names if len(measured) - measured.names.count(name) >= _FEWEST_ROWS]
    if not held:
        return model
    scores = np.concatenate([_unseen_scores(measured, name, memo) for name in held])
    quantile = residual.conformal_quantile(scores)
    return replace(model, residual=replace(model.residual, quantile=quantile))


def _fit_point(measured: Measured, memo: Memo) -> Model:
    """Constants and correction, with the interval of a normal distribution."""
    key = frozenset(measured.names)
    if key in memo:
        return memo[key]
    if len(measured) < _FEWEST_ROWS:
        raise BadInput(
            Problem(
                f"{len(measured)} complete rows with a measured rate can't fix the constants",
                expected=f"at least {_FEWEST_ROWS} with params, seq_len, micro_batch, grad_accum",
            )
        )
    constants = fit_constants(measured)
    columns = as_configurations(measured.setups, constants)
    devices = [setup.device for setup in measured.setups]
    off = measured.log_rate - np.log(columns.tokens / step_seconds(columns, constants))
    correction = residual.fit(features(columns, devices), off)
    memo[key] = Model(VERSION, constants, correction, _memory_margin(columns), {})
    return memo[key]


def _unseen_scores(measured: Measured, name: str, memo: Memo) -> Floats:
    from cost.sizing.throughput import predict_setups

    seen = measured.where(lambda other: other != name)
    asked = measured.where(lambda other: other == name)
    model = _fit_point(seen, memo)
    unit = replace(model, residual=replace(model.residual, quantile=1.0))
    predicted, deviation, _ = predict_setups(asked.setups, unit)
    return np.abs(predicted - asked.log_rate) / deviation


def _memory_margin(columns: Configurations) -> float:
    """The share of the counted activations that still lets every row that ran fit, less a tenth
    for rows not seen: frameworks free buffers early, so counting by layers is an upper bound."""
    state = memory_bytes(columns, margin=0.0)
    rest = memory_bytes(columns, margin=1.0) - state
    room = columns.memory_bytes - RESERVED_BYTES - state
    return float(f"{min(_MOST_ACTIVATIONS, 0.9 * float(np.min(room / rest))):.4g}")


def calibrated(table: Path, rows: Sequence[Row]) -> tuple[Model, Law]:
    """Both models fitted on a table, with the provenance that goes into the shipped files."""
    measured = read_measured(rows)
    rated = [row for row in rows if row.text("tokens_per_s") and row.text("micro_batch")]
    model = replace(fit(measured), provenance=_provenance(table, rated))
    timed = [row for row in rows if row.text("minutes")]
    cells = read_cells(timed)
    law = fit_law_calibrated(cells)
    law = replace(
        law, sample_seconds=sample_seconds(cells, law), provenance=_provenance(table, timed)
    )
    return model, law


def _provenance(table: Path, rows: Sequence[Row]) -> dict[str, object]:
    sources = sorted({(row.text("source"), row.text("date")) for row in rows})
    return {
        "command": "python -m cost.sizing.calibrate --training TABLE",
        "rows": len(rows),
        "workloads": sorted({row.text("workload") for row in rows}),
        "table_sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
        "sources": [{"source": source, "date": date} for source, date in sources],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Fit on a table and write the constants with their provenance."""
    parser = argparse.ArgumentParser(prog="python -m cost.sizing.calibrate", description=__doc__)
    parser.add_argument("--training", type=Path, required=True, help="table of measured rows")
    parser.add_argument("--out", type=Path, default=DATA, help="folder for the constants")
    arguments = parser.parse_args(argv)
    rows = read_table(arguments.training, ("accelerator", "params", "tokens_per_s", "minutes"))
    model, law = calibrated(arguments.training, rows)
    for name, fitted in (("training.json", model.as_json()), ("target.json", law.as_json())):
        write_text(arguments.out / name, json.dumps(fitted, indent=1) + "\n")
        print(f"{arguments.out / name}: {fitted['provenance']['rows']} rows")


if __name__ == "__main__":
    main()
