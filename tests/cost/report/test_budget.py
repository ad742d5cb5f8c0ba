"""Month-end forecasts, budgets' decisions, and files that hold them."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost.budget import Budget, Forecast, decide, enforce, forecast_month_end, load_budgets
from infra.core.errors import BadInput, Refused

D = Decimal
START, END = date(2026, 10, 1), date(2026, 11, 1)


def days(count: int, cost: Any, start: date = START) -> dict[date, Decimal]:
    span = [start + timedelta(days=i) for i in range(count)]
    return {day: D(str(cost(day) if callable(cost) else cost)) for day in span}


def weekly(day: date) -> float:
    return 40 if day.weekday() >= 5 else 100


def test_a_steady_cost_is_forecast_exactly() -> None:
    forecast = forecast_month_end(days(10, 7), END, date(2026, 10, 10), fixed=D(5))
    assert (forecast.spent, forecast.expected) == (D(75), D("222"))
    assert (forecast.low, forecast.high, forecast.remaining_days) == (D(222), D(222), 21)


def test_the_weekday_effect_is_carried_on() -> None:
    held = days(48, weekly, date(2026, 9, 1))
    forecast = forecast_month_end(held, END, date(2026, 10, 18), start=START)
    whole = sum(weekly(START + timedelta(days=i)) for i in range(31))
    assert float(forecast.expected) == pytest.approx(whole, rel=0.001)
    assert forecast.spent == sum((D(weekly(START + timedelta(days=i))) for i in range(18)), D(0))


def test_the_month_that_is_over_is_what_was_spent() -> None:
    forecast = forecast_month_end(days(31, 3), END, date(2026, 10, 31))
    assert forecast == Forecast(D(93), D(93), D(93), D(93), 0, 0.9)
    assert forecast_month_end({}, END, START).expected == 0


def test_one_day_says_little_and_zero_days_cost_nothing() -> None:
    one = forecast_month_end(days(1, 10), END, START)
    assert (one.low, one.expected, one.high) == (D(10), D(310), D(610))
    idle = forecast_month_end(days(20, 0), END, date(2026, 10, 20))
    assert idle.expected == idle.high == 0


def test_intervals_cover_what_happens() -> None:
    draw = random.Random(7)
    hits = 0
    for _ in range(200):
        series = days(59, lambda day: f"{weekly(day) * draw.gauss(1, 0.1):.4f}", date(2026, 9, 3))
        as_of = date(2026, 10, 15)
        seen = {day: cost for day, cost in series.items() if day <= as_of}
        forecast = forecast_month_end(seen, END, as_of, start=START)
        hits += (
            forecast.low <= sum((c for d, c in series.items() if d >= START), D(0)) <= forecast.high
        )
    assert hits >= 170  # of 200 at 90 %


@pytest.mark.parametrize(
    ("plan", "spent", "expected", "action"),
    [
        (None, "50", "90", "ok"), (None, "50", "110", "warn"), (None, "101", "110", "stop"),
        ("120", None, None, "refuse"), ("120", "101", None, "stop"), ("99", "50", "60", "ok"),
    ],
)  # fmt: skip
def test_the_strictest_decision_wins(
    plan: str | None, spent: str | None, expected: str | None, action: str
) -> None:
    forecast = None
    if expected is not None:
        forecast = Forecast(D(spent or 0), D(expected), D(expected), D(expected), 3, 0.9)
    decision = decide(
        Budget("b", D(100)), plan=D(plan) if plan else None, spent=D(spent) if spent else None,
        forecast=forecast,
    )  # fmt: skip
    assert decision.action == action
    assert "100" in decision.reason


def test_an_interval_over_the_limit_warns() -> None:
    forecast = Forecast(D(50), D(95), D(85), D(105), 3, 0.9)
    assert decide(Budget("b", D(100)), forecast=forecast).action == "warn"
    assert decide(Budget("b", D(100), over_forecast="ok"), forecast=forecast).action == "ok"


def test_enforce_refuses_a_plan_over_its_budget() -> None:
    budgets = [Budget("a", D(10)), Budget("b", D(10), over_plan="warn"), Budget("c", D(1))]
    assert [d.action for d in enforce(budgets, {"a": D(9), "b": D(11)})] == ["ok", "warn"]
    with pytest.raises(Refused, match=r"over budget: 11\.00 planned, 1\.00 over 10") as caught:
        enforce(budgets, {"a": D(11)})
    assert caught.value.exit_code == 6


def test_budgets_are_read_from_files_and_mappings(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    path.write_text(json.dumps([{"name": "a", "limit": "5", "scope": {"team": "x"}}]))
    (held,) = load_budgets(path)
    assert (held.limit, held.scope, held.over_actual) == (D(5), {"team": "x"}, "stop")
    assert load_budgets([held]) == [held]
    bad: list[Any] = [
        {"name": "a"}, {"name": "a", "limit": "-1"}, {"name": "a", "limit": "x"},
        {"name": "a", "limit": "1", "over_plan": "shout"}, {"name": "a", "limit": "1", "team": "x"},
    ]  # fmt: skip
    for entry in bad:
        with pytest.raises(BadInput):
            load_budgets([entry])
