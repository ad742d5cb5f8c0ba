"""The door of the reports: one call that reads the bills and writes all files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from cost.actuals import Bills, Period, Source, open_bills
from cost.allocation import load_rules
from cost.budget import load_budgets, read_json
from cost.money import Rates, parse
from infra.core.errors import BadInput, Problem

from .build import build_report
from .model import Options, Report, ReportResult
from .rows import write_rows
from .summary import summary

_METRICS = ("BilledCost", "EffectiveCost")


def main_report(
    period: str,
    out: str | Path,
    *,
    sources: Iterable[str | Path | Source],
    estimate: Any = None,
    budget: Any = None,
    rates: Rates | Mapping[str, Any] | str | Path | None = None,
    options: Options | None = None,
) -> ReportResult:
    """Write ``focus.csv``, ``focus.parquet``, ``report.xlsx``, ``report.html``, ``summary.json``.

    ``period`` is a month, ``2026-10``. ``sources`` are bills: files, folders or patterns of AWS
    CUR 2.0, GCP BigQuery exports, Azure cost exports or FOCUS. ``estimate`` is a JSON file
    ``{"currency", "lines": [{"team", "environment", "workload", "amount"}]}``, a FOCUS CSV or such
    mappings; ``budget`` a JSON file or mappings with the fields of :class:`cost.budget.Budget`;
    ``rates`` units of each currency per unit of the report's, a :class:`cost.money.Rates`, or a
    JSON file of its fields. BadInput names the file that is wrong.
    """
    options = options or Options()
    if options.metric not in _METRICS:
        raise BadInput(Problem(f"no metric {options.metric!r}", expected=" or ".join(_METRICS)))
    if isinstance(options.rules, str | Path):
        options = replace(options, rules=tuple(load_rules(read_json(Path(options.rules)))))
    month = Period.parse(period)
    if options.as_of is not None and not month.start <= options.as_of < month.end:
        raise BadInput(
            Problem(
                f"as-of {options.as_of} isn't in the month",
                expected=f"{month.start} to {month.end - timedelta(days=1)}",
            )
        )
    budgets = load_budgets(budget) if budget is not None else []
    held = load_rates(rates, options.currency)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with open_bills(
        sources,
        currency=options.currency,
        rates=held,
        known_skus=options.known_skus,
        metric=options.metric,
    ) as bills:
        report = build_report(bills, month, options, estimate, budgets, held)
        files = _write_focus(bills, month, report, options, folder)
    return ReportResult(report, {**files, **write_report(report, folder)})


def write_report(report: Report, folder: Path) -> dict[str, Path]:
    """The workbook, the page and the summary of a report's figures."""
    from .page import render_page
    from .workbook import write_workbook

    files = {name: folder / name for name in ("report.xlsx", "report.html", "summary.json")}
    write_workbook(report, files["report.xlsx"])
    files["report.html"].write_text(render_page(report), encoding="utf-8")
    text = json.dumps(summary(report), indent=2, ensure_ascii=False)
    files["summary.json"].write_text(text + "\n", encoding="utf-8")
    return files


def _write_focus(
    bills: Bills, month: Period, report: Report, options: Options, folder: Path
) -> dict[str, Path]:
    files = {name: folder / name for name in ("focus.csv", "focus.parquet")}
    already = all(opened.kind == "focus" for opened in bills.files)
    if already and report.rows > options.copy_rows_up_to:
        for path in files.values():  # left from an earlier, smaller run: it would contradict
            path.unlink(missing_ok=True)
        report.notes.append(
            f"The {report.rows:,} rows are FOCUS already and aren't written again; they are in "
            + ", ".join(opened.label for opened in bills.files)
        )
        return {}
    write_rows(bills, month, files["focus.csv"], files["focus.parquet"])
    return files


def load_rates(rates: Rates | Mapping[str, Any] | str | Path | None, currency: str) -> Rates | None:
    """Rates from a file, from ``{currency: units per unit of the report's}``, or as they are."""
    if rates is None or isinstance(rates, Rates):
        return rates
    given = read_json(Path(rates)) if isinstance(rates, str | Path) else rates
    if not isinstance(given, Mapping):
        raise BadInput(
            Problem("the rates are no mapping", file=str(rates), expected="currency: rate")
        )
    if "per_base" not in given:
        given = {"per_base": given, "base": currency}
    try:
        return Rates(
            {
                code: parse(_exact(value), f"rate of {code}")
                for code, value in given["per_base"].items()
            },
            date.fromisoformat(given.get("as_of", "0001-01-01")),
            str(given.get("source", "given")),
            str(given.get("base", currency)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInput(
            Problem(f"the rates can't be read ({error})", expected="base, as_of, source, per_base")
        ) from error


def _exact(value: Any) -> str | int | Decimal:
    """A rate's digits as they are written in the file."""
    return repr(value) if isinstance(value, float) else value
