"""Sharing out loses nothing; odd days are found, joined and explained."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.allocation import Line, Rule, allocate_shared, load_rules
from cost.anomalies import explain, find_anomalies
from infra.core.errors import BadInput

D = Decimal
START, END = date(2026, 10, 1), date(2026, 11, 1)
amounts = st.decimals(-1_000_000, 1_000_000, places=12, allow_nan=False)
lines_of = st.lists(
    st.builds(
        lambda team, service, cost, hours: Line({"team": team, "service": service}, cost, hours),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["nodes", "nat", "gpu"]),
        amounts,
        st.decimals(0, 100, places=3, allow_nan=False),
    ),
    max_size=25,
)


@given(lines_of, st.sampled_from(["fixed", "proportional", "accelerator_hours"]))
def test_allocation_conserves_to_the_last_digit(lines: list[Line], by: str) -> None:
    shares = {"a": D(1), "d": D(2)} if by == "fixed" else {}
    rules = [Rule("untagged", {"team": ""}, by, "team", shares),
             Rule("nat", {"service": "nat"}, "proportional")]  # fmt: skip
    result = allocate_shared(lines, rules)
    assert result.total == sum((line.cost for line in lines), D(0))


def test_each_method_shares_as_it_says() -> None:
    lines = [
        Line({"team": "a"}, D(30), D(1)), Line({"team": "b"}, D(10), D(9)), Line({"team": ""}, D(100)),
    ]  # fmt: skip

    def shared(rule: Rule) -> dict[str, Decimal]:
        rows = allocate_shared(lines, [rule]).rows
        return {row.target: row.total - row.direct for row in rows}

    match = {"team": ""}
    assert shared(Rule("r", match)) == {"a": D(75), "b": D(25)}
    assert shared(Rule("r", match, "accelerator_hours")) == {"a": D(10), "b": D(90)}
    assert shared(Rule("r", match, "fixed", "team", {"b": D(1), "c": D(3)})) == {
        "a": D(0), "b": D(25), "c": D(75),
    }  # fmt: skip
    # A rule for another dimension has no say here.
    assert shared(Rule("r", match, to="workload")) == {"a": D(0), "b": D(0), "": D(0)}


def test_what_nothing_weighs_stays_unallocated_with_a_note() -> None:
    lines = [Line({"team": "a"}, D(3)), Line({"team": ""}, D(7))]
    result = allocate_shared(lines, [Rule("gpu", {"team": ""}, "accelerator_hours")])
    assert {row.target: row.total for row in result.rows} == {"": D(7), "a": D(3)}
    assert result.notes == ("gpu: nothing to allocate by (accelerator hours is 0)",)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "r", "match": {"team": ""}, "by": "chance"},
        {"name": "r", "match": {}},
        {"name": "r", "match": {"team": ""}, "by": "fixed"},
        {"name": "r", "match": {"team": ""}, "shares": {"a": "1"}},
        {"name": "r", "match": {"team": ""}, "by": "fixed", "shares": {"a": "x"}},
        {"name": "r", "match": {"team": ""}, "weight": 1},
    ],
)
def test_a_bad_rule_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        load_rules([entry])


def test_rules_are_taken_as_they_are() -> None:
    rule = Rule("r", {"team": ""})
    assert load_rules([rule, {"name": "r", "match": {"team": ""}}]) == [rule, rule]


def weekly_series(seed: int, spikes: dict[date, float]) -> dict[date, Decimal]:
    draw = random.Random(seed)
    found = {}
    for i in range(61):
        day = date(2026, 9, 1) + timedelta(days=i)
        usual = 40.0 if day.weekday() >= 5 else 100.0
        found[day] = D(f"{usual * draw.gauss(1, 0.04) + spikes.get(day, 0):.4f}")
    return found


def test_a_spike_is_found_joined_and_explained() -> None:
    spikes = {date(2026, 10, 17): 90.0, date(2026, 10, 18): 80.0}
    good, bad = weekly_series(1, {}), weekly_series(2, spikes)
    both = {day: good[day] + bad[day] for day in good}
    (found,) = find_anomalies({"EC2": both, "none": {}}, START, END)
    assert (found.start, found.end, found.key) == (date(2026, 10, 17), date(2026, 10, 18), "EC2")
    assert float(found.excess) == pytest.approx(170, rel=0.15)
    told = explain(found, {"workload good": good, "workload bad": bad})
    assert [driver.what for driver in told.drivers] == ["workload bad"]
    assert "above the usual" in told.explanation
    assert "workload bad (+1" in told.explanation


def test_weekends_are_no_anomalies_and_small_change_is_no_news() -> None:
    quiet = [find_anomalies({"k": weekly_series(seed, {})}, START, END) for seed in range(20)]
    assert sum(map(len, quiet)) <= 3
    cents = {day: cost / 100 for day, cost in weekly_series(3, {date(2026, 10, 7): 300.0}).items()}
    assert find_anomalies({"k": cents}, START, END) == []


def test_a_cost_that_stops_is_an_anomaly_below() -> None:
    series = weekly_series(4, {})
    series[date(2026, 10, 14)] = D(0)
    (found,) = find_anomalies({"k": series}, START, END)
    assert found.excess < 0
    assert found.explanation.startswith("k: ")
    assert "below the usual" in found.explanation


def test_a_few_days_are_too_few() -> None:
    series = {date(2026, 10, day): D(10 if day < 5 else 900) for day in range(1, 6)}
    assert find_anomalies({"k": series}, START, END) == []
