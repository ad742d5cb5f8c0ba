"""An estimate in the FOCUS shape: a plan and a bill then compare in any tool that reads FOCUS.

An estimate is not a bill and says so: every row has ``x_EstimateId``, ``x_Confidence``,
``x_PriceSource`` and ``x_PriceAsOf``, and BilledCost is the forecast for the period.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cost.actuals import Period
from cost.actuals.columns import BY_NAME, DECIMAL_SCALE
from cost.actuals.services import categorise
from cost.catalog import find_offer
from cost.money import parse
from infra.core.errors import BadInput, Problem

from .rows import write_estimate

_PROVIDERS: Final = {"aws": "AWS", "gcp": "Google Cloud", "azure-native": "Microsoft"}
_QUANTUM: Final = Decimal(1).scaleb(-DECIMAL_SCALE)
_UNITS: Final = {"hour": "Hours", "h": "Hours", "month": "Months", "gb-month": "GB-Months"}


def write_estimate_rows(
    estimate: Mapping[str, Any], period: str, csv_path: Path, parquet_path: Path
) -> int:
    """Write the document of ``mlscale cost estimate --json`` as FOCUS rows; how many.

    BadInput when the document has no ``resources`` with charges.
    """
    rows = estimate_rows(estimate, Period.parse(period))
    write_estimate(rows, csv_path, parquet_path)
    return len(rows)


def estimate_rows(estimate: Mapping[str, Any], period: Period) -> list[dict[str, Any]]:
    """One FOCUS row for each charge of each resource."""
    try:
        stack = str(estimate["stack"])
        charged = [(r, charge) for r in estimate["resources"] for charge in r["charges"]]
        return [_row(stack, resource, charge, period) for resource, charge in charged]
    except (KeyError, TypeError) as error:
        raise BadInput(
            Problem(
                f"this is no estimate ({error} is missing or wrong)",
                expected="what mlscale cost estimate --json prints",
            )
        ) from error


def _row(
    stack: str, resource: Mapping[str, Any], charge: Mapping[str, Any], period: Period
) -> dict[str, Any]:
    family = str(resource["type"]).split(":", 1)[0]
    provider = _PROVIDERS.get(family, family)
    # The cost is the product itself, as FOCUS wants it; the estimate's row is rounded to 1e-10.
    quantity = parse(charge["quantity"], "the quantity").quantize(_QUANTUM)
    price = parse(charge["usd_per_unit"], "the unit price").quantize(_QUANTUM)
    cost = (quantity * price).quantize(_QUANTUM)
    unit = str(charge["unit"])
    unit = _UNITS.get(unit.lower(), unit)
    category, subcategory = categorise(str(resource["type"]))
    start, end = (datetime.combine(day, time(), UTC) for day in (period.start, period.end))
    costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost)
    prices = dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), price)
    own = {f"PricingCurrency{name}": value for name, value in prices.items()}
    region = resource.get("region") or None
    sku = str(charge["sku"] or charge["name"])
    row = {
        **costs,
        **prices,
        **own,
        "PricingCurrencyEffectiveCost": cost,
        "BillingAccountId": f"estimate/{stack}",
        "BillingAccountName": f"estimate of {stack}",
        "BillingAccountType": "Estimate",
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "BillingPeriodStart": start,
        "BillingPeriodEnd": end,
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{resource['name']}: {charge['name']}",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "PricingCategory": "Dynamic" if "spot" in charge["name"].lower() else "Standard",
        **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), provider),
        "RegionId": region,
        "RegionName": region,
        "ResourceId": resource["urn"],
        "ResourceName": resource["name"],
        "ResourceType": resource["type"],
        "ServiceCategory": category,
        "ServiceName": str(resource["type"]).rsplit(":", 1)[0],
        "ServiceSubcategory": subcategory,
        "SkuId": sku,
        "SkuMeter": charge["name"],
        "SkuPriceId": f"{sku}/{charge['price_region']}",
        "SkuPriceDetails": _details(family, charge),
        "x_EstimateId": stack,
        "x_Confidence": _confidence(resource, charge),
        "x_PriceSource": charge["source"],
        "x_PriceAsOf": charge["as_of"],
    }
    # Refuses a misspelt column before a reader of the file finds it missing.
    unknown = [name for name in row if name not in BY_NAME and not name.startswith("x_")]
    if unknown:
        raise BadInput(Problem(f"no FOCUS column {unknown[0]}"))
    return row


def _details(family: str, charge: Mapping[str, Any]) -> str | None:
    """The FOCUS-defined properties of an instance type that the catalogue knows."""
    provider = family.removesuffix("-native")
    name = str(charge["sku"]).removesuffix("-spot").rsplit("/", maxsplit=1)[-1]
    offer = find_offer(provider, str(charge["price_region"]), name)
    if offer is None:
        return None
    details = {
        "InstanceType": offer.instance_type,
        "InstanceSeries": offer.family,
        "CoreCount": offer.vcpus,
        "MemorySize": offer.memory_gib,
        "GpuCount": offer.accelerator_count or None,
    }
    return json.dumps({key: value for key, value in details.items() if value is not None})


def _confidence(resource: Mapping[str, Any], charge: Mapping[str, Any]) -> str:
    """What the amount rests on: a list price, an assumed quantity, an old or a derived price."""
    marks = [name for name in ("usage", "stale", "derived") if charge.get(name)]
    words = {"usage": "assumed quantity", "stale": "stale price", "derived": "derived price"}
    if resource.get("outcome") == "refused":
        marks.append("refused")
        words["refused"] = "lower bound"
    return ", ".join(words[mark] for mark in marks) or "list price"
