"""Capacity that can be taken away: how long a run really takes, how often it should save.

Young 1974, Daly 2006 for the interval; a gang of n nodes stops when any of them is reclaimed.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from cost.catalog.store import load_interruptions

Floats = NDArray[np.float64]

HOURS_A_MONTH = 720.0
_OPEN_BUCKET = 0.30
"""Stands for "more than 20 % a month", which has no upper end."""
UNKNOWN_MONTHLY = 0.15
"""Where no advisor speaks: the middle of the AWS advisor's buckets."""

SAVE_BYTES_PER_SECOND = 1e9
"""Object storage, one node, one way: a tenth of a 100 Gb/s port."""
RESTART_SECONDS = 420.0
"""A new node, an image, a rendezvous: five minutes and two of warming up."""


@cache
def monthly_interruption(provider: str, region: str, instance_type: str) -> float:
    """Share of instances of a type reclaimed in a month: the middle of the advisor's bucket."""
    return _buckets().get((provider, region, instance_type), UNKNOWN_MONTHLY)


@cache
def _buckets() -> dict[tuple[str, str, str], float]:
    return {
        (row.provider, row.region, row.instance_type): (
            _OPEN_BUCKET if row.monthly_high is None else (row.monthly_low + row.monthly_high) / 2
        )
        for row in load_interruptions()
    }


def node_hours_between_interruptions(monthly: Floats | float) -> Floats:
    """Mean hours until one node is reclaimed: -720 / ln(1 - f)."""
    return np.asarray(-HOURS_A_MONTH / np.log1p(-np.asarray(monthly)), dtype=np.float64)


def checkpoint_interval_seconds(save_seconds: Floats, between_seconds: Floats) -> Floats:
    """Daly's interval: sqrt(2 C M) (1 + sqrt(C / 2M) / 3 + (C / 2M) / 9) - C for C < 2 M, else M.

    ``save_seconds`` C of one checkpoint, ``between_seconds`` M mean time between interruptions.
    """
    ratio = save_seconds / (2 * between_seconds)
    series = np.sqrt(2 * save_seconds * between_seconds) * (1 + np.sqrt(ratio) / 3 + ratio / 9)
    daly = np.where(ratio < 1, series - save_seconds, between_seconds)
    return cast("Floats", np.maximum(daly, 1.0))


def expected_seconds(
    work_seconds: Floats,
    save_seconds: Floats,
    between_seconds: Floats,
    restart_seconds: Floats | float,
) -> Floats:
    """Wall-clock seconds of a run with interruptions, at Daly's interval (Daly 2006, eq. 13).

    M exp(R / M) (exp((tau + C) / M) - 1) T / tau. Infinite where the run can't get anywhere.
    """
    interval = np.minimum(checkpoint_interval_seconds(save_seconds, between_seconds), work_seconds)
    with np.errstate(over="ignore"):
        return (
            between_seconds
            * np.exp(restart_seconds / between_seconds)
            * np.expm1((interval + save_seconds) / between_seconds)
            * work_seconds
            / interval
        )


def spot_wins(
    spot_usd: float, on_demand_usd: float, spot_hours: float, on_demand_hours: float
) -> bool:
    """Spot is cheaper for the whole run iff its price share is below the share of time it loses."""
    return spot_usd / on_demand_usd < on_demand_hours / spot_hours
