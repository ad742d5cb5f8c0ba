"""The page: one HTML file that works from disk, with figures that add up as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from cost.actuals.columns import DECIMAL_SCALE
from cost.money import total

from .charts import Bullet, bullet_chart, daily_chart, waterfall
from .display import OTHERS, cents, money, month_name, percent, top
from .model import BREAKDOWNS, Report, ReportLine

MOST_LINES: Final = 400
_MOST_IN_CARD: Final = 8
_MOST_MOVERS: Final = 6
_CARDS: Final = (*BREAKDOWNS[:3], "service", "provider", "category")
_ACTIONS: Final = {"ok": "within", "warn": "warning", "refuse": "refused", "stop": "stop"}


@dataclass(frozen=True)
class Mover:
    """What changed most against the month before."""

    name: str
    now: Decimal
    before: Decimal

    @property
    def change(self) -> Decimal:
        """Now less before."""
        return self.now - self.before


def render_page(report: Report) -> str:
    """The whole page as text, without a reference to anything outside it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cost.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        money=lambda v: money(v, report.currency),
        signed=lambda v: money(v, report.currency, signed=True),
    )
    return environment.get_template("page.html").render(**_context(report))


def _context(report: Report) -> dict[str, Any]:
    lines = listed(report.lines, MOST_LINES)
    flagged = frozenset(
        a.start + timedelta(days=i)
        for a in report.anomalies
        for i in range((a.end - a.start).days + 1)
    )
    coming = (report.forecast.expected - report.forecast.spent) / (
        report.forecast.remaining_days or 1
    )
    return {
        "report": report,
        "month": month_name(report.first_day),
        "percent": percent,
        "headline": _headline(report),
        "daily": daily_chart(report.daily, report.as_of, coming, flagged, report.currency),
        "cards": [(name, _card(report.breakdowns[name])) for name in _CARDS],
        "budgets": [
            (state, _ACTIONS[state.decision.action], bullet_chart(
                Bullet(state.name, state.spent, state.forecast.expected, state.forecast.low,
                       state.forecast.high, state.limit, state.decision.action),
                number, report.currency))
            for number, state in enumerate(report.budgets)
        ],
        "bridge": waterfall(report.estimate, report.bridge, report.total, report.currency)
        if report.estimate is not None
        else None,
        "movers": movers(report.lines, _MOST_MOVERS) if report.previous is not None else [],
        "before": _before(report),
        "lines": list(zip(lines, cents([line.cost for line in lines]), strict=True)),
        "choices": {
            name: sorted({getattr(line, name) for line in lines}) for name in BREAKDOWNS[:3]
        },
        "exact": exact_units,
        "scale": DECIMAL_SCALE,
    }  # fmt: skip


def exact_units(amount: Decimal) -> int:
    """An amount as a whole number of 1e-12, which the page's script adds without loss."""
    return int(amount.scaleb(DECIMAL_SCALE))


def _headline(report: Report) -> list[tuple[str, str, str]]:
    """The facts beside the total: label, figure, and what it means."""
    facts = []
    forecast = report.forecast
    if forecast.remaining_days:
        note = f"{money(forecast.low, report.currency)} to {money(forecast.high, report.currency)}"
        facts.append(("By month end", money(forecast.expected, report.currency), note))
    overall = next((state for state in report.budgets if not state.scope), None)
    if overall is not None:
        share = percent(forecast.expected, overall.limit)
        facts.append(("Budget", money(overall.limit, report.currency), f"{share} of it expected"))
    if report.estimate is not None:
        off = forecast.expected - report.estimate
        word = "expected" if forecast.remaining_days else "spent"
        note = f"{money(off, report.currency, signed=True)} {word}"
        facts.append(("Estimate", money(report.estimate, report.currency), note))
    if report.previous is not None:
        change = percent(report.total - report.previous, report.previous, signed=True)
        label = "Month before, to date" if forecast.remaining_days else "Month before"
        facts.append((label, money(report.previous, report.currency), f"{change} since"))
    if report.effective != report.total and report.metric == "BilledCost":
        facts.append(("Amortised", money(report.effective, report.currency), "effective cost"))
    return facts


def _before(report: Report) -> str:
    """What this month is compared with."""
    if report.forecast.remaining_days:
        return "the same days of the month before"
    return "the month before"


def _card(rows: Sequence[tuple[str, Decimal]]) -> list[tuple[str, Decimal, Decimal, str, float]]:
    """Rows of a breakdown: name, cents, exact amount, share, length of its bar in per cent."""
    shown = top(rows, _MOST_IN_CARD)
    whole = total(amount for _, amount in shown)
    widest = max((abs(amount) for _, amount in shown), default=Decimal(0)) or Decimal(1)
    rounded = cents([amount for _, amount in shown])
    return [
        (name, cent, amount, percent(amount, whole), float(max(amount, Decimal(0)) / widest * 100))
        for (name, amount), cent in zip(shown, rounded, strict=True)
    ]


def movers(lines: Sequence[ReportLine], most: int) -> list[Mover]:
    """Workloads whose cost changed most since the month before, credits and tax apart."""
    found: dict[str, Mover] = {}
    for line in lines:
        if line.category != "Usage":
            continue
        name = f"{line.workload} · {line.service}"
        held = found.get(name, Mover(name, Decimal(0), Decimal(0)))
        found[name] = Mover(name, held.now + line.cost, held.before + line.previous)
    ordered = sorted(found.values(), key=lambda m: (-abs(m.change), m.name))
    return [mover for mover in ordered[:most] if mover.change]


def listed(lines: Sequence[ReportLine], most: int) -> list[ReportLine]:
    """The costliest lines, and one for the rest of each team, environment and workload."""
    lines = [line for line in lines if line.rows]
    if len(lines) <= most:
        return lines
    rest: dict[tuple[str, str, str], ReportLine] = {}
    for line in lines[most:]:
        key = (line.team, line.environment, line.workload)
        held = rest.get(key)
        if held is None:
            rest[key] = replace(
                line, provider=OTHERS, service=OTHERS, region=OTHERS, category=OTHERS
            )
            continue
        rest[key] = replace(
            held,
            cost=held.cost + line.cost,
            effective=held.effective + line.effective,
            previous=held.previous + line.previous,
            accelerator_hours=held.accelerator_hours + line.accelerator_hours,
            rows=held.rows + line.rows,
        )
    return [*lines[:most], *rest.values()]
