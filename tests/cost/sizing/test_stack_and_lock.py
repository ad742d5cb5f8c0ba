"""A whole stack sized, its lock written, read, refused when stale; refits; serving plans."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cost.catalog.model import Offer
from cost.sizing import lock
from cost.sizing.refit import (
    read_measurements,
    read_what_ran,
    refit_service,
    refit_training,
)
from cost.sizing.replicas import ServingPlan, ServingWork, plan_serving
from cost.sizing.serving import find_model
from cost.sizing.stack import as_json, offers_of, size_stack
from cost.sizing.tables import as_rows, read_table, write_table
from infra.core.errors import BadInput, DamagedState, Refused, StaleLock
from infra.spec import PlatformSpec, parse


def a_stack(**more: Any) -> dict[str, Any]:
    return {
        "name": "ranking",
        "environment": "prod",
        "owner": {"team": "ranking", "cost_center": "4711", "contact": "ml@example.com"},
        "sites": {
            "core": {"cloud": "aws", "region": "us-east-1", "cidr": "10.16.0.0/16"},
            "plant": {"cloud": "onprem", "cidr": "10.48.0.0/16", "accelerators": {"A100-80GB": 16}},
            "here": {"cloud": "local"},
        },
        "stores": {"features": {"site": "core"}},
        "streams": {"clicks": {"site": "core", "mib_per_second": 40, "partitions": 48,
                               "retention_hours": 72}},
        "pipelines": {"nightly": {"site": "core", "engine": "airflow", "package": "retrain"}},
        "training": {
            "ranker": {
                "sites": ["plant", "core"],
                "package": "ranker",
                "work": {"parameters": 7_000_000_000, "tokens": 20_000_000_000,
                         "sequence_length": 4096},
                "deadline_hours": 24,
                "preemptible": {"allowed": True, "keep_base_fraction": 0.25},
                "registers": {"model": "ranker"},
            },
            "small": {"sites": ["here"], "package": "small"},
            "vision": {"sites": ["core"], "package": "vision",
                       "work": {"parameters": 25_000_000, "samples": 100_000_000,
                                "gflop_per_sample": 24.6}},
        },
        "endpoints": {
            "ranker": {"sites": ["core"], "model": "models:/ranker@champion", "runtime": "vllm",
                       "slo": {"p95_ms": 30_000, "requests_per_second": 5}},
            "light": {"sites": ["core", "here"], "model": "models:/light@champion",
                      "slo": {"p95_ms": 80, "requests_per_second": 1500, "availability": 0.9995}},
            "quiet": {"sites": ["core"], "model": "models:/quiet@champion"},
            "desk": {"sites": ["here"], "model": "models:/desk@champion",
                     "slo": {"requests_per_second": 5}},
        },
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def spec() -> PlatformSpec:
    return parse(a_stack())


@pytest.fixture(scope="module")
def capacity(spec: PlatformSpec) -> lock.Capacity:
    return size_stack("prod", spec)


def test_everything_declared_has_an_answer(spec: PlatformSpec, capacity: lock.Capacity) -> None:
    assert set(capacity.training) == set(spec.training)
    assert set(capacity.endpoints) == set(spec.endpoints)
    assert set(capacity.streams) == set(spec.streams)
    assert "airflow@core" in capacity.pipelines
    assert capacity.training["small"]["choice"] is None
    assert "nothing to size" in capacity.training["small"]["reasons"][0]
    assert capacity.training["vision"]["choice"]["nodes"] >= 1
    assert "replicas stand" in capacity.endpoints["quiet"]["reasons"][0]
    assert "local" in capacity.endpoints["desk"]["reasons"][0]
    light = capacity.endpoints["light"]["sites"]["core"]
    assert light["choice"]["accelerator"] == "" and light["choice"]["replicas"] >= 2
    assert any("Assumed" in reason for reason in light["reasons"])
    language = capacity.endpoints["ranker"]["sites"]["core"]
    assert language["choice"]["accelerator"] and language["choice"]["usd_per_million_tokens"]


def test_sites_are_taken_in_order_of_preference(capacity: lock.Capacity) -> None:
    ranker = capacity.training["ranker"]
    assert ranker["choice"]["provider"] == "aws" and ranker["meets_deadline"]
    assert any("plant" in reason for reason in ranker["reasons"])
    slack = a_stack()
    slack["training"]["ranker"]["deadline_hours"] = 2000
    own = size_stack("prod", parse(slack)).training["ranker"]["choice"]
    assert own["provider"] == "onprem" and own["usd"] == "0.00"
    assert own["accelerators"] <= 16


def test_own_hardware_is_an_offer(spec: PlatformSpec) -> None:
    (offer,) = offers_of(spec, "plant")
    assert (offer.provider, offer.accelerator, offer.accelerator_count) == (
        "onprem",
        "A100-80GB",
        8,
    )
    assert offers_of(spec, "here") == []


def test_lock_round_trip(spec: PlatformSpec, capacity: lock.Capacity, tmp_path: Path) -> None:
    digest = lock.demand_digest(spec)
    assert lock.read("prod", tmp_path, digest) is None
    path = lock.write(capacity, tmp_path)
    assert path == tmp_path / "stacks" / "capacity.prod.yaml"
    read = lock.read("org/project/prod", tmp_path, digest)
    assert read is not None and read.as_data() == json.loads(as_json(capacity))
    assert path.read_text().startswith("# Written by `mlscale size prod --write`")
    lock.write(size_stack("prod", spec), tmp_path)
    assert lock.read("prod", tmp_path, digest) == read


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("demand_digest", "what the stack asks for"),
        ("catalogue_digest", "the price catalogue"),
        ("model_version", "the sizing model"),
    ],
)
def test_a_stale_lock_is_refused_with_the_way_out(
    field: str, what: str, spec: PlatformSpec, capacity: lock.Capacity, tmp_path: Path
) -> None:
    path = lock.write(capacity, tmp_path)
    data = YAML(typ="safe").load(path)
    data[field] = "other"
    YAML().dump(data, path)
    with pytest.raises(StaleLock) as caught:
        lock.read("prod", tmp_path, lock.demand_digest(spec))
    problem = caught.value.problems[0]
    assert what in problem.message and problem.fix == "mlscale size prod --write"


def test_what_stales_a_lock_and_what_does_not(spec: PlatformSpec) -> None:
    digest = lock.demand_digest(spec)
    owner = {"team": "other", "cost_center": "1", "contact": "x@example.com"}
    assert lock.demand_digest(parse(a_stack(owner=owner))) == digest
    changed = a_stack()
    changed["training"]["ranker"]["deadline_hours"] = 25
    assert lock.demand_digest(parse(changed)) != digest
    changed = a_stack()
    changed["endpoints"]["light"]["slo"]["p95_ms"] = 79
    assert lock.demand_digest(parse(changed)) != digest


@pytest.mark.parametrize("text", ["", "[1, 2]", "format: 9\n", "a: [", "format: 1\nstack: x\n"])
def test_a_damaged_lock_is_said_to_be(text: str, tmp_path: Path) -> None:
    path = lock.path_of("prod", tmp_path)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DamagedState, match="can't be read"):
        lock.read("prod", tmp_path, "x")


def _measured(**more: object) -> dict[str, object]:
    return {"accelerator": "H100", "n_accelerators": 8, "params": 7e9, "seq_len": 4096,
            "micro_batch": 2, "grad_accum": 8, "parallelism": "FSDP", "name": "ranker",
            "activation_checkpointing": "True", **more}  # fmt: skip


def test_what_has_run_refits_the_stack(spec: PlatformSpec, tmp_path: Path) -> None:
    rows = [_measured(tokens_per_s=value) for value in (30_000, 30_600)]
    path = tmp_path / "ran.csv"
    write_table(path, list(rows[0]), [list(row.values()) for row in rows])
    answer = size_stack("prod", spec, path).training["ranker"]
    assert answer["refit"]["configurations"] == 2 and 0.3 < answer["refit"]["factor"] < 1.2
    plain = size_stack("prod", spec).training["ranker"]["choice"]
    refitted = answer["choice"]
    assert refitted["hours_high"] / refitted["hours_low"] < plain["hours_high"] / plain["hours_low"]


def test_prometheus_answers_are_read(tmp_path: Path) -> None:
    labels = {key: str(value) for key, value in _measured().items()}
    path = tmp_path / "ran.json"
    path.write_text(
        json.dumps(
            {"status": "success", "data": {"resultType": "matrix", "result": [
                {"metric": labels, "values": [[0, "29000"], [15, "NaN"], [30, "31000"]]},
                {"metric": labels, "values": [[0, "NaN"]]},
            ]}}
        )
    )  # fmt: skip
    rows = read_measurements(path, "tokens_per_s")
    assert [row.text("tokens_per_s") for row in rows] == ["30000.0"]
    assert refit_training(rows).configurations == 1
    ran, served = read_what_ran(path)
    assert [row.text("tokens_per_s") for row in ran["ranker"]] == ["30000.0"] and not served
    write_table(tmp_path / "nameless.csv", ["name", "batch"], [["", 1]])
    with pytest.raises(BadInput, match="the training or endpoint"):
        read_what_ran(tmp_path / "nameless.csv")
    path.write_text('{"data": 1}')
    with pytest.raises(BadInput, match="Prometheus"):
        read_measurements(path, "tokens_per_s")


def test_refit_of_service_finds_the_line() -> None:
    rows = as_rows([{"batch": b, "batch_ms": 3 + 0.5 * b} for b in (1, 2, 8, 32)])
    fit = refit_service(rows)
    assert fit.fixed_ms == pytest.approx(3) and fit.request_ms == pytest.approx(0.5)
    flat = refit_service(as_rows([{"batch": 4, "batch_ms": 8}, {"batch": 4, "batch_ms": 8}]))
    assert (flat.fixed_ms, flat.request_ms) == (0, 2)
    for nothing in (lambda: refit_service([]), lambda: refit_training([])):
        with pytest.raises(BadInput):
            nothing()


def test_measured_service_time_replaces_the_assumption(spec: PlatformSpec, tmp_path: Path) -> None:
    path = tmp_path / "batches.csv"
    rows = [["light", batch, 1 + 0.1 * batch] for batch in (1, 4, 16, 64)]
    write_table(path, ["name", "batch", "batch_ms"], rows)
    answer = size_stack("prod", spec, path).endpoints["light"]["sites"]["core"]
    assert answer["refit"]["points"] == 4
    assert any("measured over 4 batches" in reason for reason in answer["reasons"])


def test_no_machine_is_fast_enough() -> None:
    with pytest.raises(Refused, match="even when idle"):
        plan_serving(ServingWork(requests_per_second=10, p95_ms=0.1, cpu=True))
    impossible = a_stack()
    impossible["endpoints"]["light"]["slo"]["p95_ms"] = 0.5
    answer = size_stack("prod", parse(impossible)).endpoints["light"]["sites"]["core"]
    assert answer["choice"] is None and "even when idle" in answer["reasons"][0]


def _plan(**more: Any) -> ServingPlan:
    work = {"requests_per_second": 200.0, "p95_ms": 200.0, "request_ms": 1.0, "max_batch": 16}
    return plan_serving(ServingWork(**{**work, **more}))


def test_slices_are_considered_and_priced() -> None:
    plan = _plan(memory_gib=4.0)
    every = (plan.choice, *plan.alternatives)
    assert [one.usd_per_hour for one in every] == sorted(one.usd_per_hour for one in every)
    for one in every:
        assert 1 <= one.least_replicas <= one.replicas <= one.most_replicas
        assert 0 < one.utilisation <= 0.95
        assert one.usd_per_million_requests == pytest.approx(
            one.usd_per_hour / Decimal("0.72"), abs=Decimal("0.01")
        )
    mig = ServingWork(requests_per_second=20.0, p95_ms=200.0, memory_gib=8.0, max_batch=8)
    a100 = _an_a100()
    sliced = plan_serving(mig, [a100])
    assert sliced.choice.slice == "1g.10gb"
    whole = plan_serving(ServingWork(20.0, 200.0, memory_gib=60.0, max_batch=8), [a100])
    assert whole.choice.slice == ""


def _an_a100() -> Offer:
    return Offer(
        "gcp", "us-central1", "a2-ultragpu-1g", "a2-ultragpu", 12, 170.0, "A100-80GB", 1.0, 80.0,
        Decimal("5.07"), None, None, None, None, "test", date(2026, 10, 1), False,
    )  # fmt: skip


def test_language_models_take_as_many_accelerators_as_weights_need() -> None:
    model = find_model("llama2-70b")
    plan = _plan(requests_per_second=5.0, p95_ms=60_000.0, model=model, max_batch=256)
    assert plan.choice.usd_per_million_tokens
    more = _plan(requests_per_second=50.0, p95_ms=60_000.0, model=model, max_batch=256)
    assert more.choice.usd_per_hour > plan.choice.usd_per_hour
    assert more.choice.usd_per_million_tokens and (
        more.choice.usd_per_million_tokens <= plan.choice.usd_per_million_tokens
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "lacks the column c"),
        ("c,c\n", "twice"),
        ("c\n1,2\n", "has 2 cells"),
    ],
)
def test_tables_say_what_is_wrong(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=expected):
        read_table(path, ("c",))
    with pytest.raises(BadInput, match="can't be read"):
        read_table(tmp_path / "none.csv")


def test_tables_are_read_with_a_mark_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffc, d\n1,x\n\n2\n", encoding="utf-8")
    rows = read_table(path, ("c", "d"))
    assert [(row.number("c"), row.text("d"), row.line) for row in rows] == [(1, "x", 2), (2, "", 4)]
    with pytest.raises(BadInput):
        rows[0].number("d")
