"""Acceptance on the published results: every figure is for rows that the fit had not seen."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, median

import pytest

from cost.sizing.calibrate import main
from cost.sizing.evaluate import PROTOCOLS, TARGETS, Report, coverage, mape
from cost.sizing.page import write_page
from cost.sizing.tables import DATA, read_table
from cost.sizing.throughput import predict_throughput


@pytest.mark.slow
def test_throughput_of_unseen_models(report: Report) -> None:
    throughput = report.throughput
    for device, error in throughput.by_device(2).items():
        assert error <= TARGETS["throughput_mape"], device
        assert error < throughput.baseline[device], "no better than constant utilisation"
    assert throughput.coverage(2) >= TARGETS["coverage"]


@pytest.mark.slow
def test_intervals_say_something(report: Report) -> None:
    halves = [float(half) for _, unseen in report.throughput.splits for half in unseen.half]
    assert median(halves) < 0.2


@pytest.mark.slow
def test_models_held_out_are_not_said_not_to_fit(report: Report) -> None:
    assert all(unseen.fits.all() for _, unseen in report.throughput.splits)


def test_rows_that_ran_fit(published: Path) -> None:
    rows = read_table(published / "published_training_results.csv")
    answers = predict_throughput(rows)
    ran = [a for row, a in zip(rows, answers, strict=True) if row.text("tokens_per_s")]
    assert len(ran) > 100
    assert not [answer for answer in ran if answer.fits is False]


@pytest.mark.slow
def test_time_to_target_of_unseen_workloads(report: Report) -> None:
    judged = report.target
    assert mape(judged.one) <= TARGETS["one_point_mape"] < judged.linear
    assert mape(judged.two) <= TARGETS["two_points_mape"]
    assert mape(judged.ends) <= TARGETS["two_points_mape"] < judged.amdahl
    for part in (judged.one, judged.two, judged.ends):
        assert coverage(part) >= TARGETS["coverage"]


@pytest.mark.slow
def test_serving_on_other_accelerators(report: Report) -> None:
    served = report.served
    for device in {one.device for one in served}:
        errors = [abs(one.error) for one in served if one.device == device]
        assert 100 * median(errors) <= TARGETS["serving_median"], device
    assert fmean(one.covered for one in served) >= TARGETS["coverage"]


@pytest.mark.slow
def test_ranking_by_cost(report: Report) -> None:
    ranked = report.rankings
    assert max(one.regret for one in ranked) <= TARGETS["regret"]
    known = [one.spearman_cost for one in ranked if one.protocol == PROTOCOLS[0]]
    assert fmean(known) >= TARGETS["spearman"]


def test_shipped_constants_come_from_this_table(published: Path, tmp_path: Path) -> None:
    """The command that makes the shipped files makes them again, to the digit."""
    table = published / "published_training_results.csv"
    main(["--training", str(table), "--out", str(tmp_path)])
    for name in ("training.json", "target.json"):
        made, shipped = (json.loads((at / name).read_text()) for at in (tmp_path, DATA))
        assert made["provenance"] == shipped["provenance"]
    again = json.loads((tmp_path / "training.json").read_text())["constants"]
    for name, value in json.loads((DATA / "training.json").read_text())["constants"].items():
        assert again[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.slow
def test_page_is_written(report: Report, tmp_path: Path) -> None:
    write_page(report, tmp_path)
    text = (tmp_path / "sizing.md").read_text(encoding="utf-8")
    assert "| bert | H100 |" in text and "**missed**" not in text
    assert len(list((tmp_path / "images").glob("sizing-*.svg"))) == 3
