"""Azure Retail Prices: https://prices.azure.com/api/retail/prices, 100 items a page, no key.

Only Linux virtual machines by the hour; "Spot" SKUs become the spot price of the same type.
Shape: https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cost.catalog.importers import Record
from cost.catalog.importers._common import amount, malformed, pages, shapes

if TYPE_CHECKING:
    import httpx

_URL = "https://prices.azure.com/api/retail/prices"
_SOURCE = "Azure Retail Prices API"


def from_api(
    regions: tuple[str, ...],
    client: httpx.Client | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Record]:
    """On-demand and spot prices of virtual machines, of all regions unless some are named."""
    import httpx

    own = client or httpx.Client(timeout=60)
    try:
        prices: dict[tuple[str, str, bool], tuple[str, Record]] = {}
        for region in regions or ("",):
            where_region = f" and armRegionName eq '{region}'" if region else ""
            query = httpx.QueryParams(
                {
                    "api-version": "2023-01-01-preview",
                    "$filter": "serviceName eq 'Virtual Machines' and priceType eq 'Consumption'"
                    + where_region,
                }
            )
            for where, page in pages(own, f"{_URL}?{query}", _following, progress):
                items = page.get("Items")
                if not isinstance(items, list):
                    raise malformed(where, "no Items")
                for item in items:
                    _take(where, item, prices)
        yield from _joined(prices)
    finally:
        if client is None:
            own.close()


def _following(page: dict[str, Any]) -> str | None:
    link = page.get("NextPageLink")
    return str(link) if link else None


def _take(
    where: str, item: dict[str, Any], prices: dict[tuple[str, str, bool], tuple[str, Record]]
) -> None:
    try:
        name, sku, product = item["armSkuName"], item["skuName"], item["productName"]
        skipped = "Windows" in product or "Low Priority" in sku or "Cloud Services" in product
        if not name or skipped or item["unitOfMeasure"] != "1 Hour":
            return
        if item["type"] != "Consumption" or item.get("tierMinimumUnits"):
            return
        key = item["armRegionName"], name, sku.endswith("Spot")
        since = item["effectiveStartDate"]
        record = {
            **shapes("azure").get(name, {}),
            "provider": "azure",
            "region": item["armRegionName"],
            "instance_type": name,
            "on_demand_usd_per_hour": f"{amount(item['retailPrice'], where):f}",
            "currency": item["currencyCode"],
            "source": _SOURCE,
            "as_of": since[:10],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise malformed(where, f"no {error}") from error
    if key not in prices or prices[key][0] < since:
        prices[key] = since, record


def _joined(prices: dict[tuple[str, str, bool], tuple[str, Record]]) -> Iterator[Record]:
    for (region, name, is_spot), (_, record) in prices.items():
        if not is_spot:
            spot = prices.get((region, name, True))
            extra = {"spot_usd_per_hour": spot[1]["on_demand_usd_per_hour"]} if spot else {}
            yield record | extra
