"""Makes a report's figures from opened bills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from cost.actuals import COUNTED, Bills, Period
from cost.allocation import Allocation, Line, Rule, allocate_shared
from cost.anomalies import Anomaly, explain, find_anomalies
from cost.budget import Budget, Forecast, decide, forecast_month_end
from cost.money import Rates

from .cube import Cube, scope_sql
from .model import (
    BREAKDOWNS,
    DIMENSIONS,
    UNTAGGED,
    BudgetState,
    Options,
    Report,
    ReportLine,
    Unexplained,
)
from .plan import compare, load_estimate, load_units

_MOST_ANOMALIES: Final = 12


def build_report(
    bills: Bills,
    period: Period,
    options: Options,
    estimate: Any = None,
    budgets: Sequence[Budget] = (),
    rates: Rates | None = None,
) -> Report:
    """The figures of a month. Sums are exact; nothing is rounded here."""
    cube = Cube(bills, period, options.metric, options.tag_keys)
    total, effective, rows, last_usage = cube.totals()
    last = min(last_usage or period.start, period.end - timedelta(days=1))
    as_of = min(options.as_of or last, period.end - timedelta(days=1))
    previous, first, newest = cube.history(max(as_of, last))
    lines = cube.lines(max(as_of, last))
    report = Report(
        title=options.title,
        period=str(period),
        currency=options.currency,
        metric=options.metric,
        as_of=as_of,
        first_day=period.start,
        days=period.days,
        total=total,
        effective=effective,
        previous=previous if previous else None,
        rows=rows,
        lines=lines,
        daily=_every_day(period, dict(cube.by_day())),
        breakdowns={name: cube.breakdown(name) for name in BREAKDOWNS},
        forecast=_forecast(cube, period, {}, as_of),
        unexplained=_unexplained(cube, bills),
        units=load_units(options.units, lines),
        sources=[(opened.label, opened.kind) for opened in bills.files],
    )
    if rows == 0:
        span = f"they cover {first} to {newest}" if first else "they hold no charge"
        report.notes.append(f"No charges for {period} in the bills given; {span}.")
    if last > as_of:
        report.notes.append(
            f"Charges after {as_of} are in the total; the forecast takes those days as incomplete."
        )
    if estimate is not None:
        planned = load_estimate(estimate, options.currency, rates)
        to_come = Fraction(report.forecast.remaining_days, period.days)
        report.variance, report.bridge = compare(planned, lines, to_come)
    report.budgets = [_budget_state(cube, period, budget, report.as_of) for budget in budgets]
    report.anomalies = _anomalies(cube, period, rows)
    if options.rules and not isinstance(options.rules, str | Path):
        report.allocation = _allocation(lines, options.rules)
        report.notes += report.allocation.notes
    return report


def _every_day(period: Period, found: Mapping[date, Decimal]) -> list[tuple[date, Decimal]]:
    days = [period.start + timedelta(days=i) for i in range(period.days)]
    return [(day, found.get(day, Decimal(0))) for day in days]


def _forecast(cube: Cube, period: Period, scope: Mapping[str, str], as_of: date) -> Forecast:
    daily = cube.daily(scope_sql(scope))
    found = forecast_month_end(
        {day: value for day, value in daily.items() if day <= as_of},
        period.end,
        as_of,
        fixed=cube.cost_of(scope, "-"),
        start=period.start,
    )
    spent = cube.cost_of(scope)
    # Days after as_of are forecast, as nobody knows how much of them is billed yet. Usage dated
    # outside the month (a late row of its bill) is spent all the same.
    after = sum((v for day, v in daily.items() if as_of < day < period.end), Decimal(0))
    late = spent - found.spent - after
    ends = (max(value + late, spent) for value in (found.expected, found.low, found.high))
    expected, low, high = ends
    return replace(found, spent=spent, expected=expected, low=low, high=high)


def _budget_state(cube: Cube, period: Period, budget: Budget, as_of: date) -> BudgetState:
    forecast = _forecast(cube, period, budget.scope, as_of)
    decision = decide(budget, spent=forecast.spent, forecast=forecast)
    return BudgetState(budget.name, budget.limit, budget.scope, forecast.spent, forecast, decision)


def _unexplained(cube: Cube, bills: Bills) -> list[Unexplained]:
    found = [
        Unexplained(reason, source, currency, amount, rows, reason.startswith(COUNTED))
        for reason, source, currency, amount, rows in cube.unexplained()
    ]
    for source, line, message in bills.rejected():
        reason = f"line {line} is no row of this bill ({message})"
        found.append(Unexplained(reason, source, "?", Decimal(0), 1, False))
    return found


def _anomalies(cube: Cube, period: Period, rows: int) -> list[Anomaly]:
    series = cube.series(("provider", "service"))
    found = find_anomalies(series, period.start, period.end)[:_MOST_ANOMALIES]
    explained = []
    for anomaly in found:
        where = f"provider || ' · ' || service = '{anomaly.key.replace(chr(39), chr(39) * 2)}'"
        parts = {
            f"workload {name}": values for name, values in cube.series(("workload",), where).items()
        }
        parts.update(cube.resources(anomaly.key, rows))
        explained.append(explain(anomaly, parts))
    return explained


def _allocation(lines: Sequence[ReportLine], rules: Sequence[Rule]) -> Allocation:
    plain = [
        Line(
            {name: _blank(getattr(line, name)) for name in BREAKDOWNS},
            line.cost,
            line.accelerator_hours,
        )
        for line in lines
    ]
    to = rules[0].to
    return allocate_shared(plain, rules, to if to in DIMENSIONS else "team")


def _blank(value: str) -> str:
    return "" if value == UNTAGGED else value
