"""Budgets: where a month will end, with an interval, and whether to refuse, warn or stop.

The forecast is a level times a weekday effect. Its interval is the prediction interval of a sum of
m further days when the level is estimated from n: variance ``s² (m + m²/n)``, Student's t with
n - 1 degrees of freedom (the quantile by Abramowitz and Stegun 1964, 26.7.5). Charges that don't
come by the day (tax, credits, purchases) are given apart and not extrapolated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any, Final

from cost.money import parse, to_cents
from infra.core.errors import BadInput, Problem, Refused

ACTIONS: Final = ("ok", "warn", "refuse", "stop")
_LEVEL_DAYS: Final = 28
_SEASON_DAYS: Final = 14


@dataclass(frozen=True)
class Budget:
    """A monthly limit for everything, or for what ``scope`` names (``{"team": "search"}``).

    ``over_plan``, ``over_forecast`` and ``over_actual`` say what is done when an estimate, the
    month-end forecast (its expected value) or the money spent exceeds the limit.
    """

    name: str
    limit: Decimal
    scope: Mapping[str, str] = field(default_factory=dict)
    over_plan: str = "refuse"
    over_forecast: str = "warn"
    over_actual: str = "stop"

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise BadInput(Problem(f"the budget is {self.limit}", path=self.name, expected=">= 0"))
        for action in (self.over_plan, self.over_forecast, self.over_actual):
            if action not in ACTIONS:
                raise BadInput(
                    Problem(f"no action {action!r}", path=self.name, expected=", ".join(ACTIONS))
                )


@dataclass(frozen=True)
class Forecast:
    """Month end: what is spent, what is expected in all, and the interval of the latter."""

    spent: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal
    remaining_days: int
    confidence: float


@dataclass(frozen=True)
class Decision:
    """What a budget says: one of :data:`ACTIONS` and the numbers behind it."""

    budget: str
    action: str
    reason: str


def forecast_month_end(
    daily: Mapping[date, Decimal],
    end: date,
    as_of: date,
    *,
    fixed: Decimal = Decimal(0),
    start: date | None = None,
    confidence: float = 0.9,
) -> Forecast:
    """Forecast a month that ends before ``end`` from its days up to and with ``as_of``.

    ``daily`` may reach into earlier months: they inform the level and the weekday effect, and only
    days from ``start`` (the month's first) are counted as spent. ``fixed`` is added as it is.
    """
    start = start or as_of.replace(day=1)
    spent = sum((v for d, v in daily.items() if start <= d <= as_of), Decimal(0)) + fixed
    remaining = [as_of + timedelta(days=i) for i in range(1, (end - as_of).days)]
    first = max(min(daily, default=as_of), as_of - timedelta(days=_LEVEL_DAYS - 1))
    window = [first + timedelta(days=i) for i in range((as_of - first).days + 1)]
    if not remaining or not daily:
        return Forecast(spent, spent, spent, spent, len(remaining), confidence)
    effect = _weekday_effect({day: float(daily.get(day, 0)) for day in window})
    levels = [float(daily.get(day, 0)) / effect[day.weekday()] for day in window]
    level = fmean(levels)
    coming = level * math.fsum(effect[day.weekday()] for day in remaining)
    margin = _margin(levels, len(remaining), confidence)
    expected = spent + Decimal(f"{coming:.2f}")
    low, high = (spent + Decimal(f"{max(coming + s * margin, 0):.2f}") for s in (-1, 1))
    return Forecast(spent, expected, min(low, expected), high, len(remaining), confidence)


def _weekday_effect(daily: Mapping[date, float]) -> list[float]:
    """Mean of each weekday over the mean of all; 1 where there is too little to tell."""
    flat = [1.0] * 7
    if len(daily) < _SEASON_DAYS:
        return flat
    overall = fmean(daily.values())
    if overall <= 0:
        return flat
    by_day = [[v for d, v in daily.items() if d.weekday() == w] for w in range(7)]
    return [max(fmean(values) / overall, 0.05) if values else 1.0 for values in by_day]


def _margin(levels: Sequence[float], days: int, confidence: float) -> float:
    """Half width of the prediction interval of the sum of ``days`` further days."""
    n = len(levels)
    if n < 2:
        return levels[0] * days  # one day says nothing of its spread: allow nought to twice
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    v = n - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v * v)
    return t * stdev(levels) * math.sqrt(days + days * days / n)


def decide(
    budget: Budget,
    *,
    plan: Decimal | None = None,
    spent: Decimal | None = None,
    forecast: Forecast | None = None,
) -> Decision:
    """The strictest of what the plan, the money spent and the forecast call for."""
    candidates: list[tuple[str, str]] = []
    if spent is None and forecast is not None:
        spent = forecast.spent
    for what, amount, action in (
        ("spent", spent, budget.over_actual),
        ("planned", plan, budget.over_plan),
        ("expected by month end", forecast.expected if forecast else None, budget.over_forecast),
    ):
        if amount is not None and amount > budget.limit:
            over = to_cents(amount - budget.limit)
            candidates.append((action, f"{to_cents(amount)} {what}, {over} over {budget.limit}"))
    if forecast and not candidates and forecast.high > budget.limit:
        text = f"month end may reach {to_cents(forecast.high)}, over {budget.limit}"
        candidates.append(("warn" if budget.over_forecast != "ok" else "ok", text))
    if not candidates:
        return Decision(budget.name, "ok", f"within {budget.limit}")
    action, reason = max(candidates, key=lambda pair: ACTIONS.index(pair[0]))
    return Decision(budget.name, action, reason)


def enforce(budgets: Sequence[Budget], plans: Mapping[str, Decimal]) -> list[Decision]:
    """Decide on a plan by each budget's name; Refused when any refuses or stops it."""
    decisions = [decide(b, plan=plans[b.name]) for b in budgets if b.name in plans]
    refused = [d for d in decisions if d.action in {"refuse", "stop"}]
    if refused:
        raise Refused(
            Problem(f"over budget: {d.reason}", path=d.budget, fix="lower the plan or the demand")
            for d in refused
        )
    return decisions


def load_budgets(source: str | Path | Sequence[Budget | Mapping[str, Any]]) -> list[Budget]:
    """Budgets from a JSON file, or from mappings with the fields of :class:`Budget`."""
    if isinstance(source, str | Path):
        return [_budget(entry, str(source)) for entry in read_json(Path(source))]
    return [_budget(entry, None) for entry in source]


def read_json(path: Path) -> Any:
    """A JSON file's value; BadInput with the line when it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(Problem(f"can't be read ({error.strerror})", file=str(path))) from error
    except json.JSONDecodeError as error:
        raise BadInput(
            Problem(f"no JSON: {error.msg}", file=str(path), line=error.lineno)
        ) from error


def _budget(entry: Budget | Mapping[str, Any], where: str | None) -> Budget:
    if isinstance(entry, Budget):
        return entry
    try:
        fields = dict(entry)
        return Budget(**{**fields, "limit": parse(fields["limit"], "the budget's limit")})
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            Problem(
                f"a budget can't be read ({error})",
                file=where,
                expected="name, limit, and optionally scope, over_plan, over_forecast, over_actual",
            )
        ) from error
