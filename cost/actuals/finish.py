"""Makes rows normalised from a cloud's own format keep FOCUS's rules on what is null when.

The clouds leave columns out or fill them where FOCUS wants null; these rewrites only move
descriptive columns, never an amount that is billed.
"""

# ruff: noqa: S608  (names are this module's own; values go through _sql.literal)
from __future__ import annotations

from collections.abc import Mapping

from .columns import COLUMNS, DECIMAL_SQL

_TYPES = {"decimal": DECIMAL_SQL, "datetime": "TIMESTAMP", "string": "VARCHAR", "json": "VARCHAR"}
_BOUGHT = "ChargeCategory IN ('Usage','Purchase')"
_NOT_TAX = "ChargeCategory <> 'Tax'"
_METERED = "ChargeCategory = 'Usage' AND CommitmentDiscountStatus IS DISTINCT FROM 'Unused'"


def _when(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} END"


# A price that would contradict its cost is given as the quotient; FOCUS wants their product.
def _unit_price(price: str, cost: str) -> str:
    agrees = f"abs({price} * PricingQuantity - {cost}) <= 0.000001 + 0.000001 * abs({cost})"
    quotient = f"CAST(CAST({cost} AS DOUBLE) / CAST(PricingQuantity AS DOUBLE) AS {DECIMAL_SQL})"
    return (
        f"CASE WHEN ChargeCategory = 'Tax' OR PricingQuantity IS NULL THEN NULL "
        f"WHEN {price} < 0 OR {agrees} OR ChargeClass = 'Correction' THEN {price} "
        f"WHEN PricingQuantity = 0 THEN coalesce({price}, 0) "
        f"ELSE abs({quotient}) END"
    )


_REWRITES: Mapping[str, str] = {
    "ListCost": "CASE WHEN ChargeCategory IN ('Credit','Adjustment') THEN BilledCost "
    "ELSE coalesce(ListCost, BilledCost) END",
    "ContractedCost": "CASE WHEN ChargeCategory IN ('Credit','Adjustment') THEN BilledCost "
    "ELSE coalesce(ContractedCost, BilledCost) END",
    "EffectiveCost": "CASE WHEN ChargeCategory = 'Credit' THEN BilledCost "
    "ELSE coalesce(EffectiveCost, BilledCost) END",
    "ListUnitPrice": _unit_price("ListUnitPrice", "ListCost"),
    "ContractedUnitPrice": _unit_price("ContractedUnitPrice", "ContractedCost"),
    "PricingQuantity": _when(_BOUGHT, "PricingQuantity"),
    "PricingUnit": _when(
        f"{_BOUGHT} AND PricingQuantity IS NOT NULL", "coalesce(PricingUnit, 'Units')"
    ),
    "ConsumedQuantity": _when(_METERED, "ConsumedQuantity"),
    "ConsumedUnit": _when(
        f"{_METERED} AND ConsumedQuantity IS NOT NULL", "coalesce(ConsumedUnit, 'Units')"
    ),
    "PricingCategory": _when(_NOT_TAX, "PricingCategory"),
    "SkuId": _when(_NOT_TAX, "SkuId"),
    "SkuPriceId": _when(f"{_NOT_TAX} AND SkuId IS NOT NULL", "SkuPriceId"),
    "SkuMeter": _when(f"{_NOT_TAX} AND SkuId IS NOT NULL", "SkuMeter"),
    "SkuPriceDetails": _when(f"{_NOT_TAX} AND SkuPriceId IS NOT NULL", "SkuPriceDetails"),
    "RegionName": _when("RegionId IS NOT NULL", "coalesce(RegionName, RegionId)"),
    "ResourceName": _when("ResourceId IS NOT NULL", "nullif(ResourceName, ResourceId)"),
    "ResourceType": _when(
        "ResourceId IS NOT NULL", "coalesce(ResourceType, ServiceName, 'Resource')"
    ),
    "SubAccountName": _when("SubAccountId IS NOT NULL", "coalesce(SubAccountName, SubAccountId)"),
    "SubAccountType": _when("SubAccountId IS NOT NULL", "SubAccountType"),
    "CommitmentDiscountName": _when("CommitmentDiscountId IS NOT NULL", "CommitmentDiscountName"),
    "CommitmentDiscountStatus": _when(
        "CommitmentDiscountId IS NOT NULL", "CommitmentDiscountStatus"
    ),
    "CommitmentDiscountQuantity": _when(
        "CommitmentDiscountId IS NOT NULL AND ChargeClass IS NULL AND "
        "(ChargeCategory = 'Purchase' OR ChargeCategory = 'Usage')",
        "coalesce(CommitmentDiscountQuantity, PricingQuantity, 1)",
    ),
    "CommitmentDiscountUnit": _when(
        "CommitmentDiscountId IS NOT NULL AND ChargeClass IS NULL AND "
        "(ChargeCategory = 'Purchase' OR ChargeCategory = 'Usage')",
        "coalesce(CommitmentDiscountUnit, PricingUnit, 'Units')",
    ),
    "PricingCurrency": "coalesce(PricingCurrency, BillingCurrency)",
    "PricingCurrencyEffectiveCost": "CASE WHEN PricingCurrency IS NULL OR PricingCurrency = "
    "BillingCurrency THEN EffectiveCost ELSE PricingCurrencyEffectiveCost END",
}


def typed(expressions: Mapping[str, str]) -> str:
    """A select list of every FOCUS column in its type, null where the source has none."""
    return ", ".join(
        f"CAST({expressions.get(column.name, 'NULL')} AS {_TYPES[column.kind]}) AS {column.name}"
        if expressions.get(column.name) in {None, "NULL"} or column.kind == "decimal"
        else f"{expressions[column.name]} AS {column.name}"
        for column in COLUMNS
    )


def finished(relation: str) -> str:
    """The relation with the rewrites applied."""
    twice = {"ListUnitPrice", "ContractedUnitPrice", "PricingCurrencyEffectiveCost"}
    first = ", ".join(f"{sql} AS {name}" for name, sql in _REWRITES.items() if name not in twice)
    second = ", ".join(f"{_REWRITES[name]} AS {name}" for name in sorted(twice))
    inner = f"SELECT * REPLACE ({first}) FROM ({relation})"
    outer = f"SELECT * REPLACE ({second}) FROM ({inner})"
    prices = "CASE WHEN PricingCurrency = BillingCurrency THEN {price} ELSE {own} END AS {own}"
    mirrored = ", ".join(
        prices.format(price=price, own=f"PricingCurrency{price}")
        for price in ("ListUnitPrice", "ContractedUnitPrice")
    )
    return f"SELECT * REPLACE ({mirrored}) FROM ({outer})"
