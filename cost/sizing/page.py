"""``docs/sizing.md`` and its plots, from an evaluation report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

from cost.sizing.evaluate import PROTOCOLS, TARGETS, Report, by_family, coverage, mape
from cost.sizing.tables import write_text
from cost.sizing.throughput import predict_throughput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PROSE = Path(__file__).with_name("data") / "sizing.prose.json"

_TOO_BIG: tuple[dict[str, object], ...] = (
    {"accelerator": "H100", "n_accelerators": 1, "params": 70e9, "seq_len": 2048},
    {"accelerator": "A100-40GB", "n_accelerators": 8, "params": 70e9, "seq_len": 2048},
    {"accelerator": "L4", "n_accelerators": 8, "params": 30e9, "seq_len": 2048},
    {"accelerator": "H100", "n_accelerators": 8, "params": 1.3e9, "seq_len": 2048,
     "micro_batch": 256, "activation_checkpointing": "False"},
    {"accelerator": "T4", "n_accelerators": 1, "params": 7e9, "seq_len": 2048},
)  # fmt: skip
"""Configurations that can't run: state alone, or activations alone, exceed memory."""


def write_page(report: Report, docs: Path) -> None:
    """Write ``sizing.md`` and ``images/sizing-*.svg`` under ``docs``."""
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    _plots(report, images)
    write_text(docs / "sizing.md", "\n".join(_lines(report)) + "\n")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows] + [""]


def _lines(report: Report) -> list[str]:
    prose = json.loads(_PROSE.read_text(encoding="utf-8"))
    parts = {
        "summary": _summary(report),
        "throughput": _throughput(report),
        "memory": _memory(report),
        "target": _target(report),
        "serving": _serving(report),
        "ranking": _ranking(report),
        "planner": _planner(),
    }
    lines = ["<!-- Written by: python -m cost.sizing.evaluate --data DIR --docs. Don't edit. -->"]
    for section in prose:
        lines += [section["title"], "", *section["text"], ""]
        lines += parts.get(section.get("part", ""), [])
    return lines


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _summary(report: Report) -> list[str]:
    found = report.summary()
    worst = max(found["throughput_mape"].values())
    served = max(found["serving_median"].values())
    rows = [
        ("throughput, half of the models held out (worst accelerator)", "6 %", f"{worst:.1f} %",
         worst <= TARGETS["throughput_mape"]),
        ("time to target from the smallest run", "12 %", f"{found['one_point_mape']:.1f} %",
         found["one_point_mape"] <= TARGETS["one_point_mape"]),
        ("time to target from two points (two smallest)", "6 %",
         f"{found['two_points_mape']:.1f} %", found["two_points_mape"] <= TARGETS["two_points_mape"]),
        ("time to target from two points (both ends)", "6 %", f"{found['two_ends_mape']:.1f} %",
         found["two_ends_mape"] <= TARGETS["two_points_mape"]),
        ("90 % intervals cover, throughput", "85 %", f"{found['throughput_coverage']:.0%}",
         found["throughput_coverage"] >= TARGETS["coverage"]),
        ("90 % intervals cover, time to target", "85 %", f"{found['target_coverage']:.0%}",
         found["target_coverage"] >= TARGETS["coverage"]),
        ("serving, calibrated on H100 alone, median (worst accelerator)", "15 %", f"{served:.1f} %",
         served <= TARGETS["serving_median"]),
        ("ranking: regret of the first choice (worst workload)", "5 %", f"{found['regret']:.1%}",
         found["regret"] <= TARGETS["regret"]),
        ("ranking: Spearman of cost (mean over workloads, smallest runs known)", "0.95",
         f"{found['spearman']:.3f}", found["spearman"] >= TARGETS["spearman"]),
    ]  # fmt: skip
    head = ("what", "target", "measured", "")
    return _table(head, [(*row[:3], _verdict(bool(row[3]))) for row in rows])


def _throughput(report: Report) -> list[str]:
    sizes = report.throughput.sizes
    errors = {size: report.throughput.by_device(size) for size in sizes}
    lines = _table(
        ("accelerator", "constant MFU", *(f"{size} of the models held out" for size in sizes)),
        [
            (name, f"{baseline:.1f} %", *(f"{errors[size][name]:.1f} %" for size in sizes))
            for name, baseline in report.throughput.baseline.items()
        ],
    )
    inside = " and ".join(f"{report.throughput.coverage(size):.0%}" for size in sizes)
    lines += [f"Unseen rows inside their 90 % interval: {inside}.", ""]
    lines += _table(
        ("model left out alone", "rows", "mean error", "worst", "inside the interval"),
        [
            (name, len(unseen.names), f"{100 * float(np.mean(unseen.errors)):.1f} %",
             f"{100 * float(np.max(unseen.errors)):.0f} %", f"{float(np.mean(unseen.covered)):.0%}")
            for name, unseen in report.throughput.singles
        ],
    )  # fmt: skip
    return [*lines, "![measured and predicted](images/sizing-throughput.svg)", "", *_others(report)]


def _others(report: Report) -> list[str]:
    """Published rows that the fit can't use, predicted by what ships."""
    rows = [
        row
        for row in report.rows
        if row.text("params")
        and not row.text("micro_batch")
        and (row.text("tokens_per_s") or row.text("tokens_per_s_per_accelerator"))
    ] + [row for row in report.rows if row.text("suite") == "IBM fms-fsdp"]
    listed = []
    for row, answer in zip(rows, predict_throughput(rows), strict=True):
        if answer.tokens_per_s is None or answer.low is None or answer.high is None:
            continue
        measured = row.number("tokens_per_s") or (
            row.required("tokens_per_s_per_accelerator") * row.required("n_accelerators")
        )
        listed.append(
            (
                f"{row.text('suite')}, {row.text('workload')}", f"{measured:.3g}",
                f"{answer.tokens_per_s:.3g} ({answer.low:.3g} to {answer.high:.3g})",
                f"{answer.tokens_per_s / measured - 1:+.0%}", answer.note,
            )
        )  # fmt: skip
    text = "Rows of other suites, which the fit never uses since cells are missing:"
    return [text, "", *_table(("row", "measured", "predicted", "error", "note"), listed)]


def _memory(report: Report) -> list[str]:
    ran = [
        row
        for row in report.rows
        if row.text("params") and row.text("n_accelerators") and row.text("micro_batch")
    ]
    wrong = [one for one in predict_throughput(ran) if one.fits is False]
    unseen = np.concatenate([one.fits for _, one in report.throughput.splits])
    lines = [
        f"Of {len(ran)} published rows that ran, {len(wrong)} are said not to fit; of the "
        f"{len(unseen)} predictions with models held out as above, {int(np.sum(~unseen))}.",
        "",
    ]
    impossible = [
        (
            one["accelerator"], one["n_accelerators"], f"{one['params']:.3g}",
            one.get("micro_batch", "default"), f"{answer.memory_gib or 0:.0f} GiB",
            "no" if answer.fits is False else "yes",
        )
        for one, answer in zip(_TOO_BIG, predict_throughput(_TOO_BIG), strict=True)
    ]  # fmt: skip
    head = ("accelerator", "count", "parameters", "micro-batch", "needs", "fits")
    return lines + _table(head, impossible)


def _target(report: Report) -> list[str]:
    lines = _table(
        ("known", "mean error", "inside the interval", "configurations"),
        [
            (known, f"{mape(judged):.1f} %", f"{coverage(judged):.0%}", len(judged))
            for known, judged in (
                ("smallest run", report.target.one),
                ("two smallest", report.target.two),
                ("both ends", report.target.ends),
            )
        ],
    )
    lines += [
        f"On the same families linear scaling is off by {report.target.linear:.1f} %, Amdahl's law "
        f"through both ends by {report.target.amdahl:.1f} %.",
        "",
    ]
    two = by_family(report.target.two)
    rows = []
    for (workload, device), judged in by_family(report.target.one).items():
        counts = ", ".join(
            f"{one.cell.run.accelerators:.0f}: {100 * one.error:+.0f} %" for one in judged
        )
        later = two.get((workload, device))
        both = f"{mape(later):.1f} %" if later else "-"
        rows.append((workload, device, f"{mape(judged):.1f} %", both, counts))
    head = ("family", "accelerator", "from the smallest", "from two", "by count, from the smallest")
    lines += _table(head, rows)
    return [*lines, "![minutes, measured and predicted](images/sizing-target.svg)", ""]


def _serving(report: Report) -> list[str]:
    rows = []
    for device in sorted({one.device for one in report.served}):
        for scenario in ("offline", "server"):
            own = [one for one in report.served if (one.device, one.scenario) == (device, scenario)]
            if own:
                rows.append(
                    (device, scenario, len(own), f"{100 * median(abs(o.error) for o in own):.1f} %",
                     f"{fmean(float(one.covered) for one in own):.0%}")
                )  # fmt: skip
    lines = _table(("accelerator", "scenario", "rows", "median error", "inside the interval"), rows)
    models = sorted({one.model for one in report.served})
    lines += _table(
        ("model", *sorted({one.device for one in report.served})),
        [
            (model, *(_median_error(report, model, device)
                      for device in sorted({one.device for one in report.served})))
            for model in models
        ],
    )  # fmt: skip
    return [*lines, "![serving](images/sizing-serving.svg)", ""]


def _median_error(report: Report, model: str, device: str) -> str:
    own = [one.error for one in report.served if (one.model, one.device) == (model, device)]
    return f"{100 * median(own):+.0f} %" if own else "-"


def _ranking(report: Report) -> list[str]:
    lines: list[str] = []
    for protocol in PROTOCOLS:
        own = [one for one in report.rankings if one.protocol == protocol]
        lines += [f"Known: {protocol}.", ""]
        lines += _table(
            ("workload", "configurations", "regret", "Spearman, cost", "Spearman, time"),
            [
                (one.workload, one.configurations, f"{one.regret:.1%}", f"{one.spearman_cost:.3f}",
                 f"{one.spearman_time:.3f}")
                for one in own
            ],
        )  # fmt: skip
        mean = fmean(one.spearman_cost for one in own)
        lines += [f"Mean Spearman of cost {mean:.3f}.", ""]
    return lines


def _planner() -> list[str]:
    from cost.catalog.store import load_offers
    from cost.sizing.planner import plan_training
    from cost.sizing.space import TrainingWork

    work = TrainingWork(7e9, 2e10, 4096, deadline_hours=24, spot=True, keep_base_fraction=0.25)
    offers = load_offers()
    plan = plan_training(work, offers)
    started = time.process_time()
    plan = plan_training(work, offers)
    seconds = time.process_time() - started
    speed = (
        "under two seconds" if seconds < 2 else f"**{seconds:.1f} s, more than the two allowed**"
    )
    example = [f"- {sentence}" for sentence in plan.reasons]
    return [
        f"Over all {len(offers)} offers of three clouds the search takes {speed} of one core; it "
        f"priced {plan.considered} combinations for this answer (7e9 parameters, 2e10 tokens, 24 h, "
        "spot with a quarter kept on demand):",
        "",
        *example,
        "",
    ]


def _plots(report: Report, images: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "sizing"
    for name, draw in (
        ("throughput", _draw_throughput),
        ("target", _draw_target),
        ("serving", _draw_serving),
    ):
        figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        draw(report, axes)
        figure.savefig(images / f"sizing-{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _draw(axes: Axes, what: str, groups: dict[str, tuple[list[float], list[float]]]) -> None:
    both = [value for pair in groups.values() for side in pair for value in side]
    ends: Any = [min(both) * 0.8, max(both) * 1.25]
    axes.fill_between(ends, [0.9 * end for end in ends], [1.1 * end for end in ends], alpha=0.15)
    axes.plot(ends, ends, linewidth=0.8, color="black")
    for marker, (name, (measured, predicted)) in zip("osD^vP*Xh<>", groups.items(), strict=False):
        axes.scatter(measured, predicted, s=14, marker=marker, label=name, alpha=0.7)
    axes.set(xscale="log", yscale="log", xlabel=f"measured {what}", ylabel=f"predicted {what}")
    axes.legend(fontsize="small")


def _draw_throughput(report: Report, axes: Axes) -> None:
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for name, unseen in report.throughput.singles:
        groups[f"{name} left out"] = (list(unseen.measured), list(unseen.predicted))
    _draw(axes, "tokens a second", groups)
    axes.set_title("Models that the fit had not seen (band: 10 %)")


def _draw_target(report: Report, axes: Axes) -> None:
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for one in report.target.one:
        pair = groups.setdefault(one.cell.run.workload, ([], []))
        pair[0].append(one.cell.run.minutes or 0.0)
        pair[1].append(one.predicted)
    _draw(axes, "minutes", groups)
    axes.set_title("From the smallest run, family left out (band: 10 %)")


def _draw_serving(report: Report, axes: Axes) -> None:
    groups: dict[str, tuple[list[float], list[float]]] = {}
    for one in report.served:
        pair = groups.setdefault(one.device, ([], []))
        pair[0].append(one.measured)
        pair[1].append(one.predicted)
    _draw(axes, "samples or tokens a second", groups)
    axes.set_title("Calibrated on H100 SXM alone (band: 10 %)")
