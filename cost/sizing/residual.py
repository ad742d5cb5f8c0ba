"""What the physics misses: a Gaussian process on the logarithm of measured over modelled rate.

Features are physical (size, sequence, tokens in a pass, recomputation, nodes, generation of the
accelerator, share of memory in use), so that what is learned on one model carries over to its
neighbours and fades to no correction, with a wide interval, far from anything measured.
Rasmussen and Williams 2006, chapter 2; Student-t noise by reweighting (Lange 1989), since a few
published rows are off by a quarter for reasons that no column tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES: Mapping[str, float] = {
    "log_parameters": 2.5,
    "log_sequence": 1.5,
    "log_tokens_in_pass": 1.2,
    "recompute": 1.0,
    "log2_nodes": 4.0,
    "ampere_or_older": 1.0,
    "small_memory": 1.5,
    "memory_share": 0.4,
    "eight_bit": 1.0,
}
"""Feature -> distance over which two configurations stop resembling each other (prior)."""

_PRIOR = np.log([1.0, 0.05, 0.02])
_PRIOR_WIDTH = np.array([0.4, 0.5, 0.5])
_FREEDOM = 3.0
_ROUNDS = 4
_WIDEST_LOG = 30.0


@dataclass(frozen=True)
class Residual:
    """A fitted correction. ``points`` [n, features], ``weights`` and ``noise`` [n]; ``scale``
    multiplies the distances of ``FEATURES``, ``amplitude`` is in log units; ``quantile`` turns
    a standard deviation into half of a 90 % interval (conformal, see ``calibrate``)."""

    points: Floats
    weights: Floats
    noise: Floats
    scale: float
    amplitude: float
    quantile: float

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """(correction, standard deviation) in log units for features [m, features]."""
        if not len(self.points):
            return np.zeros(len(features)), np.full(len(features), self.amplitude)
        cross = _kernel(features, self.points, self.scale, self.amplitude)
        own = _kernel(self.points, self.points, self.scale, self.amplitude)
        factor = np.linalg.cholesky(own + np.diag(self.noise))
        half = np.linalg.solve(factor, cross.T)
        variance = self.amplitude**2 - np.sum(half**2, axis=0) + np.median(self.noise)
        return cross @ self.weights, np.sqrt(np.maximum(variance, 1e-8))

    def correction(self, features: Floats) -> Floats:
        """The correction alone, for many features."""
        if not len(self.points):
            return np.zeros(len(features))
        return _kernel(features, self.points, self.scale, self.amplitude) @ self.weights

    def as_json(self) -> dict[str, Any]:
        """Plain data; features to four digits, which is finer than any of them is known."""
        return {
            "features": list(FEATURES),
            "points": [[float(f"{value:.5g}") for value in point] for point in self.points],
            "weights": [float(f"{value:.6g}") for value in self.weights],
            "noise": [float(f"{value:.6g}") for value in self.noise],
            "scale": float(f"{self.scale:.6g}"),
            "amplitude": float(f"{self.amplitude:.6g}"),
            "quantile": float(f"{self.quantile:.6g}"),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Residual:
        """Inverse of ``as_json``."""
        return cls(
            np.array(data["points"], dtype=np.float64).reshape(-1, len(FEATURES)),
            np.array(data["weights"], dtype=np.float64),
            np.array(data["noise"], dtype=np.float64),
            data["scale"],
            data["amplitude"],
            data["quantile"],
        )


def _kernel(left: Floats, right: Floats, scale: float, amplitude: float) -> Floats:
    reach = np.array(list(FEATURES.values())) * scale
    near, far = left / reach, right / reach
    gap = np.sum(near**2, axis=1)[:, None] + np.sum(far**2, axis=1)[None, :] - 2 * near @ far.T
    return cast("Floats", amplitude**2 * np.exp(-0.5 * np.maximum(gap, 0.0)))


def fit(features: Floats, residuals: Floats, quantile: float = 1.645) -> Residual:
    """The correction for log(measured / modelled) [n] at features [n, features].

    Distance scale, amplitude and noise maximise the marginal likelihood under a log-normal prior;
    each row's noise is then set from how far it stands off. Deterministic.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    weight = np.ones(len(residuals))

    def loss(logs: Floats) -> float:
        scale, amplitude, noise = np.exp(np.clip(logs, -_WIDEST_LOG, _WIDEST_LOG))
        covariance = _kernel(features, features, scale, amplitude)
        covariance[np.diag_indices_from(covariance)] += noise**2 / weight
        factor = cho_factor(covariance, lower=True)
        fitted = residuals @ cho_solve(factor, residuals)
        prior = np.sum(((logs - _PRIOR) / _PRIOR_WIDTH) ** 2)
        return float(0.5 * (fitted + prior) + np.sum(np.log(np.diag(factor[0]))))

    logs = _PRIOR
    for _ in range(_ROUNDS):
        logs = minimize(loss, logs, method="L-BFGS-B").x
        scale, amplitude, noise = (float(value) for value in np.exp(logs))
        covariance = _kernel(features, features, scale, amplitude)
        spread = noise**2 / weight
        weights = np.linalg.solve(covariance + np.diag(spread), residuals)
        off = (residuals - covariance @ weights) / noise
        weight = (_FREEDOM + 1) / (_FREEDOM + off**2)
    return Residual(
        features, np.asarray(weights, dtype=np.float64), spread, scale, amplitude, quantile
    )


def conformal_quantile(scores: Sequence[float] | Floats, coverage: float = 0.9) -> float:
    """The score that ``coverage`` of new ones stay below (split conformal, Vovk 2005).

    ``scores`` are |error| over predicted deviation on rows that the fit had not seen; the rank is
    corrected for their number.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = int(np.ceil((len(ordered) + 1) * coverage)) - 1
    return float(ordered[min(rank, len(ordered) - 1)])
