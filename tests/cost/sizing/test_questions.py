"""Questions as people ask them: repeated rows, cells out of all reason, nothing on offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cost.sizing import plan_training, predict_minutes, predict_throughput
from cost.sizing.calibrate import fit, read_measured
from cost.sizing.hardware import find_device
from cost.sizing.planner import TrainingWork
from cost.sizing.replicas import ServingWork, plan_serving, service_time, spares
from cost.sizing.serving import ServedModel
from cost.sizing.tables import read_table
from infra.core.errors import BadInput, Refused
from scripts.cli.size import app


def test_submitters_of_one_system_are_one_fact() -> None:
    small = {"workload": "bert", "accelerator": "H100", "n_accelerators": 8, "nodes": 1,
             "global_batch": 1024}  # fmt: skip
    large = small | {"n_accelerators": 64, "nodes": 8, "global_batch": 3072, "minutes": 0.9}
    ask = [small | {"n_accelerators": 512, "nodes": 64, "global_batch": 8192}]
    once = predict_minutes([small | {"minutes": 5.3}, large], ask)[0]
    many = [small | {"minutes": minutes} for minutes in (5.2, 5.3, 5.4)] * 4
    assert predict_minutes([*many, large], ask)[0] == once
    assert once.note == "2 known"


def test_a_workload_that_nobody_knows_is_named() -> None:
    ask = [{"workload": "mine", "accelerator": "H100", "n_accelerators": 8}]
    assert "'mine'" in predict_minutes([], ask)[0].note


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("seq_len", "1e300", "beyond all reason"),
        ("n_accelerators", "8.5", "no count"),
        ("params", "inf", "no number"),
    ],
)
def test_cells_out_of_all_reason(column: str, value: str, words: str) -> None:
    row = {"accelerator": "H100", "n_accelerators": "8", "params": "7e9"} | {column: value}
    with pytest.raises(BadInput, match=words) as caught:
        predict_throughput([row])
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (1, column)


def test_models_that_were_not_seen_are_not_said_not_to_fit(sample: Path) -> None:
    """The share of activations that is counted never rises above its prior."""
    measured = read_measured(read_table(sample / "rates.csv"))
    for name in set(measured.names):
        kept = measured.where(name.__eq__)
        if len(kept) >= 12:
            assert fit(kept).memory_margin <= 0.8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"precision": "int3"}, "unknown precision"),
        ({"deadline_hours": -5.0}, "deadline_hours is -5"),
        ({"budget_usd": float("nan")}, "budget_usd is nan"),
    ],
)
def test_work_that_makes_no_sense(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        TrainingWork(7e9, 2e10, **more)


def test_an_empty_offer_is_not_the_whole_catalogue() -> None:
    with pytest.raises(Refused):
        plan_training(TrainingWork(7e9, 2e10), [])
    with pytest.raises(Refused):
        plan_serving(ServingWork(requests_per_second=1, p95_ms=1000), [])


def test_one_request_alone_takes_more_than_its_share_of_a_full_batch() -> None:
    model = ServedModel("seven", "llm", 7e9, 32, 4096, 8, 128)
    work = ServingWork(requests_per_second=20, p95_ms=500, model=model, cpu=False)
    found = service_time(work, find_device("H100"))
    assert found is not None
    times = np.array([found[0].seconds(size) for size in (1, 8, 64)])
    weights_alone = 7e9 / find_device("H100").memory_gb_s / 1e9 * model.output_tokens
    assert times[0] > weights_alone  # each token reads every weight
    assert np.all(np.diff(times) > 0) and times[2] < 8 * times[0]
    with pytest.raises(Refused):  # an answer of 294 tokens within 500 ms
        plan_serving(work)


def test_spares_of_thousands() -> None:
    found = [spares(count, 0.999) for count in (1, 100, 2000, 20_000)]
    assert found == sorted(found)
    assert 100 < found[-1] < 200  # 0.5 % of 20,000 are down on average, and three deviations


def test_the_table_says_why_there_is_no_answer(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    path = tmp_path / "rows.csv"
    path.write_text("params,n_accelerators,accelerator\r\n\r\n7e9,8,Foo9000\r\n7e9,8,H100\r\n")
    shown = CliRunner().invoke(app, ["predict", "--in", str(path)])
    assert shown.exit_code == 0
    assert "…" not in shown.output and "Foo9000" in shown.output.replace("\n", "")
