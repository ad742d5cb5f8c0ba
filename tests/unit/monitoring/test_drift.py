"""Drift measures against scipy and against their own properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from workloads.monitoring.drift import kolmogorov_smirnov, psi, psi_of_counts, quantile_edges

samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array)


@given(samples, samples)
@settings(max_examples=200, deadline=None)
def test_ks_statistic_is_scipys(first: np.ndarray, second: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        expected = ks_2samp(first, second, method="asymp")
    result = kolmogorov_smirnov(first, second)
    assert result.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert 0 <= result.p_value <= 1


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_ks_p_value_is_near_the_exact_one(shift: float) -> None:
    generator = np.random.default_rng(7)
    first, second = generator.normal(size=400), generator.normal(shift, size=300)
    expected = ks_2samp(first, second, method="exact").pvalue
    assert kolmogorov_smirnov(first, second).p_value == pytest.approx(expected, rel=0.05, abs=2e-3)


@given(samples)
@settings(max_examples=100, deadline=None)
def test_nothing_moved_is_zero(sample: np.ndarray) -> None:
    assert psi(sample, sample) == 0
    assert kolmogorov_smirnov(sample, sample).statistic == 0


def test_psi_of_known_shares() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert psi_of_counts(np.array([50, 50]), np.array([6, 4])) == pytest.approx(0.0405465, abs=1e-7)
    assert psi_of_counts(np.array([50, 0]), np.array([0, 50])) > 9


def test_psi_grows_with_the_shift_and_ignores_nan() -> None:
    generator = np.random.default_rng(1)
    reference = generator.normal(size=5000)
    values = [psi(reference, reference + shift) for shift in (0.05, 0.3, 1.0)]
    assert values == sorted(values)
    assert values[0] < 0.1
    assert values[2] > 0.25
    with_gaps = np.concatenate([reference, [np.nan, np.inf]])
    assert psi(reference, with_gaps) == pytest.approx(0, abs=1e-12)
    assert len(quantile_edges(np.array([1.0, 1.0, 1.0]))) == 1


def test_empty_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no finite values"):
        psi(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="same bins"):
        psi_of_counts(np.array([1, 2]), np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="same bins"):
        psi_of_counts(np.array([0, 0]), np.array([1, 2]))
