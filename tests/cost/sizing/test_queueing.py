"""Erlang C against its definition, and replicas against a simulation."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost.sizing.queueing import erlang_c, servers_for, wait_probability
from cost.sizing.replicas import Replicas, ServiceTime, ServingWork, replicas_for, spares
from infra.core.errors import BadInput
from tests.cost.sizing.simulation import TRACES, Server, continuous_latencies, latencies


def by_definition(servers: int, load: Fraction) -> float:
    top = load**servers / math.factorial(servers) * servers / (servers - load)
    below = sum(load**k / math.factorial(k) for k in range(servers))
    return float(top / (below + top))


@given(servers=st.integers(1, 60), hundredths=st.integers(0, 99))
def test_erlang_c_equals_its_definition(servers: int, hundredths: int) -> None:
    load = Fraction(servers * hundredths, 100)
    assert erlang_c(servers, float(load)) == pytest.approx(by_definition(servers, load), rel=1e-9)


def test_erlang_c_at_its_edges() -> None:
    assert erlang_c(1, 0.5) == pytest.approx(0.5)
    assert erlang_c(10, 10.0) == erlang_c(3, 50.0) == 1.0
    assert 0 < erlang_c(20_000, 19_800.0) < 1
    with pytest.raises(BadInput):
        erlang_c(0, 1.0)


@settings(deadline=None)
@given(
    rate=st.floats(0.1, 5000),
    service=st.floats(1e-3, 2),
    wait=st.floats(0, 2),
    late=st.sampled_from([0.05, 0.01, 0.001]),
)
def test_servers_are_enough_and_not_one_too_many(
    rate: float, service: float, wait: float, late: float
) -> None:
    servers = servers_for(rate, service, wait, late)
    load = rate * service
    assert wait_probability(servers, load, wait, service) <= late
    if servers > 1:
        assert wait_probability(servers - 1, load, wait, service) > late


@pytest.mark.parametrize(
    ("rate", "service", "late"), [(math.nan, 1, 0.1), (-1, 1, 0.1), (1, 1, 0), (1, math.inf, 0.1)]
)
def test_nonsense_is_refused(rate: float, service: float, late: float) -> None:
    with pytest.raises(BadInput):
        servers_for(rate, service, 0.1, late)
    with pytest.raises(BadInput):
        servers_for(1e9, 1, 0, 0.01, most=1000)


CASES: dict[str, dict[str, Any]] = {
    "one at a time": {"max_batch": 1, "fixed_ms": 0.0, "request_ms": 20.0, "p95_ms": 100.0},
    "batches": {"max_batch": 16, "fixed_ms": 8.0, "request_ms": 1.0, "p95_ms": 80.0},
    "tight": {"max_batch": 8, "fixed_ms": 5.0, "request_ms": 2.0, "p95_ms": 60.0, "p99_ms": 90.0},
    "heavy tail": {"max_batch": 4, "fixed_ms": 10.0, "request_ms": 5.0, "p95_ms": 250.0,
                   "service_variation": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rate", [20.0, 400.0])
def test_replicas_are_never_too_few(trace: str, case: str, rate: float) -> None:
    work = ServingWork(requests_per_second=rate, **CASES[case])
    found = _replicas(work)
    server = Server(
        found.batch,
        work.max_delay_ms / 1000 if found.batch > 1 else 0.0,
        work.fixed_ms / 1000,
        work.request_ms / 1000,
        work.service_variation,
    )
    for seed in range(2):
        rng = np.random.default_rng(seed)
        seconds = min(40_000 / rate, 400.0)
        took = latencies(TRACES[trace](rate, seconds, rng), found.count, server, rng)
        for limit, quantile in ((work.p95_ms, 95), (work.p99_ms, 99)):
            if limit is not None:
                assert np.percentile(took, quantile) <= limit / 1000


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize(("rate", "p95_ms"), [(2.0, 6000.0), (20.0, 3000.0), (60.0, 8000.0)])
def test_generating_replicas_are_never_too_few(trace: str, rate: float, p95_ms: float) -> None:
    service = ServiceTime(1.0, 0.016, 64, continuous=True)
    work = ServingWork(requests_per_second=rate, p95_ms=p95_ms)
    found = replicas_for(work, service)
    assert found is not None
    assert found.count <= 3 * rate * service.seconds(found.batch) / found.batch + 1
    server = Server(found.batch, 0.0, service.fixed, service.each, work.service_variation)
    rng = np.random.default_rng(3)
    arrivals = TRACES[trace](rate, 2500 / rate, rng)
    took = continuous_latencies(arrivals, found.count, server, rng)
    assert np.percentile(took, 95) <= p95_ms / 1000
    if trace == "poisson" and found.count > 1:  # the simulation can fail
        fewer = continuous_latencies(arrivals, max(found.count // 3, 1), server, rng)
        assert np.percentile(fewer, 95) > p95_ms / 1000


def _replicas(work: ServingWork) -> Replicas:
    service = ServiceTime(work.fixed_ms / 1000, work.request_ms / 1000, work.max_batch)
    found = replicas_for(work, service)
    assert found is not None
    return found


def test_not_absurdly_many_either() -> None:
    """Large pools: at most half again of what the load alone asks for."""
    work = ServingWork(requests_per_second=5000.0, **CASES["batches"])
    found = _replicas(work)
    mean = (work.fixed_ms + found.batch * work.request_ms) / 1000
    assert found.count <= 1.5 * 5000 * mean / found.batch + 2


def test_one_replica_fewer_than_the_load_drowns() -> None:
    """The simulation can fail: below the load the queue grows without bound."""
    work = ServingWork(requests_per_second=400.0, **CASES["one at a time"])
    rng = np.random.default_rng(1)
    server = Server(1, 0.0, 0.0, 0.02, 0.5)
    took = latencies(TRACES["poisson"](400.0, 100.0, rng), 7, server, rng)
    assert np.percentile(took, 95) > 1
    assert _replicas(work).count > 8


def test_too_slow_when_idle() -> None:
    work = ServingWork(requests_per_second=1.0, p95_ms=5.0)
    assert replicas_for(work, ServiceTime(0.1, 0.001, 4)) is None


def test_spares_follow_from_availability() -> None:
    assert spares(1, 0.9) == 0
    assert spares(1, 0.9999) == 1
    assert spares(100, 0.999) >= 3
    assert spares(10, 0.99999) > spares(10, 0.999)


@pytest.mark.parametrize("wrong", [{"requests_per_second": 0}, {"p95_ms": -1}, {"max_batch": 0}])
def test_nonsense_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        ServingWork(**{"requests_per_second": 1.0, **wrong})
