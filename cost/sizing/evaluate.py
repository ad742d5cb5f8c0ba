"""Judge the sizing models on published results that they have not seen.

``python -m cost.sizing.evaluate --data DIR`` prints the figures; with ``--docs`` it writes
``docs/sizing.md`` and its plots. ``DIR`` holds ``published_training_results.csv``,
``published_serving_results.csv`` and ``oracle_cost_per_run.csv``; nothing of them is shipped.
Everything is fitted anew on the part that each protocol allows.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cost.sizing.calibrate import Measured, Memo, fit, read_measured
from cost.sizing.calibrate_target import Cell, Judged, judge, laws_without, read_cells
from cost.sizing.hardware import REFERENCE, find_device
from cost.sizing.ranking import Ranked, rank_candidates
from cost.sizing.serving import predict_serving
from cost.sizing.steptime import fits
from cost.sizing.tables import Row, read_table
from cost.sizing.target import Law
from cost.sizing.throughput import Setup, as_configurations, predict_setups

Floats = NDArray[np.float64]

TARGETS: Mapping[str, float] = {
    "throughput_mape": 6.0,
    "one_point_mape": 12.0,
    "two_points_mape": 6.0,
    "coverage": 0.85,
    "serving_median": 15.0,
    "regret": 0.05,
    "spearman": 0.95,
}


@dataclass(frozen=True)
class Unseen:
    """Rows of models that a fit had not seen: measured and predicted rate, interval; whether
    they are said to fit, as they did."""

    setups: tuple[Setup, ...]
    names: tuple[str, ...]
    measured: Floats
    predicted: Floats
    half: Floats
    fits: NDArray[np.bool_]

    @property
    def errors(self) -> Floats:
        """Relative errors, absolute."""
        return np.abs(self.predicted / self.measured - 1)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Whether the interval held the measured rate."""
        return np.abs(np.log(self.predicted / self.measured)) <= self.half

    def by_device(self) -> dict[str, float]:
        """Mean absolute error in per cent, by accelerator."""
        return _means([setup.device.name for setup in self.setups], self.errors)


def _means(keys: Sequence[str], values: Floats) -> dict[str, float]:
    return {
        key: 100 * fmean(float(v) for k, v in zip(keys, values, strict=True) if k == key)
        for key in sorted(set(keys))
    }


def hold_out(measured: Measured, held: Sequence[str], memo: Memo | None = None) -> Unseen:
    """Fit on the models that are not ``held``, predict those that are."""
    model = fit(measured.where(lambda name: name not in held), memo)
    asked = measured.where(lambda name: name in held)
    log_rate, half, _ = predict_setups(asked.setups, model)
    inside = fits(as_configurations(asked.setups, model.constants), model.memory_margin)
    rates = np.exp(asked.log_rate), np.exp(log_rate)
    return Unseen(asked.setups, asked.names, *rates, half, inside)


def constant_mfu(measured: Measured, held: Sequence[str]) -> dict[str, float]:
    """The baseline: the median model FLOPs utilisation of the models kept, for each accelerator."""

    def flops(setup: Setup) -> float:
        attention = 12 * setup.layers * setup.width * setup.sequence_length
        return 6 * setup.parameters + attention

    rate = np.exp(measured.log_rate)
    count = np.array([one.data * one.tensor * one.pipeline for one in measured.setups])
    each = rate / count * np.array([flops(one) for one in measured.setups])
    devices = np.array([one.device.name for one in measured.setups])
    kept = np.array([name not in held for name in measured.names])
    errors = {}
    for name in sorted(set(devices[~kept])):
        typical = np.median(each[kept & (devices == name)])
        errors[name] = 100 * float(np.mean(np.abs(typical / each[~kept & (devices == name)] - 1)))
    return errors


@dataclass(frozen=True)
class Throughput:
    """Every way of holding out half of the models, and each model alone."""

    splits: tuple[tuple[tuple[str, ...], Unseen], ...]
    singles: tuple[tuple[str, Unseen], ...]
    baseline: Mapping[str, float]

    def by_device(self, size: int) -> dict[str, float]:
        """Mean over the splits that hold out ``size`` models, by accelerator."""
        found: dict[str, list[float]] = {}
        for held, unseen in self.splits:
            for name, error in unseen.by_device().items() if len(held) == size else ():
                found.setdefault(name, []).append(error)
        return {name: fmean(errors) for name, errors in sorted(found.items())}

    def coverage(self, size: int) -> float:
        """Share of unseen rows inside their interval."""
        inside = [unseen.covered for held, unseen in self.splits if len(held) == size]
        return float(np.mean(np.concatenate(inside))) if inside else float("nan")

    @property
    def sizes(self) -> list[int]:
        """How many models the splits hold out."""
        return sorted({len(held) for held, _ in self.splits})


def judge_throughput(rows: Sequence[Row], sizes: Sequence[int] = (2, 3)) -> Throughput:
    """Half of the models held out in turn: of five, every two and every three."""
    measured = read_measured(rows)
    names = sorted(set(measured.names))
    memo: Memo = {}
    splits = tuple(
        (held, hold_out(measured, held, memo))
        for size in sizes
        for held in itertools.combinations(names, size)
    )
    singles = tuple((name, hold_out(measured, (name,), memo)) for name in names)
    baselines: dict[str, list[float]] = {}
    for held in itertools.combinations(names, sizes[0]):
        for device, error in constant_mfu(measured, held).items():
            baselines.setdefault(device, []).append(error)
    return Throughput(splits, singles, {key: fmean(v) for key, v in sorted(baselines.items())})


@dataclass(frozen=True)
class TimeToTarget:
    """Runs of each family predicted from its smallest, its two smallest, its two ends."""

    one: tuple[Judged, ...]
    two: tuple[Judged, ...]
    ends: tuple[Judged, ...]
    linear: float
    amdahl: float


def judge_target(cells: Sequence[Cell], laws: Callable[[str], Law]) -> TimeToTarget:
    """Each family predicted by ``laws(workload)``, fitted on all other workloads."""
    one, two, ends = (
        tuple(judge(cells, laws, points, last))
        for points, last in ((1, False), (2, False), (2, True))
    )
    return TimeToTarget(one, two, ends, *_scaling_baselines(cells))


def mape(judged: Sequence[Judged]) -> float:
    """Mean absolute error in per cent over configurations."""
    return 100 * fmean(abs(one.error) for one in judged)


def coverage(judged: Sequence[Judged]) -> float:
    """Share of measured runs inside the interval of their configuration."""
    inside = [one.low <= minutes <= one.high for one in judged for minutes in one.cell.minutes]
    return fmean(map(float, inside))


def by_family(judged: Sequence[Judged]) -> dict[tuple[str, str], list[Judged]]:
    """Judged configurations by (workload, accelerator)."""
    found: dict[tuple[str, str], list[Judged]] = {}
    for one in judged:
        found.setdefault((one.cell.run.workload, one.cell.run.device.name), []).append(one)
    return found


def _scaling_baselines(cells: Sequence[Cell]) -> tuple[float, float]:
    """Errors in per cent of linear scaling from the smallest count, and of Amdahl's law
    t = a + b / n through the smallest and the largest, over the same families."""
    linear, amdahl = [], []
    for workload, device in sorted({(c.run.workload, c.run.device.name) for c in cells}):
        times: dict[float, list[float]] = {}
        for cell in cells:
            if (cell.run.workload, cell.run.device.name) == (workload, device):
                times.setdefault(cell.run.accelerators, []).append(cast("float", cell.run.minutes))
        counts = sorted(times)
        middle = {count: median(values) for count, values in times.items()}
        first, last = counts[0], counts[-1]
        linear += [abs(middle[first] * first / n / middle[n] - 1) for n in counts[1:]]
        if len(counts) > 2:
            slope = (middle[first] - middle[last]) / (1 / first - 1 / last)
            level = middle[first] - slope / first
            amdahl += [abs((level + slope / n) / middle[n] - 1) for n in counts[1:-1]]
    return 100 * fmean(linear), 100 * fmean(amdahl)


@dataclass(frozen=True)
class Served:
    """One published result on another accelerator than the reference, and its prediction."""

    device: str
    model: str
    scenario: str
    measured: float
    predicted: float
    covered: bool

    @property
    def error(self) -> float:
        """Relative error."""
        return self.predicted / self.measured - 1


def judge_serving(rows: Sequence[Row]) -> list[Served]:
    """Every row on another accelerator, calibrated on the reference alone."""
    device = [find_device(row.text("accelerator")).name for row in rows]
    known = [row for row, name in zip(rows, device, strict=True) if name == REFERENCE]
    asked = [(row, name) for row, name in zip(rows, device, strict=True) if name != REFERENCE]
    answers = predict_serving(known, [row for row, _ in asked])
    judged = []
    for (row, name), answer in zip(asked, answers, strict=True):
        if answer.value is None or answer.low is None or answer.high is None:
            continue
        value = row.required("value")
        judged.append(
            Served(
                name, row.text("model"), row.text("scenario"), value, answer.value,
                answer.low <= value <= answer.high,
            )
        )  # fmt: skip
    return judged


@dataclass(frozen=True)
class Ranking:
    """One workload under one protocol: configurations, regret of the first choice by cost,
    Spearman's rank correlation of cost and of time over configurations."""

    workload: str
    protocol: str
    configurations: int
    regret: float
    spearman_cost: float
    spearman_time: float


PROTOCOLS = ("smallest run of each type", "one smallest run", "no run")


def judge_ranking(rows: Sequence[Row], law_for: Callable[[str], Law | None]) -> list[Ranking]:
    """Rank every workload's configurations; actual costs are only looked at afterwards."""
    found = []
    for protocol in PROTOCOLS:
        for workload in sorted({row.text("workload") for row in rows}):
            own = [row for row in rows if row.text("workload") == workload]
            law = None if protocol == PROTOCOLS[2] else law_for(workload)
            found.append(_ranking(workload, protocol, own, law))
    return found


def _ranking(workload: str, protocol: str, rows: Sequence[Row], law: Law | None) -> Ranking:
    from scipy.stats import spearmanr

    groups: dict[tuple[str, int, int], list[Row]] = {}
    for row in rows:
        key = (
            row.text("cloud_instance_equivalent"),
            int(row.required("nodes")),
            int(row.required("accelerators")),
        )
        groups.setdefault(key, []).append(row)
    keys = sorted(groups)
    minutes = [median(one.required("minutes_mlperf_v4_0") for one in groups[key]) for key in keys]
    usd = [
        median(one.required("usd_per_run_on_demand_us_east_1") for one in groups[key])
        for key in keys
    ]
    ask = [_candidate(workload, key) for key in keys]
    known = [
        {**_candidate(workload, keys[index]), "minutes": minutes[index]}
        for index in _known_places(keys, protocol)
    ]
    ranked: list[Ranked] = rank_candidates(ask, known, law)
    first = min(range(len(keys)), key=lambda i: ranked[i].rank_by_cost or len(keys) + 1)
    return Ranking(
        workload,
        protocol,
        len(keys),
        usd[first] / min(usd) - 1,
        float(spearmanr([float(one.usd or 0) for one in ranked], usd)[0]),
        float(spearmanr([one.minutes or 0.0 for one in ranked], minutes)[0]),
    )


def _candidate(workload: str, key: tuple[str, int, int]) -> dict[str, object]:
    name, nodes, accelerators = key
    return {
        "workload": workload,
        "cloud_instance_equivalent": name,
        "nodes": nodes,
        "accelerators": accelerators,
    }


def _known_places(keys: Sequence[tuple[str, int, int]], protocol: str) -> list[int]:
    """Indices of the configurations whose minutes the protocol gives away."""
    smallest: dict[str, int] = {}
    for index, (name, _, _) in enumerate(keys):
        smallest.setdefault(name, index)
    places = list(smallest.values())
    if protocol == PROTOCOLS[0]:
        return places
    if protocol == PROTOCOLS[1]:
        first = min(places, key=lambda i: (not keys[i][0].startswith("p5."), keys[i][2]))
        return [first]
    return []


@dataclass(frozen=True)
class Report:
    """Everything that was judged."""

    throughput: Throughput
    target: TimeToTarget
    served: tuple[Served, ...]
    rankings: tuple[Ranking, ...]
    rows: tuple[Row, ...]

    def summary(self) -> dict[str, Any]:
        """The figures that the targets speak of."""
        ranked = [one for one in self.rankings if one.protocol == PROTOCOLS[0]]
        return {
            "throughput_mape": self.throughput.by_device(2),
            "throughput_mape_three_held_out": self.throughput.by_device(3),
            "throughput_baseline": dict(self.throughput.baseline),
            "throughput_coverage": self.throughput.coverage(2),
            "one_point_mape": mape(self.target.one),
            "two_points_mape": mape(self.target.two),
            "two_ends_mape": mape(self.target.ends),
            "target_coverage": coverage(self.target.one + self.target.two + self.target.ends),
            "linear": self.target.linear,
            "amdahl": self.target.amdahl,
            "serving_median": {
                name: 100 * median(abs(one.error) for one in self.served if one.device == name)
                for name in sorted({one.device for one in self.served})
            },
            "serving_coverage": fmean(float(one.covered) for one in self.served),
            "regret": max(one.regret for one in ranked),
            "spearman": fmean(one.spearman_cost for one in ranked),
        }


def evaluate(folder: Path, sizes: Sequence[int] = (2, 3)) -> Report:
    """Judge everything on the tables in ``folder``; ``sizes`` as in ``judge_throughput``."""
    training = read_table(folder / "published_training_results.csv")
    cells = read_cells(training)
    laws = laws_without(cells)
    return Report(
        judge_throughput(training, sizes),
        judge_target(cells, laws),
        tuple(judge_serving(read_table(folder / "published_serving_results.csv"))),
        tuple(judge_ranking(read_table(folder / "oracle_cost_per_run.csv"), laws)),
        tuple(training),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures as JSON; with ``--docs`` write the page and its plots."""
    parser = argparse.ArgumentParser(prog="python -m cost.sizing.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the published tables")
    parser.add_argument("--docs", nargs="?", type=Path, const=Path("docs"), help="write docs here")
    arguments = parser.parse_args(argv)
    report = evaluate(arguments.data)
    print(json.dumps(report.summary(), indent=1))
    if arguments.docs is not None:
        from cost.sizing.page import write_page

        write_page(report, arguments.docs)


if __name__ == "__main__":
    main()
