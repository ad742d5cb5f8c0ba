"""Days on which a cost left its custom, and what drove them.

A robust z-score on the residual from the weekday's own median: ``(x - median) / (1.4826 MAD)``,
flagged beyond 3.5 (Iglewicz and Hoaglin 1993). The scale has a floor, since a service that costs
the same every day has no spread and any cent would be an outlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from typing import Final

THRESHOLD: Final = 3.5
_MAD_TO_SIGMA: Final = 1.4826
_SCALE_FLOOR: Final = 0.05  # of what is expected
_MIN_DAYS: Final = 7
_SAME_WEEKDAYS: Final = 3

Series = Mapping[date, Decimal]


@dataclass(frozen=True)
class Driver:
    """One part of an anomaly: which resource, workload or region, and how much it is over."""

    what: str
    excess: Decimal


@dataclass(frozen=True)
class Anomaly:
    """Consecutive days on which ``key`` cost more, or less, than its custom."""

    key: str
    start: date
    end: date
    actual: Decimal
    expected: Decimal
    z: float
    drivers: tuple[Driver, ...] = ()

    @property
    def excess(self) -> Decimal:
        """Actual less expected; below zero when a cost went missing."""
        return self.actual - self.expected

    @property
    def explanation(self) -> str:
        """In words: what moved, by how much, and what drove it."""
        days = f"{self.start}" if self.start == self.end else f"{self.start} to {self.end}"
        way = "above" if self.excess > 0 else "below"
        text = f"{self.key}: {abs(self.excess):.2f} {way} the usual {self.expected:.2f} on {days}"
        if self.drivers:
            parts = ", ".join(f"{d.what} ({d.excess:+.2f})" for d in self.drivers)
            text += f"; driven by {parts}"
        return text


def expected_on(series: Mapping[date, float], day: date) -> float:
    """The median of the same weekday's other values; of all other days while those are few."""
    same = [v for d, v in series.items() if d.weekday() == day.weekday() and d != day]
    if len(same) < _SAME_WEEKDAYS:
        same = [v for d, v in series.items() if d != day]
    return median(same) if same else 0.0


def find_anomalies(
    series: Mapping[str, Series],
    start: date,
    end: date,
    *,
    threshold: float = THRESHOLD,
    minimum: Decimal = Decimal(10),
) -> list[Anomaly]:
    """Anomalies from ``start`` to before ``end``, largest first.

    ``series`` gives each key's cost by day and may reach back before ``start``; a day that is
    missing cost nothing. ``minimum`` is the least excess worth a word.
    """
    found: list[Anomaly] = []
    for key, sparse in series.items():
        if not sparse:
            continue
        first, last = min(sparse), max(sparse)
        span = [first + timedelta(days=i) for i in range((last - first).days + 1)]
        if len(span) >= _MIN_DAYS:
            filled = {day: float(sparse.get(day, 0)) for day in span}
            found += _of_one(key, filled, start, end, threshold, float(minimum))
    return sorted(_joined(found), key=lambda a: (-abs(a.excess), a.key, a.start))


def _of_one(
    key: str,
    series: Mapping[date, float],
    start: date,
    end: date,
    threshold: float,
    minimum: float,
) -> Iterable[Anomaly]:
    usual = {day: expected_on(series, day) for day in series}
    residuals = {day: value - usual[day] for day, value in series.items()}
    centre = median(residuals.values())
    spread = _MAD_TO_SIGMA * median(abs(r - centre) for r in residuals.values())
    for day, residual in residuals.items():
        scale = max(spread, _SCALE_FLOOR * abs(usual[day]), 0.01)
        z = (residual - centre) / scale
        if start <= day < end and abs(z) > threshold and abs(residual) >= minimum:
            actual, expected = (Decimal(f"{v:.6f}") for v in (series[day], usual[day]))
            yield Anomaly(key, day, day, actual, expected, round(z, 1))


def _joined(found: Iterable[Anomaly]) -> list[Anomaly]:
    """Neighbouring days of one key that moved the same way, as one anomaly."""
    joined: list[Anomaly] = []
    for one in sorted(found, key=lambda a: (a.key, a.start)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.key == one.key
            and last.end + timedelta(days=1) == one.start
            and (last.excess > 0) == (one.excess > 0)
        ):
            joined[-1] = replace(
                last,
                end=one.end,
                actual=last.actual + one.actual,
                expected=last.expected + one.expected,
                z=max(last.z, one.z, key=abs),
            )
        else:
            joined.append(one)
    return joined


def explain(anomaly: Anomaly, parts: Mapping[str, Series], most: int = 3) -> Anomaly:
    """The anomaly with its drivers: the parts of the key that moved with it, largest first."""
    days = [
        anomaly.start + timedelta(days=i) for i in range((anomaly.end - anomaly.start).days + 1)
    ]
    all_days = sorted({day for series in parts.values() for day in series})
    moved: list[Driver] = []
    for what, sparse in parts.items():
        calm = {d: float(sparse.get(d, 0)) for d in all_days if d not in days}
        excess = sum(float(sparse.get(day, 0)) - expected_on(calm, day) for day in days)
        if excess * float(anomaly.excess) > 0 and abs(excess) >= 0.1 * abs(float(anomaly.excess)):
            moved.append(Driver(what, Decimal(f"{excess:.2f}")))
    moved.sort(key=lambda d: -abs(d.excess))
    return replace(anomaly, drivers=tuple(moved[:most]))
