"""Bills of several clouds as one FOCUS relation in DuckDB, with a reason on what can't count.

The relation is a view: nothing is read until it is asked, and only the columns asked for. Every
row is one of three: counted; counted but not explained (its money is on the bill, yet its SKU or
service is not known); or set aside, because its amount can't be trusted or converted. What is set
aside is never in a total and always beside it, with the reason.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cost.money import Rates
from infra.core.errors import BadInput, MissingTool, Problem

from . import aws, azure, finish, focus, gcp
from ._sql import literal
from .columns import DECIMAL_SQL
from .overlap import overlap_keys
from .sources import Opened, Source, expand, open_source

if TYPE_CHECKING:
    import duckdb

_SELECTORS: Final = {
    "focus": focus.select,
    "aws-cur": aws.select,
    "gcp": gcp.select,
    "azure": azure.select,
    "azure-amortized": azure.select,
}
# Reasons with this mark are counted: the money is billed, only its meaning is not known.
COUNTED: Final = "unknown "


@dataclass(frozen=True)
class Period:
    """One calendar month, ``2026-10``: the first day and the first day after it (UTC)."""

    start: date
    end: date

    @classmethod
    def parse(cls, text: str) -> Period:
        """From ``YYYY-MM``; BadInput for anything else."""
        try:
            start = date.fromisoformat(f"{text}-01")
        except ValueError as error:
            raise BadInput(
                Problem(f"{text!r} is no month", expected="YYYY-MM, for instance 2026-10")
            ) from error
        after = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        return cls(start, after)

    @property
    def days(self) -> int:
        """Days of the month, 29 in a leap February."""
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"{self.start:%Y-%m}"


@dataclass
class Bills:
    """Opened bills: ``view`` has the FOCUS columns and ``x_ReportedCost``, ``x_Reason``, …"""

    connection: duckdb.DuckDBPyConnection
    files: list[Opened]
    currency: str
    view: str = "bills"
    notes: list[str] = field(default_factory=list)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; a bill that breaks while it is read is one clear message."""
        try:
            return self.connection.execute(sql).fetchall()
        except Exception as error:
            raise self._broken(error) from error

    def run(self, sql: str) -> None:
        """A statement without a result, with the same care."""
        try:
            self.connection.execute(sql)
        except Exception as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> Exception:
        text = str(error)
        # These speak of the query or the machine, not of what was read.
        ours = ("Binder Error", "Parser Error", "Catalog Error", "Out of Memory", "INTERNAL")
        if text.startswith(ours):
            return error
        named = [str(f.path) for f in self.files if str(f.path) in text or f.label in text]
        where = named[0] if named else ", ".join(str(f.path) for f in self.files)
        first = text.splitlines()[0][:200]
        return BadInput(
            Problem(
                f"the bill is damaged or cut short ({first})",
                file=where,
                fix="fetch or export this file again",
            )
        )

    def rejected(self) -> list[tuple[str, int, str]]:
        """Lines that aren't rows (too few or too many fields): file, line, message."""
        found: list[tuple[str, int, str]] = []
        for opened in self.files:
            if opened.rejects is None:
                continue
            rows = self.connection.execute(
                f"SELECT DISTINCT line, first(error_message) FROM {opened.rejects} GROUP BY line"
                " ORDER BY line"
            ).fetchall()
            found += [(opened.label, int(line), str(text).splitlines()[0]) for line, text in rows]
        return found


@contextmanager
def open_bills(
    sources: Iterable[str | Path | Source],
    *,
    currency: str = "USD",
    rates: Rates | Mapping[str, Decimal] | None = None,
    known_skus: frozenset[str] | None = None,
    metric: str = "BilledCost",
    memory: str = "600MB",
) -> Iterator[Bills]:
    """Open bills of any kind as one view, in ``currency``.

    ``rates`` gives units of each currency per unit of ``currency`` (or :class:`cost.money.Rates`).
    ``metric`` is the cost column that is reported (``BilledCost`` or ``EffectiveCost``).
    BadInput for a file that is missing, foreign, damaged or given twice.
    """
    files = expand(sources)
    connection = _connect(memory)
    try:
        opened = [open_source(connection, source, i) for i, source in enumerate(files)]
        bills = Bills(connection, opened, currency)
        for number, one in enumerate(opened):
            connection.execute(f"CREATE VIEW source_{number} AS {_relation(one)}")
        overlaps = overlap_keys(bills, len(opened)) if len(opened) > 1 else None
        factors = _factors(rates, currency)
        _create_view(bills, factors, known_skus, metric, overlaps)
        yield bills
    finally:
        connection.close()


def _connect(memory: str) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
    except ImportError as error:
        raise MissingTool(
            Problem("reading bills needs DuckDB", fix="pip install 'mlscale[cost]'")
        ) from error
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{memory}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")
    return connection


def _relation(opened: Opened) -> str:
    source = gcp.relation(opened) if opened.kind == "gcp" else opened.relation
    listed = finish.typed(_SELECTORS[opened.kind](opened))
    selected = f"SELECT {listed} FROM {source}"
    return selected if opened.kind == "focus" else finish.finished(selected)


def _factors(rates: Rates | Mapping[str, Decimal] | None, currency: str) -> dict[str, Decimal]:
    """What one unit of each currency is worth in the report's."""
    if rates is None:
        return {}
    if not isinstance(rates, Rates):
        rates = Rates(dict(rates), date.min, "given", currency)
    codes = {rates.base, *rates.per_base} - {currency}
    return {code: rates.convert(Decimal(1), code, currency) for code in sorted(codes)}


def _reported(cost: str, currency: str, factors: Mapping[str, Decimal]) -> str:
    whens = [f"WHEN {literal(currency)} THEN {cost}"]
    for code, factor in factors.items():
        product = f"{cost} * CAST('{factor:.12f}' AS DECIMAL(18,12))"
        whens.append(f"WHEN {literal(code)} THEN CAST({product} AS {DECIMAL_SQL})")
    return f"CASE BillingCurrency {' '.join(whens)} END"


def _reason(
    currency: str, factors: Mapping[str, Decimal], skus: frozenset[str] | None, metric: str
) -> str:
    """Why a row isn't counted, or isn't explained; null for the rest. Order is precedence."""
    known = ", ".join(map(literal, [currency, *factors]))
    usage = "ChargeCategory IN ('Usage','Purchase') AND ChargeClass IS NULL"
    checks = [
        (f"{metric} IS NULL", "'the cost is missing or unreadable'"),
        ("ChargePeriodStart IS NULL", "'the charge has no readable date'"),
        ("ListUnitPrice < 0 OR ContractedUnitPrice < 0", "'the unit price is negative'"),
        (
            f"{usage} AND {metric} < 0",
            "'a negative charge that is neither credit, refund nor correction'",
        ),
        ("ChargePeriodEnd <= ChargePeriodStart", "'the charge ends before it starts'"),
        ("BillingCurrency IS NULL", "'the currency is missing'"),
        (
            f"BillingCurrency NOT IN ({known})",
            f"concat('no exchange rate from ', BillingCurrency, ' to {currency}')",
        ),
        ("ServiceName IS NULL", f"'{COUNTED}service'"),
        (f"{usage} AND SkuId IS NULL", f"'{COUNTED}SKU (none is given)'"),
    ]
    if skus is not None:
        listed = ", ".join(map(literal, sorted(skus))) or "''"
        checks.append((f"{usage} AND SkuId NOT IN ({listed})", f"concat('{COUNTED}SKU ', SkuId)"))
    return "CASE " + " ".join(f"WHEN {test} THEN {why}" for test, why in checks) + " END"


def _create_view(
    bills: Bills,
    factors: Mapping[str, Decimal],
    skus: frozenset[str] | None,
    metric: str,
    overlaps: dict[int, str] | None,
) -> None:
    reason = _reason(bills.currency, factors, skus, metric)
    parts = []
    for number, opened in enumerate(bills.files):
        why = reason
        if overlaps and number in overlaps:
            why = f"coalesce({overlaps[number]}, {reason})"
        # A row that is set aside keeps its own amount and is no part of the reported one.
        reported = _reported(metric, bills.currency, factors)
        effective = _reported("EffectiveCost", bills.currency, factors)
        parts.append(
            f"SELECT *, {reported} AS x_ReportedCost, {literal(bills.currency)} AS "
            f"x_ReportedCurrency, {literal(opened.label)} AS x_Source, {why} AS x_Reason, "
            f"{effective} AS x_ReportedEffective FROM source_{number}"
        )
    bills.connection.execute(f"CREATE VIEW {bills.view} AS {' UNION ALL BY NAME '.join(parts)}")
