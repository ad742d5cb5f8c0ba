"""What a report holds, apart from how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cost.allocation import Allocation, Rule
from cost.anomalies import Anomaly
from cost.budget import Decision, Forecast

DIMENSIONS: Final = ("team", "environment", "workload")
BREAKDOWNS: Final = (*DIMENSIONS, "provider", "service", "region", "category")
UNTAGGED: Final = "untagged"

# Where each dimension is looked for among a charge's tags, first one wins; any of the three usual
# cases (team, Team, TEAM) is the same tag.
TAG_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "team": ("team", "mlscale:team", "mlscale-team", "owner"),
    "environment": ("environment", "mlscale:environment", "mlscale-environment", "env", "stack"),
    "workload": ("workload", "mlscale:workload", "mlscale-workload", "app"),
}


@dataclass(frozen=True)
class Options:
    """What else a report can be told.

    ``metric`` is BilledCost (what is invoiced) or EffectiveCost (amortised). ``as_of`` is the last
    day that the bills are complete for; by default the last day they have. ``rules`` share out
    common costs (rules, or a JSON file of them); ``units`` are counts of work (see the docs).
    ``known_skus`` makes every other SKU an unknown one. ``tag_keys`` adds to or replaces entries
    of :data:`TAG_KEYS`. ``copy_rows_up_to`` is the number of rows beyond which the FOCUS files
    aren't written a second time when every source is FOCUS already.
    """

    currency: str = "USD"
    metric: str = "BilledCost"
    as_of: date | None = None
    rules: tuple[Rule, ...] | str | Path = ()
    units: Any = None
    known_skus: frozenset[str] | None = None
    tag_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    title: str = "Cost report"
    copy_rows_up_to: int = 2_000_000


@dataclass(frozen=True)
class ReportLine:
    """One line of the report: the month's cost of one combination of dimensions.

    ``service`` is "all others" on the lines that stand for what is too small to list.
    """

    team: str
    environment: str
    workload: str
    provider: str
    service: str
    region: str
    category: str
    cost: Decimal
    effective: Decimal
    previous: Decimal
    accelerator_hours: Decimal
    rows: int


@dataclass(frozen=True)
class Unexplained:
    """Charges of one source that share a reason; ``counted`` ones are in the total."""

    reason: str
    source: str
    currency: str
    amount: Decimal
    rows: int
    counted: bool


@dataclass(frozen=True)
class Variance:
    """One workload's plan and actual; ``reported`` amounts are in the report's currency."""

    team: str
    environment: str
    workload: str
    estimate: Decimal
    actual: Decimal
    why: str

    @property
    def difference(self) -> Decimal:
        """Actual less estimate."""
        return self.actual - self.estimate


@dataclass(frozen=True)
class UnitCost:
    """What one unit of work cost: a training run, a million predictions."""

    workload: str
    unit: str
    count: Decimal
    cost: Decimal

    @property
    def per_unit(self) -> Decimal | None:
        """Cost of one; none when there was none."""
        return self.cost / self.count if self.count else None


@dataclass(frozen=True)
class BudgetState:
    """A budget, what its scope has spent and will, and the decision."""

    name: str
    limit: Decimal
    scope: Mapping[str, str]
    spent: Decimal
    forecast: Forecast
    decision: Decision


@dataclass
class Report:
    """A month's cost, complete: ``total`` is the sum of ``lines`` and of every breakdown."""

    title: str
    period: str
    currency: str
    metric: str
    as_of: date
    first_day: date
    days: int
    total: Decimal
    effective: Decimal
    previous: Decimal | None
    rows: int
    lines: list[ReportLine]
    daily: list[tuple[date, Decimal]]
    breakdowns: dict[str, list[tuple[str, Decimal]]]
    forecast: Forecast
    unexplained: list[Unexplained] = field(default_factory=list)
    variance: list[Variance] = field(default_factory=list)
    bridge: list[tuple[str, Decimal]] = field(default_factory=list)
    budgets: list[BudgetState] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    allocation: Allocation | None = None
    units: list[UnitCost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)

    @property
    def estimate(self) -> Decimal | None:
        """The sum of the plan, when one was given."""
        if not self.bridge:
            return None
        return sum((v.estimate for v in self.variance), Decimal(0))

    @property
    def set_aside(self) -> list[Unexplained]:
        """What is not in the total."""
        return [u for u in self.unexplained if not u.counted]


@dataclass(frozen=True)
class ReportResult:
    """A written report: its figures and its files by name."""

    report: Report
    files: Mapping[str, Path]
