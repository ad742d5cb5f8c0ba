"""One total everywhere: rows, breakdowns, sheets, page, summary; and never a wrong one."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from cost.money import to_cents
from cost.report import Options, ReportResult, focus, main_report
from cost.report.main import load_rates, write_report
from cost.report.model import BREAKDOWNS, DIMENSIONS
from cost.report.page import listed, render_page
from infra.core.errors import BadInput

D = Decimal
HEADER = (
    "BillingAccountId,BillingCurrency,BillingPeriodStart,ChargePeriodStart,ChargePeriodEnd,"
    "ChargeCategory,BilledCost,EffectiveCost,ServiceName,SkuId,ProviderName,Tags"
)


def bill(path: Path, costs: Iterable[tuple[str, str, str]], month: str = "2026-10") -> Path:
    """A FOCUS bill of (day, cost, team)."""
    lines = [HEADER]
    for day, cost, team in costs:
        tags = f'"{{""team"": ""{team}"", ""workload"": ""w""}}"'
        lines.append(
            f"1,USD,{month}-01T00:00:00Z,{month}-{day}T00:00:00Z,{month}-{day}T01:00:00Z,Usage,"
            f"{cost},{cost},EC2,S,AWS,{tags}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def total_of(numbers: Iterable[Any]) -> Decimal:
    return sum((D(str(n)) for n in numbers), D(0))


def test_the_rows_files_sum_to_the_total(written: ReportResult) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with written.files["focus.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert total_of(row["x_ReportedCost"] for row in rows) == written.report.total
    table = pq.read_table(written.files["focus.parquet"])
    assert pc.sum(table["x_ReportedCost"]).as_py() == written.report.total
    assert str(table.schema.field("BilledCost").type) == "decimal128(38, 12)"
    assert table.num_rows == len(rows) == written.report.rows


@pytest.mark.parametrize("name", ["focus.csv", "focus.parquet"])
def test_the_rows_keep_every_focus_rule(written: ReportResult, name: str) -> None:
    assert [str(finding) for finding in focus.check(written.files[name])] == []


def test_every_breakdown_sums_to_the_total(written: ReportResult) -> None:
    report = written.report
    assert total_of(line.cost for line in report.lines) == report.total
    assert total_of(cost for _, cost in report.daily) == report.total
    for name in BREAKDOWNS:
        assert total_of(cost for _, cost in report.breakdowns[name]) == report.total, name
    assert report.allocation is not None
    assert report.allocation.total == report.total
    assert report.estimate is not None
    assert total_of(step for _, step in report.bridge) == report.total - report.estimate
    assert total_of(v.actual for v in report.variance) == report.total


def test_the_summary_adds_up_to_the_cent(written: ReportResult) -> None:
    told = json.loads(written.files["summary.json"].read_text())
    assert D(told["total"]) == to_cents(written.report.total)
    assert D(told["total_exact"]) == written.report.total
    for name in BREAKDOWNS:
        assert total_of(told["by"][name].values()) == D(told["total"]), name
    assert total_of(told["daily"].values()) == D(told["total"])
    assert told["by"]["provider"].keys() == {"AWS", "Google Cloud", "Microsoft"}


class Formulas:
    """Computes the few kinds of formulas that the workbook has, from what openpyxl reads."""

    def __init__(self, path: Path) -> None:
        self.book = openpyxl.load_workbook(path)
        self.cached = openpyxl.load_workbook(path, data_only=True)

    def cell(self, sheet: str, ref: str) -> Any:
        value = self.book[sheet][ref.replace("$", "")].value
        return self.compute(sheet, value) if str(value).startswith("=") else value

    def span(self, sheet: str, text: str) -> list[Any]:
        if "!" in text:
            sheet, text = text.replace("'", "").split("!")
        cells = self.book[sheet][text.replace("$", "")]
        return [self.cell(sheet, row[0].coordinate) for row in cells]

    def compute(self, sheet: str, formula: str) -> Any:
        body = formula[1:]
        if match := re.fullmatch(r"SUM\((.+)\)", body):
            return total_of(v for v in self.span(sheet, match[1]) if v is not None)
        if match := re.fullmatch(r"SUMPRODUCT\((.+)\)", body):
            return self._product(sheet, match[1])
        if match := re.fullmatch(r"ROUND\((\w+)-'(.+)'!(\w+),6\)", body):
            return round(D(str(self.cell(sheet, match[1]))) - self.cell(match[2], match[3]), 6)
        if match := re.fullmatch(r"IF\((.+)=0,0,(\S+)/(\S+)\)", body):
            whole = self.cell(sheet, match[3])
            return D(str(self.cell(sheet, match[2]))) / whole if whole else D(0)
        left, right = body.split("-")
        return D(str(self.cell(sheet, left))) - D(str(self.cell(sheet, right)))

    def _product(self, sheet: str, text: str) -> Decimal:
        *tests, values = text.split("*")
        keep = [True] * len(self.span(sheet, values))
        for test in tests:
            span, ref = re.fullmatch(r"EXACT\((.+),(.+)\)", test).groups()  # type: ignore[union-attr]
            wanted = self.cell(sheet, ref)
            keep = [k and v == wanted for k, v in zip(keep, self.span(sheet, span), strict=True)]
        return total_of(v for k, v in zip(keep, self.span(sheet, values), strict=True) if k)


def test_every_formula_recomputes_to_its_cached_value(written: ReportResult) -> None:
    formulas = Formulas(written.files["report.xlsx"])
    count = 0
    for sheet in formulas.book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if str(cell.value).startswith("="):
                    count += 1
                    cached = formulas.cached[sheet.title][cell.coordinate].value
                    computed = formulas.compute(sheet.title, str(cell.value))
                    assert abs(float(computed) - cached) < 1e-6, (sheet.title, cell.coordinate)
    assert count > 60


def test_sheets_sum_to_the_total(written: ReportResult) -> None:
    book = openpyxl.load_workbook(written.files["report.xlsx"], data_only=True)
    names = ["Summary", "By team", "By environment", "By workload", "Variance", "Rows"]
    assert book.sheetnames == names
    total = float(written.report.total)
    assert book["Summary"]["B3"].value == pytest.approx(total, abs=1e-9)
    assert sum(r[7] for r in book["Rows"].iter_rows(min_row=2, values_only=True)) == pytest.approx(
        total, abs=1e-6
    )
    for dimension in DIMENSIONS:
        rows = list(book[f"By {dimension}"].iter_rows(min_row=2, values_only=True))
        *body, last = [row for row in rows if row[0]]
        assert last[1] == pytest.approx(total, abs=1e-6)
        assert sum(row[1] for row in body) == pytest.approx(total, abs=1e-6)
    sheets = openpyxl.load_workbook(written.files["report.xlsx"])
    assert all(len(sheets[f"By {d}"]._charts) == 1 for d in DIMENSIONS)
    assert len(sheets["Summary"]._charts) == 1


def page_cents(text: str, pattern: str) -> Decimal:
    return total_of(re.findall(pattern, text))


def test_the_page_shows_what_adds_up(written: ReportResult) -> None:
    text = written.files["report.html"].read_text()
    total = to_cents(written.report.total)
    assert f">${total:,.2f}</data>" in text
    lines = text[text.index('<table id="lines"') : text.index("<tfoot>")]
    assert page_cents(lines, r'data-cents="(-?[\d.]+)"') == total
    assert total_of(re.findall(r'data-exact="(-?\d+)"', lines)).scaleb(-12) == written.report.total
    for card in re.findall(r'<table class="card".*?</table>', text, re.S):
        assert page_cents(card, r'data-cents="(-?[\d.]+)"') == total
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "<script src" not in text
    assert "@import" not in text


def test_names_are_escaped_and_never_formulas(tmp_path: Path) -> None:
    evil = "=HYPERLINK(1)<script>alert(1)</script>"
    path = bill(tmp_path / "b.csv", [("05", "3", evil), ("06", "4", "a*")])
    result = main_report("2026-10", tmp_path / "out", sources=[path])
    assert "<script>alert" not in result.files["report.html"].read_text()
    assert result.report.breakdowns["team"] == [("a*", D(4)), (evil, D(3))]
    sheet = openpyxl.load_workbook(result.files["report.xlsx"])["By team"]
    assert (sheet["A3"].value, sheet["A3"].data_type) == (evil, "s")


def test_lines_beyond_the_most_are_summed_not_lost(written: ReportResult) -> None:
    lines = written.report.lines
    short = listed(lines, 5)
    assert total_of(line.cost for line in short) == written.report.total
    assert len(short) < len(lines)
    for dimension in DIMENSIONS:
        for name in {getattr(line, dimension) for line in lines}:
            both = [
                total_of(x.cost for x in some if getattr(x, dimension) == name)
                for some in (lines, short)
            ]
            assert both[0] == both[1]


def test_an_empty_month_is_said_and_is_zero(sample_dir: Path, tmp_path: Path) -> None:
    result = main_report(
        "2027-03", tmp_path, sources=[sample_dir / "bills" / "gcp*10.jsonl"], rates={"EUR": "0.92"},
        budget=[{"name": "all", "limit": 5}],
    )  # fmt: skip
    assert result.report.total == 0
    assert "No charges for 2027-03" in result.report.notes[0]
    assert "No charges for 2027-03" in result.files["report.html"].read_text()
    assert len(result.report.daily) == 31
    assert json.loads(result.files["summary.json"].read_text())["total"] == "0.00"


def test_a_leap_day_is_in_february(tmp_path: Path) -> None:
    path = bill(tmp_path / "b.csv", [("28", "1", "a"), ("29", "2", "a")], month="2028-02")
    report = main_report("2028-02", tmp_path / "out", sources=[path]).report
    assert [str(day) for day, cost in report.daily if cost] == ["2028-02-28", "2028-02-29"]
    assert report.total == 3
    assert report.forecast.remaining_days == 0


def test_what_is_set_aside_is_beside_the_total(tmp_path: Path) -> None:
    path = bill(tmp_path / "b.csv", [("05", "10", "a"), ("06", "-4", "a"), ("07", "x", "a")])
    text = path.read_text()
    path.write_text(text + text.splitlines()[1].replace("USD", "EUR") + "\n1,2,3\n")
    twin = bill(tmp_path / "twin.csv", [("05", "12", "a")])
    result = main_report("2026-10", tmp_path / "out", sources=[path, twin])
    report = result.report
    assert report.total == 10
    told = {(u.reason, u.source): (u.amount, u.counted) for u in report.unexplained}
    assert told[("no exchange rate from EUR to USD", "b.csv")] == (D(10), False)
    assert told[("the charge is in b.csv already", "twin.csv")] == (D(12), False)
    assert any("is no row of this bill" in reason for reason, _ in told)
    assert len(told) == 5
    page = result.files["report.html"].read_text()
    assert "Not in the total:" in page
    assert "no exchange rate from EUR to USD" in page
    book = openpyxl.load_workbook(result.files["report.xlsx"])["Summary"]
    assert "no exchange rate from EUR to USD" in {row[5].value for row in book.iter_rows()}


def test_an_unknown_sku_is_billed_and_named(tmp_path: Path) -> None:
    path = bill(tmp_path / "b.csv", [("05", "10", "a")])
    options = Options(known_skus=frozenset({"T"}))
    report = main_report("2026-10", tmp_path / "out", sources=[path], options=options).report
    assert report.total == 10
    assert report.breakdowns["service"] == [("Unexplained", D(10))]
    assert [(u.reason, u.counted) for u in report.unexplained] == [("unknown SKU S", True)]
    assert report.set_aside == []


def test_effective_cost_can_be_reported(sample_dir: Path, tmp_path: Path) -> None:
    options = Options(metric="EffectiveCost", currency="EUR")
    rates = {"base": "USD", "per_base": {"EUR": 0.92}, "as_of": "2026-10-01", "source": "test"}
    bills = [sample_dir / "bills" / f"{name}-2026-10.csv" for name in ("aws-cur", "azure-actual")]
    report = main_report("2026-10", tmp_path, sources=bills, rates=rates, options=options).report
    assert report.total == report.effective
    assert report.currency == "EUR"
    assert "€" in render_page(report)
    with pytest.raises(BadInput, match="no metric"):
        main_report("2026-10", tmp_path, sources=bills, options=Options(metric="ListCost"))


def test_a_big_focus_bill_is_not_written_again(tmp_path: Path) -> None:
    path = bill(tmp_path / "b.csv", [("05", "10", "a"), ("06", "1", "b")])
    result = main_report(
        "2026-10", tmp_path / "out", sources=[path], options=Options(copy_rows_up_to=1)
    )
    assert "focus.csv" not in result.files
    assert "aren't written again" in result.report.notes[0]


@pytest.mark.parametrize(
    ("rates", "message"),
    [([1], "no mapping"), ({"EUR": "much"}, "no amount"), ({"EUR": "0"}, "a rate > 0"),
     ({"per_base": 3}, "can't be read"), ({"per_base": {}, "as_of": "May"}, "can't be read")],
)  # fmt: skip
def test_bad_rates_are_refused(rates: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_rates(rates, "USD")


def test_rewriting_a_report_gives_the_same_files(written: ReportResult, tmp_path: Path) -> None:
    files = write_report(written.report, tmp_path)
    for name in ("report.html", "summary.json"):
        assert files[name].read_bytes() == written.files[name].read_bytes()
