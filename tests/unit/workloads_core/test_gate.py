"""Gates on metrics."""

from __future__ import annotations

import math

import pytest

from infra.core.errors import BadInput
from workloads.registry.gate import broken_bounds


def test_bounds_are_inclusive() -> None:
    assert broken_bounds({"accuracy_min": 0.97, "loss_max": 0.1}, METRICS) == []
    assert broken_bounds({}, METRICS) == []


METRICS = {"accuracy": 0.97, "loss": 0.1}


def test_each_broken_bound_is_named_with_both_numbers() -> None:
    broken = broken_bounds({"accuracy_min": 0.98, "loss_max": 0.05}, METRICS)
    assert [(problem.path, problem.message, problem.expected) for problem in broken] == [
        ("gate.accuracy_min", "accuracy is 0.97", "at least 0.98"),
        ("gate.loss_max", "loss is 0.1", "at most 0.05"),
    ]


def test_nan_passes_no_gate() -> None:
    metrics = {"accuracy": math.nan, "loss": math.nan}
    assert len(broken_bounds({"accuracy_min": 0.0, "loss_max": 9.0}, metrics)) == 2


def test_a_bound_that_names_no_metric() -> None:
    with pytest.raises(BadInput, match=r"did you mean 'accuracy_min'.*expected one of"):
        broken_bounds({"acuracy_min": 0.9}, METRICS)
