"""Estimates, unit counts, charts, cents: the parts of a report by themselves."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.money import Rates, to_cents, total
from cost.report import ReportResult, charts, display, focus, sample
from cost.report.estimate_rows import write_estimate_rows
from cost.report.model import ReportLine
from cost.report.page import movers, render_page
from cost.report.plan import compare, load_estimate, load_units
from cost.report.rows import write_focus_1_0
from infra.core.errors import BadInput

D = Decimal
RATES = Rates({"EUR": D("0.5")}, date(2026, 10, 1), "test")


def line(workload: str, cost: str, category: str = "Usage", previous: str = "0") -> ReportLine:
    return ReportLine(
        "t", "e", workload, "AWS", "EC2", "r", category, D(cost), D(cost), D(previous), D(0), 1
    )


def planned(workload: str, amount: str) -> dict[str, str]:
    return {"team": "t", "environment": "e", "workload": workload, "amount": amount}


def test_the_bridge_explains_each_difference() -> None:
    plan = load_estimate([planned("a", "10"), planned("b", "5")], "USD", None)
    actual = [line("a", "12"), line("c", "7"), line("a", "-3", "Credit"), line("a", "1", "Tax")]
    rows, bridge = compare(plan, actual)
    assert dict(bridge) == {
        "use against the plan": D(2), "used without a plan": D(7), "planned and not used": D(-5),
        "credits": D(-3), "tax": D(1),
    }  # fmt: skip
    assert {row.workload: row.why for row in rows} == {
        "a": "usage differs", "b": "planned, not used", "c": "not in the estimate",
    }  # fmt: skip
    part = compare(plan, actual, Fraction(1, 2))[1]
    assert dict(part)["days to come, pro rata"] == D(-5)
    assert total(v for _, v in part) == total(v for _, v in bridge)
    assert compare(plan[:1], [line("a", "10")])[1] == [("no difference", D(0))]


def test_estimates_come_as_json_focus_rows_and_other_currencies(tmp_path: Path) -> None:
    document = {"currency": "EUR", "lines": [{"monthly": "10", "workload": "a"}]}
    path = tmp_path / "estimate.json"
    path.write_text(json.dumps(document))
    (held,) = load_estimate(path, "USD", RATES)
    assert (held.amount, held.workload, held.team) == (D(20), "a", "untagged")
    with pytest.raises(BadInput, match="no rate to USD"):
        load_estimate(path, "USD", None)
    table = tmp_path / "estimate.csv"
    table.write_text('BilledCost,Tags\n3.5,"{""team"": ""x""}"\n4,nonsense\n')
    assert [(p.amount, p.team) for p in load_estimate(str(table), "USD", None)] == [
        (D("3.5"), "x"), (D(4), "untagged"),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="no amount"):
        load_estimate([{"team": "x"}], "USD", None)
    for missing in ("none.json", "none.csv"):
        with pytest.raises(BadInput, match="can't be read"):
            load_estimate(tmp_path / missing, "USD", None)
    path.write_text("{")
    with pytest.raises(BadInput, match="no JSON"):
        load_estimate(path, "USD", None)


def test_unit_costs() -> None:
    costs = [line("train", "90"), line("serve", "30"), line("serve", "10")]
    counts = [{"workload": "train", "unit": "training run", "count": "9"},
              {"workload": "serve", "unit": "million predictions", "count": 0}]  # fmt: skip
    train, serve = load_units(counts, costs)
    assert train.per_unit == 10
    assert serve.per_unit is None
    assert serve.cost == 40
    assert load_units(None, costs) == []
    bad: list[Any] = [{"workload": "w"}, {"workload": "w", "unit": "u", "count": "-1"}]
    for entry in bad:
        with pytest.raises(BadInput):
            load_units([entry], costs)


@given(st.lists(st.decimals(-10_000, 10_000, places=6, allow_nan=False), max_size=30))
def test_cents_add_up_and_stay_near(amounts: list[Decimal]) -> None:
    rounded = display.cents(amounts)
    assert sum(rounded, D(0)) == to_cents(total(amounts))
    assert all(abs(a - b) < D("0.01") for a, b in zip(amounts, rounded, strict=True))


def test_amounts_as_text() -> None:
    assert display.money(D("-1234.565"), "USD") == "−$1,234.57"
    assert display.money(D("3"), "CHF", signed=True) == "+CHF 3.00"
    assert display.percent(D(1), D(0)) == "–"
    assert display.percent(D(-1), D(50), signed=True) == "−2.0%"
    assert display.top([("a", D(3)), ("b", D(2)), ("c", D(1))], 2) == [
        ("a", D(3)),
        ("all others", D(3)),
    ]


@pytest.mark.parametrize("highest", [0.0, 0.004, 1.0, 7.0, 999.0, 1000.0, 1234567.0])
def test_axis_ticks_reach_the_highest_value(highest: float) -> None:
    ticks = charts.nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 6
    assert charts.short(2_500_000.0) == "2.5M"


def test_charts_tell_their_figures_in_words() -> None:
    days = [(date(2026, 10, day), D(day - 2)) for day in range(1, 4)]
    chart = charts.daily_chart(days, days[1][0], D(1), frozenset({days[0][0]}), "USD")
    assert 'role="img"' in chart
    assert "<desc" in chart
    assert "1: −$1.00; 2: $0.00</desc>" in chart
    assert 'class="odd"' in chart
    assert 'class="coming"' in chart


def test_movers_compare_with_the_month_before(written: ReportResult) -> None:
    lines = [line("a", "10", previous="4"), line("b", "1", previous="9"), line("c", "3", "Tax")]
    assert [(m.name, m.change) for m in movers(lines, 5)] == [("b · EC2", D(-8)), ("a · EC2", D(6))]
    page = render_page(written.report)
    assert "What moved since the same days of the month before" in page


def test_focus_1_0_columns(written: ReportResult, tmp_path: Path) -> None:
    for drafts, width in ((False, 43), (True, 48)):
        target = tmp_path / f"{width}.csv"
        write_focus_1_0(written.files["focus.csv"], target, draft_names=drafts)
        with target.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == written.report.rows
        assert len(rows[0]) == width


def test_the_sample_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    from cost.actuals import Period

    period = Period.parse("2026-02")
    texts = [
        [path.read_bytes() for path in sample.write_bills(tmp_path / name, period, seed)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def estimate_document() -> dict[str, Any]:
    charge = {
        "name": "g2-standard-4 on demand", "quantity": "730", "unit": "hour",
        "usd_per_unit": "0.706832276", "usage": False, "sku": "g2-standard-4", "stale": True,
        "price_region": "us-central1", "source": "catalogue", "as_of": "2026-07-30",
        "derived": False,
    }  # fmt: skip
    resource = {
        "urn": "urn:pulumi:x::gcp:compute/instance:Instance::train", "name": "train",
        "type": "gcp:compute/instance:Instance", "region": "us-central1", "outcome": "refused",
        "charges": [charge, {**charge, "usage": True, "sku": "", "name": "egress", "unit": "GB"}],
    }  # fmt: skip
    return {"stack": "gcp-prod", "resources": [resource]}


def test_an_estimate_becomes_focus_rows_that_keep_the_rules(tmp_path: Path) -> None:
    files = tmp_path / "e.csv", tmp_path / "e.parquet"
    assert write_estimate_rows(estimate_document(), "2028-02", *files) == 2
    for path in files:
        assert [str(finding) for finding in focus.check(path)] == []
    with files[0].open(newline="") as file:
        instance, egress = csv.DictReader(file)
    assert instance["x_Confidence"] == "stale price, lower bound"
    assert egress["x_Confidence"] == "assumed quantity, stale price, lower bound"
    assert instance["BillingPeriodEnd"] == "2028-03-01T00:00:00Z"
    assert D(instance["BilledCost"]) == D("0.706832276") * 730
    details = json.loads(instance["SkuPriceDetails"])
    assert (details["InstanceType"], details["GpuCount"], details["CoreCount"]) == (
        "g2-standard-4", 1, 4,
    )  # fmt: skip
    assert (egress["SkuPriceDetails"], egress["SkuId"]) == ("", "egress")
    for bad in (
        {},
        {"stack": "s", "resources": [{"charges": [{}]}]},
        {"stack": "s", "resources": 3},
    ):
        with pytest.raises(BadInput, match="no estimate"):
            write_estimate_rows(bad, "2028-02", *files)
