"""Fleets against brute force; spot, streams, Spark and Airflow against their formulas."""

from __future__ import annotations

import itertools
import math
import random
import time
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost.sizing.fleet import FleetWorkload, Option, plan_fleet
from cost.sizing.spot import (
    checkpoint_interval_seconds,
    expected_seconds,
    monthly_interruption,
    node_hours_between_interruptions,
    spot_wins,
)
from cost.sizing.streams import BROKERS, size_airflow, size_spark, size_stream
from infra.core.errors import BadInput, Refused


def a_fleet(count: int, options: int, seed: int) -> list[FleetWorkload]:
    rng = random.Random(seed)
    return [
        FleetWorkload(
            f"w{index}",
            [
                Option(
                    rng.choice(["h100", "a100", "l4"]),
                    rng.choice([1, 2, 4, 8]),
                    Decimal(rng.randrange(100, 10_000)) / 100,
                    rng.uniform(1, 20),
                )
                for _ in range(options)
            ],
        )
        for index in range(count)
    ]


def _cost(chosen: tuple[Option, ...], reserved: dict[str, int]) -> Decimal:
    left, usd = dict(reserved), Decimal(0)
    for option in sorted(chosen, key=lambda one: one.usd / one.accelerators, reverse=True):
        free = min(left.get(option.pool, 0), option.accelerators)
        left[option.pool] = left.get(option.pool, 0) - free
        usd += option.usd * (option.accelerators - free) / option.accelerators
    return usd


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), quota=st.integers(2, 16), reserved=st.integers(0, 6))
def test_fleet_equals_brute_force(seed: int, quota: int, reserved: int) -> None:
    fleet = a_fleet(3, 4, seed)
    quotas = {"h100": quota, "a100": quota, "l4": quota}
    held = {"h100": reserved}
    best: Decimal | None = None
    for chosen in itertools.product(*(one.options for one in fleet)):
        used = {pool: sum(o.accelerators for o in chosen if o.pool == pool) for pool in quotas}
        if all(used[pool] <= quotas[pool] for pool in quotas):
            cost = _cost(chosen, held)
            best = cost if best is None else min(best, cost)
    if best is None:
        with pytest.raises(Refused):
            plan_fleet(fleet, quotas, reservations=held)
        return
    plan = plan_fleet(fleet, quotas, reservations=held)
    assert float(plan.usd) == pytest.approx(float(best), abs=0.02)
    assert all(count <= quotas[pool] for pool, count in plan.used.items())


def test_fifty_workloads_within_ten_seconds() -> None:
    fleet = a_fleet(50, 20, 7)
    started = time.process_time()
    plan = plan_fleet(
        fleet, {"h100": 60, "a100": 60, "l4": 60}, reservations={"h100": 16}, budget_usd=5000.0
    )
    assert time.process_time() - started < 10
    assert set(plan.chosen) == {one.name for one in fleet}
    assert plan.reserved["h100"] <= 16 and float(plan.usd) <= 5000.01


def test_fleet_refusals_say_why() -> None:
    late = FleetWorkload("late", [Option("h100", 8, Decimal(10), 9.0)], deadline_hours=1.0)
    with pytest.raises(Refused, match="late has no option within 1 h"):
        plan_fleet([late], {"h100": 8})
    with pytest.raises(Refused, match="at the very least"):
        plan_fleet(a_fleet(3, 2, 1), {})
    with pytest.raises(Refused, match="budget"):
        plan_fleet(a_fleet(2, 3, 1), {"h100": 99, "a100": 99, "l4": 99}, budget_usd=0.01)
    with pytest.raises(BadInput):
        plan_fleet([late, late], {"h100": 99})


def test_checkpoint_interval_is_the_best_there_is() -> None:
    """Daly's interval is within a per cent of the numeric optimum of his own expected time."""
    for save, between in ((10.0, 3600.0), (60.0, 20_000.0), (300.0, 7200.0)):
        at = np.geomspace(save / 5, between * 3, 4000)
        wall = between * np.expm1((at + save) / between) / at
        tau = checkpoint_interval_seconds(np.array(save), np.array(between))
        mine = between * np.expm1((float(tau) + save) / between) / float(tau)
        assert mine <= 1.01 * wall.min()


def test_expected_time_against_a_simulation() -> None:
    rng = np.random.default_rng(3)
    work, save, between, restart = 20_000.0, 60.0, 5000.0, 300.0
    tau = float(checkpoint_interval_seconds(np.array(save), np.array(between)))
    walls = [_simulated(rng, (work, save, between, restart, tau)) for _ in range(400)]
    expected = expected_seconds(np.array(work), np.array(save), np.array(between), restart)
    assert float(expected) == pytest.approx(float(np.mean(walls)), rel=0.06)


def _simulated(rng: np.random.Generator, run: tuple[float, float, float, float, float]) -> float:
    work, save, between, restart, tau = run
    wall = done = 0.0
    failure = rng.exponential(between)
    while done < work:
        segment = min(tau, work - done) + save
        if wall + segment <= failure:
            wall, done = wall + segment, done + segment - save
            continue
        wall = failure
        while True:  # a restart can be interrupted too
            failure = wall + rng.exponential(between)
            if wall + restart <= failure:
                wall += restart
                break
            wall = failure
    return wall


def test_spot_facts() -> None:
    assert monthly_interruption("aws", "us-east-1", "p5.48xlarge") == 0.30
    assert monthly_interruption("gcp", "nowhere", "x") == 0.15
    hours = float(node_hours_between_interruptions(0.05))
    assert hours == pytest.approx(-720 / math.log(0.95))
    assert spot_wins(3.0, 10.0, 15.0, 10.0) and not spot_wins(8.0, 10.0, 15.0, 10.0)


@given(rate=st.floats(0.1, 2000), hours=st.floats(1, 1000), partitions=st.integers(1, 3000))
def test_streams_carry_what_is_asked(rate: float, hours: float, partitions: int) -> None:
    size = size_stream(rate, hours, partitions=partitions)
    kind = next(one for one in BROKERS if one.name == size.broker_type)
    assert size.brokers % 3 == 0 and size.brokers * kind.mib_per_second >= rate * (1 - 1e-12)
    assert size.brokers * kind.partitions >= size.partitions * 3
    assert size.partitions >= partitions and size.partitions * 5.0 >= rate
    assert size.brokers * size.disk_gib >= rate * hours * 3600 * 3 / 1024
    assert size.throughput_units >= rate * 1.04


@given(data=st.floats(0.1, 1e5), minutes=st.floats(1, 600))
def test_spark_meets_the_deadline(data: float, minutes: float) -> None:
    size = size_spark(data, minutes)
    cores = size.executors * size.cores
    assert data * 1024 / (25 * cores) <= minutes * 60
    assert size.shuffle_partitions % cores == 0 and size.memory_gib >= 8


def test_airflow_runs_what_starts_together() -> None:
    small, large = size_airflow(12, 5), size_airflow(1200, 10, dags=80)
    assert small.workers == 1 and small.schedulers == 1
    assert large.slots >= 200 and large.workers * 16 >= large.slots and large.schedulers == 2


def test_sizes_of_nonsense_are_refused() -> None:
    for wrong in (
        lambda: size_stream(0, 1),
        lambda: size_spark(0, 1),
        lambda: size_airflow(1, 0),
    ):
        with pytest.raises(BadInput):
            wrong()
