"""The planner equals brute force, is deterministic, fast, and says why."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cost.catalog.model import Offer
from cost.catalog.store import find_offer, load_offers
from cost.sizing.hardware import find_device
from cost.sizing.planner import TrainingPlan, plan_training, save_seconds
from cost.sizing.space import NodeKind, TrainingWork, as_columns, node_kind
from cost.sizing.spot import (
    RESTART_SECONDS,
    expected_seconds,
    monthly_interruption,
    node_hours_between_interruptions,
)
from cost.sizing.steptime import fits, step_seconds
from cost.sizing.throughput import features, shipped_model
from infra.core.errors import BadInput, Refused

_COUNTS = (1, 2, 3, 8)


def an_offer(
    accelerator: str, count: int, usd: str, spot: str | None = None, **more: object
) -> Offer:
    fields: dict[str, object] = {
        "provider": "aws",
        "region": "us-east-1",
        "instance_type": f"{accelerator}x{count}",
        "family": "test",
        "vcpus": 8,
        "memory_gib": 64.0,
        "accelerator": accelerator,
        "accelerator_count": float(count),
        "accelerator_memory_gib": None,
        "on_demand_usd_per_hour": Decimal(usd),
        "spot_usd_per_hour": Decimal(spot) if spot else None,
        "spot_min_usd_per_hour": None,
        "spot_max_usd_per_hour": None,
        "network_gbps": 400.0,
        "source": "test",
        "as_of": date(2026, 10, 1),
        "derived": False,
    }
    return Offer(**{**fields, **more})  # type: ignore[arg-type]


def brute_force(work: TrainingWork, offers: list[Offer]) -> list[tuple[float, float]]:
    """(hours, USD) of every offer, count, layout and purchase."""
    found = []
    for offer, nodes in itertools.product(offers, _COUNTS):
        for seconds in _all_seconds(work, offer, nodes):
            price = float(offer.on_demand_usd_per_hour)
            found.append((seconds / 3600, price * nodes * seconds / 3600))
            base = int(np.ceil(nodes * work.keep_base_fraction - 1e-9))
            if not work.spot or not offer.spot_usd_per_hour or base == nodes:
                continue
            monthly = monthly_interruption(offer.provider, offer.region, offer.instance_type)
            between = node_hours_between_interruptions(monthly) * 3600 / (nodes - base)
            save = save_seconds(work.parameters, np.array([float(nodes)]))
            wall = expected_seconds(np.array([seconds]), save, between, RESTART_SECONDS + save)
            hourly = price * base + float(offer.spot_usd_per_hour) * (nodes - base)
            found.append((float(wall[0]) / 3600, hourly * float(wall[0]) / 3600))
    return found


def _all_seconds(work: TrainingWork, offer: Offer, nodes: int) -> list[float]:
    """Seconds of the whole run for every layout that is legal and fits, one by one."""
    kind = node_kind(offer)
    assert kind is not None
    device, count = find_device(kind.device), nodes * kind.accelerators
    if not device.runs(work.precision) or count > work.max_accelerators:
        return []
    legal = []
    axes = ((1, 2, 4, 8), (1, 2, 4, 8, 16), (1, 2, 4, 8, 16, 32), (1, 3), (0, 1))
    for tensor, pipeline, micro, zero, again in itertools.product(*axes):
        replicas, left = divmod(count, tensor * pipeline)
        if left or tensor > kind.accelerators or work.batch % (replicas * micro):
            continue
        if zero == 1 or tensor * pipeline == 1:
            accumulation = work.batch // (replicas * micro)
            legal.append((micro, accumulation, replicas, tensor, pipeline, zero, again))
    if not legal:
        return []
    names = ("micro_batch", "accumulation", "data", "tensor", "pipeline", "zero", "recompute")
    table = np.array(legal, dtype=np.float64)
    picked = {name: table[:, place] for place, name in enumerate(names)}
    model = shipped_model()
    columns = as_columns(work, model, [kind], np.zeros(len(legal), dtype=np.int64), picked)
    correction, _ = model.residual.predict(features(columns, [device] * len(legal)))
    steps = step_seconds(columns, model.constants) * np.exp(-correction)
    inside = fits(columns)
    return [
        float(steps[i]) * work.steps
        for i in range(len(legal))
        if inside[i]
        and columns.layers[i] % columns.pipeline[i] == 0
        and columns.width[i] % (columns.tensor[i] * 64) == 0
    ]


def front_of(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    front: list[tuple[float, float]] = []
    for hours, usd in sorted(points):
        if not front or usd < front[-1][1]:
            front.append((hours, usd))
    return front


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parameters=st.sampled_from([1.25e8, 1.3e9, 7e9, 1.3e10]),
    sequence=st.sampled_from([512, 2048]),
    batch=st.sampled_from([48, 64, 256]),
    kinds=st.lists(
        st.tuples(
            st.sampled_from(["H100", "A100-40GB", "L4", "T4"]), st.sampled_from([1, 2, 4, 8])
        ),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    spot=st.booleans(),
    base=st.sampled_from([0.0, 0.25, 1.0]),
)
def test_equals_brute_force(
    parameters: float,
    sequence: int,
    batch: int,
    kinds: list[tuple[str, int]],
    spot: bool,
    base: float,
) -> None:
    work = TrainingWork(
        parameters, 1e9, sequence, batch, spot=spot, keep_base_fraction=base, max_accelerators=32
    )
    offers = [an_offer(name, count, f"{count}.37", f"0.{count}9") for name, count in kinds]
    expected = front_of(brute_force(work, offers))
    if not expected:
        with pytest.raises(Refused):
            plan_training(work, offers, counts=_COUNTS)
        return
    plan = plan_training(work, offers, counts=_COUNTS)
    assert len(plan.front) == len(expected)
    for choice, (hours, usd) in zip(plan.front, expected, strict=True):
        assert choice.hours == pytest.approx(hours, rel=1e-9)
        assert float(choice.usd) == pytest.approx(usd, abs=0.0051)
    assert float(plan.choice.usd) == pytest.approx(expected[-1][1], abs=0.0051)


def _seven_billion(**more: object) -> TrainingWork:
    return replace(TrainingWork(7e9, 2e10, 4096, deadline_hours=24.0), **more)  # type: ignore[arg-type]


def test_deterministic() -> None:
    shuffled = list(load_offers())
    shuffled.reverse()
    first, again = (plan_training(_seven_billion(spot=True)) for _ in range(2))
    assert first == again
    assert plan_training(_seven_billion(spot=True), shuffled).choice.usd == first.choice.usd


def test_full_search_within_two_seconds_of_one_core() -> None:
    offers, work = load_offers(), _seven_billion(spot=True, keep_base_fraction=0.25)
    providers = {one.provider for one in offers if one.accelerator}
    assert providers == {"aws", "gcp", "azure"}
    plan_training(work, offers)
    started = time.process_time()
    plan_training(work, offers)
    assert time.process_time() - started < 2


def _p5() -> list[Offer]:
    offer = find_offer("aws", "us-east-1", "p5.48xlarge")
    assert offer is not None
    return [offer]


def test_deadline_and_budget_decide() -> None:
    free = plan_training(_seven_billion(deadline_hours=0.0), _p5())
    tight = plan_training(_seven_billion(deadline_hours=free.choice.hours / 3), _p5())
    assert tight.meets_deadline and tight.choice.hours_high <= tight.work.deadline_hours
    assert tight.choice.usd >= free.choice.usd
    assert tight.choice.nodes > free.choice.nodes
    impossible = plan_training(_seven_billion(deadline_hours=0.001), _p5())
    assert not impossible.meets_deadline
    assert "is missed" in impossible.reasons[0]
    poor = plan_training(_seven_billion(deadline_hours=24.0, budget_usd=1.0), _p5())
    assert poor.meets_deadline and not poor.within_budget
    assert "budget" in poor.reasons[0]


def _ordered(plan: TrainingPlan) -> bool:
    hours = [one.hours for one in plan.front]
    usd = [one.usd for one in plan.front]
    return hours == sorted(hours) and usd == sorted(usd, reverse=True)


def test_money_is_decimal_and_intervals_hold_the_figure() -> None:
    plan = plan_training(_seven_billion(spot=True))
    assert _ordered(plan)
    for one in (plan.choice, *plan.front):
        assert isinstance(one.usd, Decimal) and isinstance(one.usd_per_hour, Decimal)
        assert one.hours_low <= one.hours <= one.hours_high
        assert one.usd_low <= one.usd <= one.usd_high
        assert one.data * one.tensor * one.pipeline == one.accelerators
        assert one.memory_share <= 1


def test_reasons_say_larger_or_more_with_numbers() -> None:
    offers = [an_offer("H100", 8, "55.04"), an_offer("H100", 1, "6.00")]
    cheap_small = plan_training(_seven_billion(global_batch=512), offers)
    text = " ".join(cheap_small.reasons)
    assert "achines: nodes of" in text and "USD an accelerator and hour" in text
    assert "Memory:" in text and "Network:" in text
    stale = plan_training(_seven_billion(), [an_offer("H100", 8, "50", as_of=date(2020, 1, 1))])
    assert any("stale" in reason for reason in stale.reasons)
    spot = plan_training(_seven_billion(spot=True), [an_offer("H100", 8, "50", "10")])
    assert spot.choice.spot and any(reason.startswith("Spot:") for reason in spot.reasons)


def test_large_model_is_split_and_small_memory_refused() -> None:
    big = TrainingWork(1.75e11, 1e10, 2048, 1536)
    plan = plan_training(big, [an_offer("A100-80GB", 8, "27.45")], counts=(8, 16, 64))
    assert plan.choice.tensor * plan.choice.pipeline > 1 or plan.choice.zero == 3
    with pytest.raises(Refused, match="fits on nothing"):
        plan_training(big, [an_offer("L4", 1, "0.8")], counts=(1, 2, 4))


def test_number_formats_need_hardware_that_knows_them() -> None:
    with pytest.raises(Refused):
        plan_training(_seven_billion(), [an_offer("T4", 4, "3.9")])
    with pytest.raises(Refused):
        plan_training(_seven_billion(precision="fp8"), [an_offer("A100-80GB", 8, "27")])
    bf16 = plan_training(_seven_billion(), _p5())
    fp8 = plan_training(_seven_billion(precision="fp8"), _p5())
    fp32 = plan_training(_seven_billion(precision="fp32"), _p5())
    assert fp8.choice.usd < bf16.choice.usd < fp32.choice.usd


def test_refit_moves_and_narrows() -> None:
    plain = plan_training(_seven_billion(), _p5())
    slow = plan_training(_seven_billion(efficiency=0.5, efficiency_deviation=0.03), _p5())
    assert (
        slow.choice.step_seconds
        > 1.9 * plain.choice.step_seconds * (plain.choice.nodes / slow.choice.nodes) * 0.5
    )

    def spread(plan: TrainingPlan) -> float:
        return plan.choice.hours_high / plan.choice.hours_low

    assert spread(slow) < spread(plain)


@pytest.mark.parametrize(
    "wrong", [{"parameters": 0}, {"tokens": -1}, {"keep_base_fraction": 1.5}, {"efficiency": 0}]
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        _seven_billion(**wrong)


def test_fractions_and_cpus_are_no_nodes() -> None:
    assert node_kind(an_offer("L4", 1, "1", accelerator_count=0.5)) is None
    assert node_kind(an_offer("", 0, "1")) is None
    assert node_kind(an_offer("H100", 8, "1")) == NodeKind("H100", 8, 50.0)
