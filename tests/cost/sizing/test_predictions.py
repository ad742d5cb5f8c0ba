"""The shipped models on a small sample of published rows, and on questions of every kind."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from cost.sizing import predict_minutes, predict_serving, predict_throughput, rank_candidates
from cost.sizing.calibrate import fit, read_measured
from cost.sizing.calibrate import main as calibrate
from cost.sizing.convergence import find_workload, workloads
from cost.sizing.hardware import devices, find_device
from cost.sizing.ranking import cheapest
from cost.sizing.residual import FEATURES, Residual, conformal_quantile
from cost.sizing.serving import decode, find_model
from cost.sizing.shapes import transformer_shape
from cost.sizing.tables import Row, as_rows, read_table
from cost.sizing.target import Law, shipped_law
from cost.sizing.throughput import Model, Prediction, predict_setups, read_setup, shipped_model
from infra.core.errors import BadInput


def rows_of(sample: Path, name: str) -> list[Row]:
    return read_table(sample / name, ("source", "date"))


def a_run(**more: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "accelerator": "H100-SXM-80GB", "n_accelerators": 8, "params": 1.3e9, "seq_len": 2048,
        "global_batch": 128, "micro_batch": 8, "grad_accum": 2, "parallelism": "FSDP FULL_SHARD",
        "precision": "amp_bf16", "activation_checkpointing": "False",
    }  # fmt: skip
    return {**plain, **more}


def predicted(**more: object) -> Prediction:
    return predict_throughput([a_run(**more)])[0]


def rate(**more: object) -> float:
    value = predicted(**more).tokens_per_s
    assert value is not None
    return value


def test_sampled_rates_are_met(sample: Path) -> None:
    rows = rows_of(sample, "rates.csv")
    errors = []
    for row, answer in zip(rows, predict_throughput(rows), strict=True):
        assert answer.tokens_per_s and answer.low and answer.high and answer.fits
        assert answer.low <= answer.tokens_per_s <= answer.high
        errors.append(abs(answer.tokens_per_s / row.required("tokens_per_s") - 1))
    assert fmean(errors) < 0.04


def test_results_in_the_question_are_not_read(sample: Path) -> None:
    rows = rows_of(sample, "rates.csv")
    blank = [Row({**row.cells, "tokens_per_s": ""}, row.file, row.line) for row in rows]
    doubled = [Row({**row.cells, "tokens_per_s": "9e9"}, row.file, row.line) for row in rows]
    assert predict_throughput(blank) == predict_throughput(doubled) == predict_throughput(rows)


def test_rate_moves_as_physics_says() -> None:
    assert rate(n_accelerators=16, global_batch=256) > 1.7 * rate()
    assert rate(accelerator="A100-SXM-80GB") < rate() < rate(accelerator="B200")
    assert rate(params=7e9) < rate() / 3
    assert rate(activation_checkpointing="True") < rate()
    assert rate(precision="amp_fp8") > rate()
    assert rate(accelerator="A100-80GB", precision="fp8") == rate(accelerator="A100-80GB")
    slow = rate(params=7e9, n_accelerators=64, parallelism="DDP", accelerators_per_node=1)
    assert rate(params=7e9, n_accelerators=64, parallelism="DDP") > slow


@pytest.mark.parametrize(
    "impossible",
    [
        {"params": 70e9, "n_accelerators": 1},
        {"params": 70e9, "accelerator": "A100-SXM-40GB"},
        {"params": 30e9, "accelerator": "L4"},
        {"micro_batch": 256},
        {"params": 7e9, "parallelism": "DDP"},
        {"params": 13e9, "parallelism": "ZeRO-1", "n_accelerators": 2},
    ],
)
def test_what_can_not_run_does_not_fit(impossible: dict[str, object]) -> None:
    answer = predicted(**impossible)
    assert answer.fits is False
    assert answer.memory_gib and answer.memory_gib > 30


def test_unmeasured_hardware_widens_the_interval() -> None:
    known, unknown = predicted(), predicted(accelerator="MI300X")
    assert known.low and known.high and unknown.low and unknown.high
    assert unknown.high / unknown.low > 1.2 * known.high / known.low


def test_pipelines_and_assumptions_are_understood() -> None:
    setup = read_setup(
        as_rows([a_run(params=175e9, n_accelerators=1024, parallelism="TP8 PP8 DP16",
                       global_batch=1536, micro_batch="", grad_accum="",
                       activation_checkpointing="")])[0]
    )  # fmt: skip
    assert (setup.tensor, setup.pipeline, setup.data) == (8, 8, 16)
    assert setup.micro_batch == 1 and setup.accumulation == 96
    assert "micro_batch 1" in setup.assumed
    bare = predicted(seq_len="", micro_batch="", grad_accum="", global_batch="", parallelism="")
    assert bare.tokens_per_s and "assumed" in bare.note
    known_shape = read_setup(as_rows([a_run(layers=16, hidden=2048)])[0])
    assert (known_shape.layers, known_shape.width) == (16, 2048)


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"params": "many"}, "params"),
        ({"params": "-7e9"}, "params"),
        ({"seq_len": "nan"}, "seq_len"),
        ({"activation_checkpointing": "perhaps"}, "activation_checkpointing"),
        ({"parallelism": "TP3"}, "parallelism"),
    ],
)
def test_a_wrong_cell_is_named(wrong: dict[str, object], column: str) -> None:
    with pytest.raises(BadInput) as caught:
        predict_throughput([a_run(**wrong)])
    assert caught.value.problems[0].path == column


def test_what_can_not_be_answered_says_why() -> None:
    answers = predict_throughput([a_run(params=""), a_run(accelerator="abacus"), a_run()])
    assert [one.tokens_per_s is None for one in answers] == [True, True, False]
    assert "params" in answers[0].note and "abacus" in answers[1].note


def test_minutes_of_the_sample(sample: Path) -> None:
    rows = rows_of(sample, "minutes.csv")
    smallest: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row.text("workload"), find_device(row.text("accelerator")).name)
        held = smallest.get(key)
        if held is None or row.required("n_accelerators") < held.required("n_accelerators"):
            smallest[key] = row
    asked = [row for row in rows if row not in smallest.values()]
    answers = predict_minutes(list(smallest.values()), asked)
    errors = []
    for row, answer in zip(asked, answers, strict=True):
        assert answer.minutes and answer.low and answer.high
        assert answer.low < answer.minutes < answer.high
        errors.append(abs(answer.minutes / row.required("minutes") - 1))
    assert fmean(errors) < 0.12


def _resnet(count: int, batch: object = 3200, **more: object) -> dict[str, object]:
    return {"workload": "resnet", "accelerator": "H100", "n_accelerators": count,
            "nodes": max(count // 8, 1), "global_batch": batch, **more}  # fmt: skip


def test_a_known_run_comes_back() -> None:
    known = [_resnet(8, minutes=20.0)]
    assert predict_minutes(known, [_resnet(8)])[0].minutes == pytest.approx(20, rel=0.05)


def test_more_accelerators_take_less_time_with_less_than_linear_gain() -> None:
    known = [_resnet(8, minutes=13.3)]
    minutes = [one.minutes or 0 for one in predict_minutes(known, map_rows(8, 64, 512, 4096))]
    assert minutes == sorted(minutes, reverse=True)
    assert minutes[-1] > minutes[0] * 8 / 4096


def map_rows(*counts: int) -> list[dict[str, object]]:
    return [_resnet(count, "") for count in counts]


def test_a_second_point_narrows() -> None:
    one = predict_minutes([_resnet(8, minutes=13.3)], [_resnet(2528, 40448)])[0]
    two = predict_minutes(
        [_resnet(8, minutes=13.3), _resnet(64, minutes=2.5)], [_resnet(2528, 40448)]
    )[0]
    assert one.low and one.high and two.low and two.high
    assert two.high / two.low < one.high / one.low


def test_unknown_workloads_need_a_known_run() -> None:
    ask = {**_resnet(64), "workload": "mystery"}
    silent = predict_minutes([], [ask])[0]
    assert silent.minutes is None and "nothing is known" in silent.note
    answered = predict_minutes([{**_resnet(8, minutes=10.0), "workload": "mystery"}], [ask])[0]
    assert answered.minutes and answered.low and answered.high
    assert 10 * 8 / 64 < answered.minutes < 10
    shipped = predict_minutes([], [_resnet(8)])[0]
    assert shipped.minutes == pytest.approx(13.3, rel=0.3)
    assert "shipped" in shipped.note


def test_a_law_without_rates_says_so() -> None:
    bare = Law(6e-5, 1.5e-8, 0.3, 0.005)
    assert predict_minutes([], [_resnet(8)], bare)[0].minutes is None


def test_wrong_runs_are_named() -> None:
    for wrong in ({"n_accelerators": ""}, {"nodes": "-1"}):
        with pytest.raises(BadInput):
            predict_minutes([], [{**_resnet(8), **wrong}])
    with pytest.raises(BadInput):
        predict_minutes([_resnet(8, minutes=1, accelerator="abacus")], [])
    (unknown,) = predict_minutes([_resnet(8, minutes="")], [_resnet(8, accelerator="abacus")])
    assert unknown.minutes is None and "abacus" in unknown.note


def test_samples_to_target_grow_with_the_batch() -> None:
    for workload in workloads().values():
        if workload.published:
            batches = np.geomspace(workload.batches[0] / 2, workload.batches[-1] * 2, 50)
            samples = workload.samples_to_target(batches)
            assert np.all(np.diff(samples) >= 0), workload.name
            assert workload.noise_batch() > 0
    assert find_workload("RetinaNet") is find_workload("ssd")


def test_serving_from_the_reference(sample: Path) -> None:
    rows = rows_of(sample, "served.csv")
    known = [row for row in rows if find_device(row.text("accelerator")).name == "H100"]
    asked = [row for row in rows if row not in known]
    errors = []
    for row, answer in zip(asked, predict_serving(known, asked), strict=True):
        assert answer.value and answer.low and answer.high
        errors.append(abs(answer.value / row.required("value") - 1))
    assert float(np.median(errors)) < 0.15
    both = predict_serving(rows, asked)
    close = [
        abs((a.value or 0) / r.required("value") - 1) for r, a in zip(asked, both, strict=True)
    ]
    assert fmean(close) < fmean(errors)


def _served(model: str, accelerator: str, **more: object) -> dict[str, object]:
    return {"model": model, "scenario": "offline", "accelerator": accelerator,
            "n_accelerators": 8, **more}  # fmt: skip


def test_language_models_against_figures_that_are_published_elsewhere() -> None:
    """Llama 2 70B offline, tokens a second an accelerator, MLPerf Inference v4.1."""
    known = [_served("llama2-70b-99", "H100", value=8 * 3017)]
    for device, measured in (("H200", 3990), ("MI300X", 2977), ("GH200", 4076), ("B200", 11264)):
        answer = predict_serving(known, [_served("llama2-70b-99", device)])[0]
        assert answer.value == pytest.approx(8 * measured, rel=0.15), device


def test_serving_of_what_was_never_measured() -> None:
    known = [_served("llama2-70b-99", "H100", value=24000.0)]
    server = predict_serving(known, [_served("llama2-70b-99", "H100", scenario="server")])[0]
    assert server.value and server.value < 24000
    other = predict_serving(known, [_served("mixtral-8x7b", "H100")])[0]
    assert other.value and "other language models" in other.note
    none = predict_serving(known, [_served("resnet50", "H100")])[0]
    assert none.value is None and "no known row" in none.note
    tiny = predict_serving(known, [_served("llama2-70b-99", "T4")])[0]
    assert tiny.value is None or tiny.value < 2000
    huge = decode(find_model("llama3.1-405b"), find_device("T4"))
    assert huge is None
    (unknown,) = predict_serving(known, [_served("resnet50", "abacus")])
    assert unknown.value is None and "abacus" in unknown.note
    for wrong in ({"n_accelerators": "0"}, {"n_accelerators": "x"}):
        with pytest.raises(BadInput):
            predict_serving(known, [_served("llama2-70b-99", "H100", **wrong)])


def _candidates() -> list[dict[str, Any]]:
    types = (("p5.48xlarge", 1), ("p5.48xlarge", 8), ("p5en.48xlarge", 1), ("g6e.24xlarge", 2))
    return [{"workload": "resnet", "instance_type": name, "nodes": nodes} for name, nodes in types]


def test_ranking_orders_by_cost_and_time() -> None:
    ranked = rank_candidates(_candidates(), [_resnet(8, minutes=13.3)])
    assert sorted(one.rank_by_cost or 0 for one in ranked) == [1, 2, 3, 4]
    assert ranked[1].rank_by_time == 1
    assert cheapest(ranked).rank_by_cost == 1
    assert [one.accelerators for one in ranked] == [8, 64, 8, 8]
    again = rank_candidates(_candidates(), [{**_candidates()[0], "minutes": 12.5}])
    assert again[0].minutes == 12.5 and "measured" in again[0].note
    for one in ranked:
        assert one.usd and one.usd_per_hour and one.minutes
        assert float(one.usd) == pytest.approx(
            float(one.usd_per_hour) * one.minutes / 60, abs=0.006
        )


def test_ranking_reads_prices_where_it_is_told() -> None:
    rows: list[dict[str, Any]] = [
        {"workload": "resnet", "instance_type": "pod of v5p at $4.20", "accelerators": 8,
         "accelerator": "TPU-v5p", "nodes": 2},
        {"workload": "resnet", "instance_type": "own", "accelerator": "H100", "accelerators": 8,
         "nodes": 1, "usd_per_hour": "10"},
        {"workload": "resnet", "instance_type": "unpriced", "accelerator": "H100",
         "accelerators": 8, "nodes": 1},
    ]  # fmt: skip
    chip, own, unpriced = rank_candidates(rows)
    assert str(chip.usd_per_hour) == "33.60" and str(own.usd_per_hour) == "10"
    assert unpriced.usd is None and "no list price" in unpriced.note
    with pytest.raises(BadInput):
        cheapest([unpriced])
    for wrong in ({"instance_type": "p99.huge"}, {"instance_type": "odd", "accelerators": 4}):
        with pytest.raises(BadInput):
            rank_candidates([{"workload": "resnet", "nodes": 1, **wrong}])


def test_costs_in_the_question_are_not_read() -> None:
    plain = rank_candidates(_candidates(), [_resnet(8, minutes=13.3)])
    spoilt = [{**row, "usd_per_run_on_demand_us_east_1": "0.01", "minutes_mlperf_v4_0": "1"}
              for row in _candidates()]  # fmt: skip
    assert rank_candidates(spoilt, [_resnet(8, minutes=13.3)]) == plain


def test_spellings_and_unknown_devices() -> None:
    spelt = {
        "NVIDIA H100-SXM5-80GB": "H100", "NVIDIA H100-NVL-94GB": "H100-NVL",
        "NVIDIA A100-SXM4-80GB": "A100-80GB", "AMD Instinct MI300X 192GB HBM3": "MI300X",
        "Intel(R) Gaudi(R) 2 AI Accelerator": "Gaudi2", "NVIDIA L40S": "L40S",
        "NVIDIA GH200-GraceHopper-Superchip-96GB": "GH200", "tpu-v6e": "TPU-v6e",
    }  # fmt: skip
    assert {text: find_device(text).name for text in spelt} == spelt
    with pytest.raises(BadInput, match="abacus"):
        find_device("abacus")
    for device in devices().values():
        assert 0 < device.matmul_tflops <= device.peak_tflops


def test_shapes_of_known_models() -> None:
    layers, width = transformer_shape(np.array([1.3e10, 6.5e10, 1.25e8]), np.array([2048.0] * 3))
    assert layers.tolist() == [40, 80, 12] and width.tolist() == [5120, 8192, 768]


def test_calibration_on_the_sample(sample: Path, tmp_path: Path) -> None:
    measured = read_measured(rows_of(sample, "rates.csv"))
    model = fit(measured)
    log_rate, _, _ = predict_setups(measured.setups, model)
    assert float(np.mean(np.abs(log_rate - measured.log_rate))) < 0.06
    again = Model(
        model.version, type(model.constants).from_json(model.constants.as_json()),
        Residual.from_json(model.residual.as_json()), model.memory_margin, {},
    )  # fmt: skip
    assert np.allclose(predict_setups(measured.setups, again)[0], log_rate, atol=2e-3)
    with pytest.raises(BadInput, match="can't fix the constants"):
        fit(measured.where(lambda name: name == "MPT-70b"))
    with pytest.raises(BadInput):
        calibrate(["--training", str(sample / "served.csv"), "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_the_correction_fades_far_from_anything_measured() -> None:
    residual = shipped_model().residual
    far = np.full((1, len(FEATURES)), 1e3)
    correction, deviation = residual.predict(far)
    assert abs(correction[0]) < 1e-6 and deviation[0] >= residual.amplitude
    empty = Residual(np.zeros((0, len(FEATURES))), np.zeros(0), np.zeros(0), 1.0, 0.1, 1.6)
    assert empty.predict(far)[0][0] == 0 and empty.correction(far)[0] == 0


def test_conformal_quantile_is_corrected_for_the_count() -> None:
    assert conformal_quantile(range(1, 10)) == 9
    assert conformal_quantile(range(1, 100), 0.9) == 90


def test_shipped_files_have_provenance() -> None:
    for provenance in (shipped_model().provenance, shipped_law().provenance or {}):
        assert provenance["rows"] > 90 and provenance["sources"] and provenance["command"]
