"""The same charge in two bills: found by day first, by row only where two bills share a day.

Parts of one export (AWS writes several files a month) share days but not rows. A charge is the
same when its account, resource, price, category, description and period are; the amount is left
out, so that a restated bill given beside the first one is an overlap too.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

from typing import TYPE_CHECKING

from ._sql import literal

if TYPE_CHECKING:
    from .bills import Bills

_IDENTITY = (
    "ProviderName, BillingAccountId, SubAccountId, ResourceId, SkuId, SkuPriceId, ChargeCategory, "
    "ChargeClass, ChargeDescription, ChargePeriodStart, ChargePeriodEnd, RegionId, Tags"
)
_HASH = f"hash({_IDENTITY})"


def overlap_keys(bills: Bills, count: int) -> dict[int, str]:
    """For each later bill that repeats rows of an earlier one: SQL of the reason, or null."""
    for number in range(count):
        bills.run(
            f"CREATE TEMP TABLE days_{number} AS SELECT DISTINCT ProviderName AS provider, "
            f"BillingAccountId AS account, date_trunc('day', ChargePeriodStart) AS day "
            f"FROM source_{number} WHERE ChargePeriodStart IS NOT NULL"
        )
    found: dict[int, str] = {}
    for later in range(1, count):
        reasons = [
            reason
            for earlier in range(later)
            if (reason := _between(bills, earlier, later)) is not None
        ]
        if reasons:
            found[later] = f"coalesce({', '.join(reasons)})" if len(reasons) > 1 else reasons[0]
    return found


def _between(bills: Bills, earlier: int, later: int) -> str | None:
    shared = bills.query(
        f"SELECT 1 FROM days_{earlier} SEMI JOIN days_{later} USING (provider, account, day) LIMIT 1"
    )
    if not shared:
        return None
    table = f"same_{earlier}_{later}"
    on_shared = (
        f"(ProviderName, BillingAccountId, date_trunc('day', ChargePeriodStart)) IN (SELECT "
        f"(provider, account, day) FROM days_{earlier} SEMI JOIN days_{later} "
        f"USING (provider, account, day))"
    )
    bills.run(
        f"CREATE TEMP TABLE {table} AS SELECT DISTINCT {_HASH} AS key FROM source_{earlier} "
        f"WHERE {on_shared} INTERSECT SELECT DISTINCT {_HASH} FROM source_{later} WHERE {on_shared}"
    )
    rows = bills.query(f"SELECT count(*) FROM {table}")
    if rows[0][0] == 0:
        return None
    why = literal(f"the charge is in {bills.files[earlier].label} already")
    return f"CASE WHEN {_HASH} IN (SELECT key FROM {table}) THEN {why} END"
