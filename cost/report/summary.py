"""``summary.json``: the report for other programs. Amounts are decimal text, never floats."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cost.anomalies import Anomaly
from cost.budget import Forecast
from cost.money import to_cents

from .display import cents
from .model import Report


def summary(report: Report) -> dict[str, Any]:
    """The whole report but its lines; ``exact`` amounts are unrounded."""
    return {
        "period": report.period,
        "as_of": report.as_of.isoformat(),
        "currency": report.currency,
        "metric": report.metric,
        "total": str(to_cents(report.total)),
        "total_exact": _text(report.total),
        "effective": str(to_cents(report.effective)),
        "previous": None if report.previous is None else str(to_cents(report.previous)),
        "charges": report.rows,
        "forecast": _forecast(report.forecast),
        "by": {name: _in_cents(rows) for name, rows in report.breakdowns.items()},
        "daily": _in_cents([(day.isoformat(), amount) for day, amount in report.daily]),
        "budgets": [
            {
                "name": state.name,
                "scope": dict(state.scope),
                "limit": str(state.limit),
                "spent": str(to_cents(state.spent)),
                "forecast": _forecast(state.forecast),
                "action": state.decision.action,
                "reason": state.decision.reason,
            }
            for state in report.budgets
        ],
        "estimate": None if report.estimate is None else str(to_cents(report.estimate)),
        "bridge": _in_cents(report.bridge),
        "variance": [
            {
                "team": v.team,
                "environment": v.environment,
                "workload": v.workload,
                "estimate": str(to_cents(v.estimate)),
                "actual": str(to_cents(v.actual)),
                "why": v.why,
            }
            for v in report.variance
        ],
        "allocation": None if report.allocation is None else [
            {
                "target": row.target or "unallocated",
                "direct": _text(row.direct),
                "shared": {name: _text(amount) for name, amount in row.shared.items()},
                "total": _text(row.total),
            }
            for row in report.allocation.rows
        ],
        "anomalies": [_anomaly(anomaly) for anomaly in report.anomalies],
        "units": [
            {
                "workload": unit.workload,
                "unit": unit.unit,
                "count": str(unit.count),
                "cost": str(to_cents(unit.cost)),
                "per_unit": None if unit.per_unit is None else f"{unit.per_unit:.6f}",
            }
            for unit in report.units
        ],
        "unexplained": [
            {
                "reason": u.reason,
                "source": u.source,
                "currency": u.currency,
                "amount": _text(u.amount),
                "rows": u.rows,
                "in_total": u.counted,
            }
            for u in report.unexplained
        ],
        "sources": [{"file": name, "kind": kind} for name, kind in report.sources],
        "notes": report.notes,
    }  # fmt: skip


def _text(amount: Decimal) -> str:
    """Plain digits without an exponent or trailing zeros."""
    return f"{amount.normalize():f}" if amount else "0"


def _in_cents(rows: list[tuple[str, Decimal]]) -> dict[str, str]:
    rounded = cents([amount for _, amount in rows])
    return {name: str(amount) for (name, _), amount in zip(rows, rounded, strict=True)}


def _forecast(forecast: Forecast) -> dict[str, Any]:
    return {
        "expected": str(to_cents(forecast.expected)),
        "low": str(to_cents(forecast.low)),
        "high": str(to_cents(forecast.high)),
        "confidence": forecast.confidence,
        "remaining_days": forecast.remaining_days,
    }


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    return {
        "what": anomaly.key,
        "start": anomaly.start.isoformat(),
        "end": anomaly.end.isoformat(),
        "excess": str(to_cents(anomaly.excess)),
        "z": anomaly.z,
        "explanation": anomaly.explanation,
        "drivers": {driver.what: str(driver.excess) for driver in anomaly.drivers},
    }
