"""Minutes to a target quality on other accelerators and other counts, from runs that are known.

One run takes samples(B) / B steps of
``t(n, b) = (b t1 r + c fixed) (1 + straggler log2 nodes)`` where b = B / n, t1 is the time of one
sample on the reference accelerator, r the accelerator's slowdown against it and ``fixed`` what a
step costs however small its share of the batch: the layers one after the other, the exchange of
gradients. Everything but t1 has a prior, from physics and from other families; the known runs
then fix t1 and as much of the rest as they can (maximum a posteriori, Laplace interval).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from statistics import median
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cost.sizing.convergence import GENERIC_BATCHES, Workload, find_workload
from cost.sizing.hardware import REFERENCE, Device, find_device
from cost.sizing.steptime import LINK_EFFICIENCY
from cost.sizing.tables import DATA, Row, as_rows
from infra.core.errors import BadInput, DamagedState, Problem

Floats = NDArray[np.float64]

LAW_FILE = DATA / "target.json"

MEMORY_BOUND_SHARE = 0.2
"""Share of a training sample's time that goes with memory bandwidth, not with the matmul rate:
H200 over H100 gains 5 to 10 % from 1.43 times the bandwidth."""

RUN_NOISE = 0.035
"""Scatter between submitters of the same configuration, log units."""


@dataclass(frozen=True)
class Law:
    """What is common to all families. ``layer_seconds`` each layer in sequence; ``width_seconds``
    the same for each square root of a layer's parameters; ``exposed`` share of the gradient
    exchange that nothing hides; ``straggler`` slowdown for each doubling of nodes. Widths (log
    units) of what differs from family to family: ``fixed_width``, ``device_width``,
    ``noise_batch_width``, ``curve_width``. ``quantile`` makes a deviation half of a 90 % interval.
    ``sample_seconds``: time of a sample on the reference accelerator, by workload, for questions
    without any known run; ``cold_width`` is how far off that may be.
    """

    layer_seconds: float
    width_seconds: float
    exposed: float
    straggler: float
    fixed_width: float = 0.3
    device_width: float = 0.2
    noise_batch_width: float = 0.8
    curve_width: float = 0.06
    quantile: float = 1.645
    cold_width: float = 0.25
    sample_seconds: Mapping[str, float] | None = None
    version: str = "1"
    provenance: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data for ``data/target.json``."""
        return asdict(self)


@cache
def shipped_law() -> Law:
    """The fitted law that comes with the package. DamagedState when the file is unreadable."""
    try:
        return Law(**json.loads(LAW_FILE.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedState(
            Problem(
                f"the fitted law can't be read: {error!r}",
                file=str(LAW_FILE),
                fix="reinstall, or fit again: python -m cost.sizing.calibrate --training rows.csv",
            )
        ) from error


@dataclass(frozen=True)
class Run:
    """One configuration: ``batch`` is None when the table doesn't say (the best one is taken),
    ``minutes`` None when it is what is asked. ``fabric_gb_s`` is one way for a whole node."""

    workload: str
    device: Device
    accelerators: float
    nodes: float
    fabric_gb_s: float
    batch: float | None
    minutes: float | None


@dataclass(frozen=True)
class Minutes:
    """Predicted minutes with a 90 % interval, the batch that was assumed, what it rests on."""

    minutes: float | None
    low: float | None
    high: float | None
    global_batch: float | None
    note: str = ""


def read_run(row: Row, measured: bool) -> Run:
    """One row; ``minutes`` is read (and required) only when ``measured``."""
    accelerators = row.positive("n_accelerators") or row.positive("accelerators")
    if accelerators is None:
        raise row.bad("n_accelerators", "is empty", "how many accelerators")
    try:
        device = find_device(row.text("accelerator") or row.text("cloud_instance_equivalent"))
    except BadInput as error:
        raise row.bad(
            "accelerator", error.problems[0].message, error.problems[0].expected
        ) from error
    nodes = row.positive("nodes") or float(np.ceil(accelerators / device.node_accelerators))
    minutes = row.required("minutes") if measured else None
    return Run(
        row.text("workload").lower(),
        device,
        accelerators,
        nodes,
        row.positive("fabric_gb_s") or _fabric(row.text("node_interconnect")) or device.fabric_gb_s,
        row.positive("global_batch"),
        minutes,
    )


def _fabric(text: str) -> float | None:
    """GB/s of a node out of words such as ``2 x 200Gbe Ethernet``; None when they say nothing."""
    match = re.search(r"(\d+)\s*x\s*(\d+)\s*gb[e/]", text, re.IGNORECASE)
    return int(match.group(1)) * int(match.group(2)) / 8 if match else None


def slowdown(device: Device) -> float:
    """Time of a sample against the reference, from matmul rate and memory bandwidth."""
    from cost.sizing.hardware import devices

    reference = devices()[REFERENCE]
    compute = reference.matmul_tflops / device.matmul_tflops
    memory = reference.memory_gb_s / device.memory_gb_s
    return (1 - MEMORY_BOUND_SHARE) * compute + MEMORY_BOUND_SHARE * memory


_STATE_SHARE = 0.5
"""Share of memory that weights and gradients may take before a model is split."""


def _group(workload: Workload, device: Device) -> float:
    """Accelerators that share one copy of the model: weights in 16 bit, and for what is trained a
    gradient in 32 bit, within half of the memory; a power of two."""
    state = 2 * workload.parameters + 4 * workload.trained
    copies = state / (_STATE_SHARE * device.memory_bytes)
    return float(2 ** np.ceil(np.log2(max(copies, 1.0))))


def fixed_parts(run: Run, workload: Workload) -> tuple[float, float, float]:
    """What every step costs however small its share of the batch, as factors of
    ``layer_seconds``, ``width_seconds`` and ``exposed``."""
    each = max(run.accelerators / run.nodes, 1.0)
    group = min(_group(workload, run.device), run.accelerators)
    volume = 2 * workload.trained / group
    port = LINK_EFFICIENCY * run.fabric_gb_s * 1e9 / each
    link = LINK_EFFICIENCY * run.device.link_gb_s * 1e9
    if group > 1:
        exchange = 2 * volume / port
    else:
        exchange = 2 * (each - 1) / each * volume / link
        exchange += 2 * (run.nodes - 1) / run.nodes * volume / each / port
    wide = workload.depth * float(np.sqrt(workload.parameters / workload.depth))
    return workload.depth, wide, exchange


def fixed_seconds(run: Run, workload: Workload, law: Law) -> float:
    """What every step costs however small its share of the batch."""
    depth, wide, exchange = fixed_parts(run, workload)
    return depth * law.layer_seconds + wide * law.width_seconds + exchange * law.exposed


def sample_exchange_seconds(run: Run, workload: Workload) -> float:
    """Seconds a sample that embeddings or graph features spend on links, none of it hidden."""
    each = max(run.accelerators / run.nodes, 1.0)
    port = LINK_EFFICIENCY * run.fabric_gb_s * 1e9 / each
    link = LINK_EFFICIENCY * run.device.link_gb_s * 1e9
    return workload.exchange_bytes * ((run.nodes - 1) / run.nodes / port + 1 / link)


class Family:
    """All runs of one workload: the parameters that its known runs fix, and what follows."""

    def __init__(self, known: Sequence[Run], law: Law, workload: Workload | None) -> None:
        self.law = law
        self.known = tuple(known)
        self.generic = workload is None
        self.workload = workload or Workload("", 0.0, 0.0, 1.0, 0.0)
        names = sorted({run.device.name for run in known})
        self.index = {name: 3 + position for position, name in enumerate(names)}
        self.smallest_batch = min((run.batch for run in known if run.batch), default=1.0)
        self.size = 3 + len(names)
        self.generic_fixed = 0.0
        self.covariance: Floats = np.zeros((self.size, self.size))
        self.theta = self._fit()

    def _width(self) -> Floats:
        noise_width = self.law.noise_batch_width if self.generic else self.law.curve_width
        fixed_width = 2 * self.law.fixed_width if self.generic else self.law.fixed_width
        devices = [self.law.device_width] * (self.size - 3)
        return np.array([self._cold_width(), fixed_width, noise_width, *devices])

    def _cold_width(self) -> float:
        return self.law.cold_width if self._cold() is not None else 10.0

    def _cold(self) -> float | None:
        return (self.law.sample_seconds or {}).get(self.workload.name)

    def _fit(self) -> Floats:
        """Maximum a posteriori of (log t1, log fixed scale, curve, log slowdown of each device)."""
        from scipy.optimize import least_squares

        cold = self._cold()
        start = np.zeros(self.size)
        if cold is not None:
            start[0] = np.log(cold)
        elif self.known:
            first = min(self.known, key=lambda run: run.accelerators)
            batch = first.batch or self.smallest_batch
            steps = float(self._samples(batch, start)) / batch
            seconds = cast("float", first.minutes) * 60 / steps
            share = batch / first.accelerators * slowdown(first.device)
            start[0] = np.log(max(0.9 * seconds / share, 1e-12))
            if self.generic:
                self.generic_fixed = _GENERIC_FIXED_SHARE * seconds
        else:
            raise BadInput(
                Problem(
                    f"nothing is known of the workload {self.workload.name or '(unnamed)'!r}",
                    expected="at least one known run with minutes",
                )
            )
        prior, width = start.copy(), self._width()
        if not self.known:
            self.covariance = np.diag(width**2)
            return start
        target = np.log([cast("float", run.minutes) for run in self.known])

        def misfit(theta: Floats) -> Floats:
            model = np.array([self._log_minutes(run, theta)[0] for run in self.known])
            off = (model - target) / RUN_NOISE
            pull = np.sign(off) * np.sqrt(2 * (np.sqrt(1 + off**2) - 1))
            return np.concatenate([pull, (theta - prior) / width])

        found = least_squares(misfit, start, x_scale=np.minimum(width, 1.0))
        slope = np.asarray(found.jac, dtype=np.float64)
        self.covariance = np.asarray(np.linalg.inv(slope.T @ slope), dtype=np.float64)
        return cast("Floats", found.x)

    def _samples(self, batch: float, theta: Floats) -> float:
        at = np.array([batch])
        if self.workload.published:
            tilt = np.exp(theta[2] * np.log(batch / self.smallest_batch) / _TILT_DECADES)
            return float(self.workload.samples_to_target(at)[0] * tilt)
        noise = GENERIC_BATCHES * self.smallest_batch * float(np.exp(theta[2]))
        return float(self.workload.samples_to_target(at, noise)[0])

    def _parts(self, run: Run, theta: Floats) -> tuple[float, float, float]:
        """(seconds of a sample on one accelerator, fixed seconds, stretch)."""
        offset = theta[self.index[run.device.name]] if run.device.name in self.index else 0.0
        each = float(np.exp(theta[0] + offset)) * slowdown(run.device)
        each += sample_exchange_seconds(run, self.workload)
        fixed = self.generic_fixed or fixed_seconds(run, self.workload, self.law)
        stretch = 1 + self.law.straggler * np.log2(max(run.nodes, 1.0))
        return each, float(np.exp(theta[1])) * fixed, float(stretch)

    def _log_minutes(self, run: Run, theta: Floats) -> tuple[float, float]:
        each, fixed, stretch = self._parts(run, theta)
        batch = run.batch or self._best_batch(run, each, fixed)
        seconds = (batch / run.accelerators * each + fixed) * stretch
        return float(np.log(self._samples(batch, theta) / batch * seconds / 60)), batch

    def _best_batch(self, run: Run, each: float, fixed: float) -> float:
        """The batch of the least time: sqrt(fixed n B_noise / t1), from the law's derivative."""
        group = min(_group(self.workload, run.device), run.accelerators)
        if self.workload.published:
            noise, most = self.workload.noise_batch(), self.workload.largest_batch
        else:
            noise, most = GENERIC_BATCHES * self.smallest_batch, np.inf
        best = np.sqrt(fixed * run.accelerators * noise / each)
        least = max(run.accelerators / group, 1.0)
        return float(min(max(best, least), max(most, least)))

    def predict(self, run: Run) -> Minutes:
        """Minutes of one configuration."""
        log_minutes, batch = self._log_minutes(run, self.theta)
        gradient = self._gradient(run)
        extra = 0.0 if run.device.name in self.index else self.law.device_width**2
        variance = gradient @ self.covariance @ gradient + extra + RUN_NOISE**2
        half = self.law.quantile * float(np.sqrt(variance))
        rests = f"{len(self.known)} known" if self.known else "no known run: shipped rate"
        note = rests if run.batch else f"{rests}; batch {batch:.0f} assumed"
        low, high = (float(np.exp(log_minutes + sign * half)) for sign in (-1, 1))
        return Minutes(float(np.exp(log_minutes)), low, high, batch, note)

    def _gradient(self, run: Run) -> Floats:
        step, gradient = 1e-4, np.zeros(self.size)
        for index in range(self.size):
            shift = np.zeros(self.size)
            shift[index] = step
            up = self._log_minutes(run, self.theta + shift)[0]
            down = self._log_minutes(run, self.theta - shift)[0]
            gradient[index] = (up - down) / (2 * step)
        return gradient


_GENERIC_FIXED_SHARE = 0.08
"""Share of the smallest run's step that is fixed, where nothing is published: the published
families lie between 0.03 and 0.18."""

_TILT_DECADES = 3.0
"""The curve's own error counts in full over e^3 (a factor 20) in batch."""


def by_configuration(runs: Sequence[Run]) -> list[tuple[Run, tuple[float, ...]]]:
    """Runs of the same configuration as one, with the median of their minutes, and all of them.

    Ten submitters of one system are one fact about the law: counted ten times, they would pull it
    to their configuration and make it too sure of itself.
    """
    groups: dict[Run, list[float]] = {}
    for run in runs:
        groups.setdefault(replace(run, minutes=None, fabric_gb_s=0.0), []).append(
            cast("float", run.minutes)
        )
    first = {replace(run, minutes=None, fabric_gb_s=0.0): run for run in reversed(runs)}
    return [
        (replace(first[key], minutes=median(minutes)), tuple(minutes))
        for key, minutes in groups.items()
    ]


def predict_minutes(
    known: Sequence[Row] | Sequence[Mapping[str, object]],
    ask: Sequence[Row] | Sequence[Mapping[str, object]],
    law: Law | None = None,
) -> list[Minutes]:
    """Minutes for every row of ``ask``, in order, from the runs of the same workload in ``known``.

    Columns: workload, accelerator, n_accelerators, nodes, global_batch, node_interconnect or
    fabric_gb_s (one way, a node);
    ``minutes`` is read in ``known`` only, where a row with an empty cell isn't known. A workload
    without known runs is answered from shipped rates where there are any, else, like an unknown
    accelerator, with a note and no figure.
    """
    law = law or shipped_law()
    every = [read_run(row, measured=True) for row in _rows(known, "known") if row.text("minutes")]
    measured = [run for run, _ in by_configuration(every)]
    families: dict[str, Family | str] = {}
    answers = []
    for row in _rows(ask, "ask"):
        try:
            run = read_run(row, measured=False)
        except BadInput as error:
            if error.problems[0].path != "accelerator":
                raise
            answers.append(
                Minutes(None, None, None, None, f"no answer: {error.problems[0].message}")
            )
            continue
        if run.workload not in families:
            runs = [one for one in measured if one.workload == run.workload]
            families[run.workload] = _family(run.workload, runs, law)
        family = families[run.workload]
        if isinstance(family, str):
            answers.append(Minutes(None, None, None, None, f"no answer: {family}"))
        else:
            answers.append(family.predict(run))
    return answers


def _family(name: str, runs: Sequence[Run], law: Law) -> Family | str:
    try:
        return Family(runs, law, find_workload(name))
    except BadInput:
        return f"nothing is known of the workload {name!r}: no known run of it has minutes"


def _rows(rows: Sequence[Row] | Sequence[Mapping[str, object]], name: str) -> list[Row]:
    return [row if isinstance(row, Row) else as_rows([row], name)[0] for row in rows]
