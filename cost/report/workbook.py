"""The workbook for finance: formulas that recompute from the Rows sheet, native charts.

Every formula is written with its value, so that programs that don't compute show the same. Names
are compared with ``EXACT``: a plain criterion would take ``*`` and case for wildcards. Text is
never taken for a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cost.money import total

from .display import month_name
from .model import DIMENSIONS, Report, ReportLine
from .page import listed

MOST_ROWS: Final = 50_000
_HEAD: Final = (
    *DIMENSIONS, "provider", "service", "region", "category",
    "cost", "effective", "month before", "accelerator-hours", "charges",
)  # fmt: skip
_COST: Final = "H"
_BEFORE: Final = "J"
_COLUMN: Final = dict(zip(DIMENSIONS, "ABC", strict=True))


@dataclass(frozen=True)
class _Styles:
    """Formats of one workbook."""

    head: Any
    money: Any
    percent: Any
    bold: Any
    bold_money: Any
    title: Any
    plain: Any


class _Sheet:
    """A worksheet with a cursor: text as text, numbers as numbers, formulas with their value."""

    def __init__(self, book: Any, name: str, styles: _Styles, widths: Sequence[int]) -> None:
        self.sheet = book.add_worksheet(name)
        self.styles = styles
        self.row = 0
        for index, width in enumerate(widths):
            self.sheet.set_column(index, index, width)

    def text(self, column: int, value: str, style: Any = None) -> None:
        """A string, whatever it begins with."""
        self.sheet.write_string(self.row, column, value, style or self.styles.plain)

    def money(self, column: int, value: Decimal, style: Any = None) -> None:
        """An amount."""
        self.sheet.write_number(self.row, column, float(value), style or self.styles.money)

    def formula(self, column: int, formula: str, value: Decimal, style: Any = None) -> None:
        """A formula and what it comes to."""
        self.sheet.write_formula(
            self.row, column, formula, style or self.styles.money, float(value)
        )

    def head(self, names: Sequence[str]) -> None:
        """A row of headings that stays in view."""
        for column, name in enumerate(names):
            self.text(column, name, self.styles.head)
        self.row += 1


def write_workbook(report: Report, path: Path) -> None:
    """Write the sheets Summary, By team, By environment, By workload, Variance and Rows."""
    import xlsxwriter

    lines = listed(report.lines, MOST_ROWS)
    with xlsxwriter.Workbook(str(path)) as book:
        book.set_properties({"title": f"{report.title} {report.period}"})
        styles = _styles(book, report.currency)
        summary = _Sheet(book, "Summary", styles, (34, 18, 18, 18, 18, 60))
        for dimension in DIMENSIONS:
            _dimension_sheet(book, styles, dimension, lines)
        _variance_sheet(book, report, styles, len(lines))
        _rows_sheet(book, styles, lines)
        _summary_sheet(book, summary, report, len(lines))


def _styles(book: Any, currency: str) -> _Styles:
    number = "#,##0.00;[Red]-#,##0.00"
    make: Callable[[dict[str, Any]], Any] = book.add_format
    return _Styles(
        head=make({"bold": True, "bottom": 1, "font_color": "#5c6570"}),
        money=make({"num_format": number}),
        percent=make({"num_format": "0.0%"}),
        bold=make({"bold": True, "top": 1}),
        bold_money=make({"bold": True, "top": 1, "num_format": number}),
        title=make({"bold": True, "font_size": 16, "num_format": f'"{currency}" {number}'}),
        plain=make({}),
    )


def _span(column: str, count: int) -> str:
    return f"Rows!${column}$2:${column}${max(count, 1) + 1}"


def _dimension_sheet(
    book: Any, styles: _Styles, dimension: str, lines: Sequence[ReportLine]
) -> None:
    sheet = _Sheet(book, f"By {dimension}", styles, (34, 18, 12, 18, 18))
    sheet.head((dimension, "cost", "share", "month before", "change"))
    costs: dict[str, Decimal] = {}
    before: dict[str, Decimal] = {}
    for line in lines:
        name = getattr(line, dimension)
        costs[name] = costs.get(name, Decimal(0)) + line.cost
        before[name] = before.get(name, Decimal(0)) + line.previous
    names = sorted(costs, key=lambda name: (-costs[name], name))
    last = len(names) + 1
    own = _span(_COLUMN[dimension], len(lines))
    whole = total(costs.values())
    for index, name in enumerate(names):
        row = index + 2
        sheet.text(0, name)
        picked = f"EXACT({own},A{row})*{{}}"
        sheet.formula(1, f"=SUMPRODUCT({picked.format(_span(_COST, len(lines)))})", costs[name])
        share = costs[name] / whole if whole else Decimal(0)
        sheet.formula(2, f"=IF(B${last + 1}=0,0,B{row}/B${last + 1})", share, styles.percent)
        sheet.formula(3, f"=SUMPRODUCT({picked.format(_span(_BEFORE, len(lines)))})", before[name])
        sheet.formula(4, f"=B{row}-D{row}", costs[name] - before[name])
        sheet.row += 1
    _sum_row(sheet, last, {1: whole, 3: total(before.values())})
    if names:
        _bar_chart(book, sheet, f"By {dimension}", dimension, last)


def _sum_row(sheet: _Sheet, last: int, sums: dict[int, Decimal]) -> None:
    sheet.text(0, "total", sheet.styles.bold)
    for column, value in sums.items():
        letter = "ABCDEFGH"[column]
        span = f"=SUM({letter}2:{letter}{last})" if last > 1 else "=0"
        sheet.formula(column, span, value, sheet.styles.bold_money)
    sheet.sheet.freeze_panes(1, 0)


def _bar_chart(book: Any, sheet: _Sheet, title: str, name: str, last: int) -> None:
    chart = book.add_chart({"type": "bar"})
    shown = min(last, 16)
    source = f"'By {name}'"
    chart.add_series(
        {
            "name": "cost",
            "categories": f"={source}!$A$2:$A${shown}",
            "values": f"={source}!$B$2:$B${shown}",
            "fill": {"color": "#2458a6"},
            "gap": 60,
        }
    )
    chart.set_title({"name": title, "name_font": {"size": 12}})
    chart.set_legend({"none": True})
    chart.set_y_axis({"reverse": True})
    chart.set_x_axis({"num_format": "#,##0", "major_gridlines": {"visible": True}})
    chart.set_size({"width": 620, "height": max(240, 28 * shown + 80)})
    sheet.sheet.insert_chart("G2", chart, {"description": f"Bar chart of cost by {name}"})


def _variance_sheet(book: Any, report: Report, styles: _Styles, count: int) -> None:
    sheet = _Sheet(book, "Variance", styles, (18, 18, 26, 18, 18, 18, 40))
    sheet.head((*DIMENSIONS, "estimate", "actual", "difference", "why"))
    for index, row in enumerate(report.variance):
        at = index + 2
        for column, text in enumerate((row.team, row.environment, row.workload)):
            sheet.text(column, text)
        sheet.money(3, row.estimate)
        keys = "*".join(
            f"EXACT({_span(_COLUMN[name], count)},{letter}{at})"
            for name, letter in zip(DIMENSIONS, "ABC", strict=True)
        )
        sheet.formula(4, f"=SUMPRODUCT({keys}*{_span(_COST, count)})", row.actual)
        sheet.formula(5, f"=E{at}-D{at}", row.difference)
        sheet.text(6, row.why)
        sheet.row += 1
    sums = [
        total(getattr(v, name) for v in report.variance)
        for name in ("estimate", "actual", "difference")
    ]
    _sum_row(sheet, len(report.variance) + 1, dict(zip((3, 4, 5), sums, strict=True)))
    sheet.row += 2
    for name, amount in report.bridge:
        sheet.text(0, name)
        sheet.money(5, amount)
        sheet.row += 1


def _rows_sheet(book: Any, styles: _Styles, lines: Sequence[ReportLine]) -> None:
    sheet = _Sheet(book, "Rows", styles, (16, 14, 20, 14, 34, 14, 12, 16, 16, 16, 16, 10))
    sheet.head(_HEAD)
    for line in lines:
        texts = (line.team, line.environment, line.workload, line.provider, line.service,
                 line.region, line.category)  # fmt: skip
        for column, text in enumerate(texts):
            sheet.text(column, text)
        numbers = (line.cost, line.effective, line.previous, line.accelerator_hours)
        for column, number in enumerate(numbers, start=7):
            sheet.money(column, number)
        sheet.sheet.write_number(sheet.row, 11, line.rows)
        sheet.row += 1
    sheet.sheet.freeze_panes(1, 0)
    if lines:
        sheet.sheet.autofilter(0, 0, len(lines), len(_HEAD) - 1)


def _summary_sheet(book: Any, sheet: _Sheet, report: Report, count: int) -> None:
    styles = sheet.styles
    sheet.text(0, f"{report.title}, {month_name(report.first_day)}", styles.title)
    sheet.row += 2
    sheet.text(0, f"total ({report.metric})", styles.bold)
    sheet.formula(1, f"=SUM({_span(_COST, count)})", report.total, styles.bold_money)
    sheet.row += 1
    for dimension in DIMENSIONS:
        sheet.text(0, f"check: total less By {dimension}")
        names = {getattr(line, dimension) for line in listed(report.lines, MOST_ROWS)}
        sheet.formula(1, f"=ROUND(B3-'By {dimension}'!B{len(names) + 2},6)", Decimal(0))
        sheet.row += 1
    facts: list[tuple[str, Decimal | None]] = [
        ("effective cost", report.effective),
        ("month before", report.previous),
        ("expected at month end", report.forecast.expected),
        ("  at least", report.forecast.low),
        ("  at most", report.forecast.high),
        ("estimate", report.estimate),
    ]
    for name, amount in facts:
        if amount is not None:
            sheet.text(0, name)
            sheet.money(1, amount)
            sheet.row += 1
    sheet.row += 1
    if report.budgets:
        _budget_rows(sheet, report)
    if report.unexplained:
        _unexplained_rows(sheet, report)
    _daily_rows(book, sheet, report)


def _budget_rows(sheet: _Sheet, report: Report) -> None:
    sheet.head(("budget", "limit", "spent", "expected", "left", "decision"))
    for state in report.budgets:
        row = sheet.row + 1
        sheet.text(0, state.name)
        sheet.money(1, state.limit)
        sheet.money(2, state.spent)
        sheet.money(3, state.forecast.expected)
        sheet.formula(4, f"=B{row}-D{row}", state.limit - state.forecast.expected)
        sheet.text(5, f"{state.decision.action}: {state.decision.reason}")
        sheet.row += 1
    sheet.row += 1


def _unexplained_rows(sheet: _Sheet, report: Report) -> None:
    sheet.head(("unexplained, by bill", "amount", "currency", "charges", "in the total", "reason"))
    for entry in report.unexplained:
        sheet.text(0, entry.source)
        sheet.money(1, entry.amount)
        sheet.text(2, entry.currency)
        sheet.sheet.write_number(sheet.row, 3, entry.rows)
        sheet.text(4, "yes" if entry.counted else "no")
        sheet.text(5, entry.reason)
        sheet.row += 1
    sheet.row += 1


def _daily_rows(book: Any, sheet: _Sheet, report: Report) -> None:
    sheet.head(("day", "cost"))
    first = sheet.row + 1
    for day, amount in report.daily:
        sheet.text(0, day.isoformat())
        sheet.money(1, amount)
        sheet.row += 1
    sheet.text(0, "total", sheet.styles.bold)
    whole = total(amount for _, amount in report.daily)
    sheet.formula(1, f"=SUM(B{first}:B{sheet.row})", whole, sheet.styles.bold_money)
    chart = book.add_chart({"type": "column"})
    chart.add_series(
        {
            "name": "cost",
            "categories": f"=Summary!$A${first}:$A${sheet.row}",
            "values": f"=Summary!$B${first}:$B${sheet.row}",
            "fill": {"color": "#2458a6"},
            "gap": 40,
        }
    )
    chart.set_title({"name": f"Cost by day, {report.currency}", "name_font": {"size": 12}})
    chart.set_legend({"none": True})
    chart.set_size({"width": 760, "height": 300})
    sheet.sheet.insert_chart("H2", chart, {"description": "Column chart of cost by day"})
