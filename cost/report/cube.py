"""One pass over the bills into a small cube; every figure of a report is a sum over it.

Charges are grouped by the raw text of their tags: a few hundred tag sets are parsed instead of
millions of rows. Charges of earlier months stay in the cube as the history that anomalies and
forecasts need; ``in_period`` tells them apart.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from cost.actuals import COUNTED, Bills, Period
from cost.actuals._sql import literal
from cost.actuals.columns import DECIMAL_SQL

from .model import DIMENSIONS, TAG_KEYS, UNTAGGED, ReportLine
from .rows import in_period

HISTORY_DAYS: Final = 62
RESOURCE_ROWS: Final = 1_000_000  # beyond these, what drove an anomaly is told without resources

_COUNTED = f"(reason IS NULL OR starts_with(reason, {literal(COUNTED)}))"
_HERE = f"in_period AND {_COUNTED}"


class Cube:
    """The cube of opened bills for a month."""

    def __init__(
        self, bills: Bills, period: Period, metric: str, tags: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._bills = bills
        self._period = period
        self._scan(metric)
        self._parse_tags({**TAG_KEYS, **tags})

    def _scan(self, metric: str) -> None:
        period = self._period
        month = in_period(period)
        start = f"TIMESTAMP '{period.start}' - INTERVAL {HISTORY_DAYS} DAY"
        recent = f"ChargePeriodStart >= {start} AND ChargePeriodStart < TIMESTAMP '{period.end}'"
        self._bills.run(
            f"""CREATE TABLE raw_cube AS SELECT
            CAST(ChargePeriodStart AS DATE) AS day, {month} AS in_period,
            ProviderName AS provider, ServiceName AS service, RegionId AS region,
            ChargeCategory AS category, ChargeClass AS class, BillingCurrency AS currency,
            CASE WHEN PricingUnit = 'Hours' THEN SkuPriceDetails END AS details, Tags AS tags,
            x_Source AS source, x_Reason AS reason,
            sum(x_ReportedCost) AS cost, sum({metric}) FILTER (WHERE x_Reason IS NOT NULL) AS own,
            sum(x_ReportedEffective) AS effective,
            sum(PricingQuantity) FILTER (WHERE PricingUnit = 'Hours') AS hours, count(*) AS n
            FROM {self._bills.view} WHERE ({month}) OR ({recent}) GROUP BY ALL"""
        )

    def _parse_tags(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        found = ", ".join(f"{_tag(keys[name])} AS {name}" for name in DIMENSIONS)
        gpus = "TRY_CAST(json_extract_string(details, '$.GpuCount') AS DOUBLE)"
        hours = f"CASE WHEN json_valid(details) THEN {gpus} * CAST(hours AS DOUBLE) END"
        self._bills.run(
            f"""CREATE TABLE cube AS WITH known AS (
            SELECT tags, {found} FROM (SELECT DISTINCT tags FROM raw_cube WHERE json_valid(tags)))
            SELECT raw_cube.* REPLACE (coalesce(provider, 'unknown') AS provider,
              CASE WHEN reason IS NULL THEN service ELSE 'Unexplained' END AS service,
              coalesce(region, 'no region') AS region, coalesce(category, 'Usage') AS category),
            {", ".join(f"coalesce({name}, '{UNTAGGED}') AS {name}" for name in DIMENSIONS)},
            CAST(coalesce({hours}, 0) AS {DECIMAL_SQL}) AS accelerator_hours
            FROM raw_cube LEFT JOIN known USING (tags)"""
        )
        self._bills.run("DROP TABLE raw_cube")

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._bills.query(sql)

    def totals(self) -> tuple[Decimal, Decimal, int, date | None]:
        """Cost, effective cost, number of charges, last day of the month's counted charges."""
        row = self._query(
            f"SELECT coalesce(sum(cost), 0), coalesce(sum(effective), 0), "
            f"CAST(coalesce(sum(n), 0) AS BIGINT), "
            f"max(day) FILTER (WHERE category = 'Usage') FROM cube WHERE {_HERE}"
        )[0]
        return Decimal(row[0]), Decimal(row[1]), int(row[2]), row[3]

    def history(self, as_of: date) -> tuple[Decimal | None, date | None, date | None]:
        """The previous month's cost up to the same day, and the first and last day of all charges."""
        row = self._query(
            f"SELECT sum(cost) FILTER (WHERE NOT in_period AND {self._before(as_of)}), min(day), max(day)"
            f" FROM cube WHERE {_COUNTED}"
        )[0]
        return row[0], row[1], row[2]

    def _before(self, as_of: date) -> str:
        """The month before; its first days only while this month is under way."""
        start = f"DATE '{self._period.start}' - INTERVAL 1 MONTH"
        if as_of >= self._period.end - timedelta(days=1):
            return f"day >= {start}"
        return f"day >= {start} AND day < {start} + INTERVAL {as_of.day} DAY"

    def breakdown(self, dimension: str) -> list[tuple[str, Decimal]]:
        """The month's cost by one dimension, largest first."""
        return self._query(
            f"SELECT {dimension}, sum(cost) AS cost FROM cube WHERE {_HERE} "
            f"GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def daily(self, where: str = "true") -> dict[date, Decimal]:
        """Usage by day, history included: what a forecast goes by."""
        rows = self._query(
            f"SELECT day, sum(cost) FROM cube WHERE {_COUNTED} AND category = 'Usage' AND "
            f"day IS NOT NULL AND {where} GROUP BY 1 ORDER BY 1"
        )
        return dict(rows)

    def by_day(self) -> list[tuple[date, Decimal]]:
        """All the month's charges by the day they are dated, in order."""
        start, last = self._period.start, f"DATE '{self._period.end}' - INTERVAL 1 DAY"
        clipped = f"CAST(least(greatest(day, DATE '{start}'), {last}) AS DATE)"
        return self._query(
            f"SELECT {clipped} AS d, sum(cost) FROM cube WHERE {_HERE} GROUP BY 1 ORDER BY 1"
        )

    def cost_of(self, scope: Mapping[str, str], category: str | None = None) -> Decimal:
        """The month's cost in a scope; of other categories than Usage when ``category`` is '-'."""
        conditions = [_HERE, scope_sql(scope)]
        if category == "-":
            conditions.append("category <> 'Usage'")
        rows = self._query(
            f"SELECT coalesce(sum(cost), 0) FROM cube WHERE {' AND '.join(conditions)}"
        )
        return Decimal(rows[0][0])

    def lines(self, as_of: date) -> list[ReportLine]:
        """One line for each combination of dimensions in this month or the one before.

        Lines that only the month before has (``rows`` is 0) are there for what changed.
        """
        keys = ", ".join((*DIMENSIONS, "provider", "service", "region", "category"))
        here, zero = f"FILTER (WHERE {_HERE})", f"CAST(0 AS {DECIMAL_SQL})"
        rows = self._query(
            f"SELECT {keys}, coalesce(sum(cost) {here}, {zero}), "
            f"coalesce(sum(effective) {here}, {zero}), "
            f"coalesce(sum(cost) FILTER (WHERE NOT in_period AND {self._before(as_of)}), {zero}) AS before, "
            f"coalesce(sum(accelerator_hours) {here}, {zero}), "
            f"CAST(coalesce(sum(n) {here}, 0) AS BIGINT) AS rows "
            f"FROM cube WHERE {_COUNTED} GROUP BY ALL HAVING rows > 0 OR before <> 0 "
            f"ORDER BY 8 DESC, {keys}"
        )
        return [ReportLine(*row) for row in rows]

    def unexplained(self) -> list[tuple[str, str, str, Decimal, int]]:
        """Reason, source, currency, amount in it and rows of everything with a reason."""
        return self._query(
            "SELECT reason, source, coalesce(currency, '?'), "
            f"coalesce(sum(own), CAST(0 AS {DECIMAL_SQL})), CAST(sum(n) AS BIGINT) "
            "FROM cube WHERE in_period AND reason IS NOT NULL GROUP BY ALL ORDER BY 1, 2, 3"
        )

    def series(self, keys: Sequence[str], where: str = "true") -> dict[str, dict[date, Decimal]]:
        """Usage by day for each combination of ``keys``, named ``a · b``."""
        name = " || ' · ' || ".join(keys)
        rows = self._query(
            f"SELECT {name}, day, sum(cost) FROM cube WHERE {_COUNTED} AND category = 'Usage' "
            f"AND day IS NOT NULL AND {where} GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return _by_name(rows)

    def resources(self, provider_service: str, rows: int) -> dict[str, dict[date, Decimal]]:
        """Usage by day for each resource of one ``provider · service``; none for huge bills."""
        if rows > RESOURCE_ROWS:
            return {}
        found = self._query(
            f"SELECT concat('resource ', ResourceId), CAST(ChargePeriodStart AS DATE), "
            f"sum(x_ReportedCost) FROM {self._bills.view} WHERE ResourceId IS NOT NULL AND "
            f"x_Reason IS NULL AND ProviderName || ' · ' || ServiceName = "
            f"{literal(provider_service)} GROUP BY 1, 2"
        )
        return _by_name(found)


def _by_name(rows: list[tuple[Any, ...]]) -> dict[str, dict[date, Decimal]]:
    found: dict[str, dict[date, Decimal]] = {}
    for name, day, cost in rows:
        found.setdefault(str(name), {})[day] = cost
    return found


def scope_sql(scope: Mapping[str, str]) -> str:
    """The condition of a scope such as ``{"team": "search"}``."""
    conditions = [f"{key} = {literal(value or UNTAGGED)}" for key, value in scope.items()]
    return " AND ".join(conditions) or "true"


def _tag(keys: tuple[str, ...]) -> str:
    spelt = [form for key in keys for form in (key, key.capitalize(), key.upper())]
    paths = (literal(f'$."{key}"') for key in dict.fromkeys(spelt))
    values = (f"nullif(json_extract_string(tags, {path}), '')" for path in paths)
    return f"coalesce({', '.join(values)})"
