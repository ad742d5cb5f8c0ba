"""GCP Cloud Billing Catalog: SKUs of Compute Engine, combined into machine types.

A machine isn't sold as one SKU: its price is vCPUs x core + GiB x RAM + accelerators x GPU, each
by region and by on demand or Spot. Local SSD isn't included. The machine types are the catalogue's.
Shape: https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cost.catalog.importers import Record
from cost.catalog.importers._common import malformed, pages, shapes
from infra.core.errors import BadInput

if TYPE_CHECKING:
    import httpx

_URL = "https://cloudbilling.googleapis.com/v1/services/6F81-5844-456A/skus"
_SOURCE = "Google Cloud Billing Catalog API, components combined, without local SSD"
_PART = re.compile(
    r"^(?:Spot Preemptible )?([A-Z]\d[A-Z]?)(?: Predefined| AMD| Arm)? Instance (Core|Ram) running"
)
_GPU = re.compile(
    r"^Nvidia (?:Tesla )?(.+?) GPU (?:attached to Spot Preemptible VMs )?running", re.IGNORECASE
)
_GPUS = {
    "L4": "L4", "T4": "T4", "V100": "V100-16GB", "A100": "A100-40GB", "A100 80GB": "A100-80GB",
    "H100 80GB": "H100", "H100 Mega 80GB": "H100", "H200 141GB": "H200", "B200": "B200",
}  # fmt: skip

_Key = tuple[str, str, str]


def from_api(
    api_key: str | None,
    regions: tuple[str, ...] = (),
    client: httpx.Client | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Record]:
    """Machine types of the regions; needs an API key that may read the catalogue."""
    import httpx

    if not api_key:
        raise BadInput("gcp needs an API key: --api-key, or GOOGLE_API_KEY")
    own = client or httpx.Client(timeout=60)
    first = f"{_URL}?{httpx.QueryParams({'key': api_key, 'currencyCode': 'USD', 'pageSize': 5000})}"

    def following(page: dict[str, Any]) -> str | None:
        token = page.get("nextPageToken")
        return f"{first}&pageToken={token}" if token else None

    parts: dict[_Key, tuple[Decimal, str]] = {}
    try:
        for where, page in pages(own, first, following, progress):
            skus = page.get("skus")
            if not isinstance(skus, list):
                raise malformed(where, "no skus")
            for sku in skus:
                _take(where, sku, parts)
    finally:
        if client is None:
            own.close()
    yield from _machines(parts, regions)


def _take(where: str, sku: dict[str, Any], parts: dict[_Key, tuple[Decimal, str]]) -> None:
    """Remember the price of a core, a GiB or a GPU, by region and kind of use."""
    try:
        usage = sku["category"]["usageType"]
        if usage not in {"OnDemand", "Preemptible"}:
            return
        description = sku["description"]
        if match := _PART.match(description):
            name = f"{match.group(1).lower()} {match.group(2).lower()}"
        elif match := _GPU.match(description):
            name = _GPUS.get(match.group(1), "")
        else:
            return
        if not name or "Custom" in description or "Sole Tenancy" in description:
            return
        info = sku["pricingInfo"][-1]
        rate = info["pricingExpression"]["tieredRates"][-1]["unitPrice"]
        if rate["currencyCode"] != "USD":
            raise malformed(where, f"prices in {rate['currencyCode']}")
        usd = Decimal(rate.get("units") or 0) + Decimal(rate.get("nanos") or 0) / 10**9
        day = str(info.get("effectiveTime", ""))[:10] or datetime.now(UTC).date().isoformat()
        for region in sku["serviceRegions"]:
            parts.setdefault((region, usage, name), (usd, day))
    except (KeyError, IndexError, TypeError, ArithmeticError) as error:
        raise malformed(where, f"{sku.get('skuId', 'a SKU')}: {error!r}") from error


def _price(
    parts: dict[_Key, tuple[Decimal, str]], region: str, usage: str, name: str
) -> tuple[Decimal, str] | None:
    shape = shapes("gcp")[name]
    series = name.split("-", maxsplit=1)[0]
    wanted = [(f"{series} core", shape["vcpus"]), (f"{series} ram", shape["memory_gib"])]
    if shape["accelerator"]:
        wanted.append((shape["accelerator"], shape["accelerator_count"]))
    found = [(parts.get((region, usage, part)), count) for part, count in wanted]
    if any(part is None or not count for part, count in found):
        return None
    known = [(part, Decimal(count)) for part, count in found if part]
    return (
        sum((part[0] * count for part, count in known), Decimal(0)),
        max(part[1] for part, _ in known),
    )


def _machines(parts: dict[_Key, tuple[Decimal, str]], regions: tuple[str, ...]) -> Iterator[Record]:
    for region in sorted({key[0] for key in parts}):
        if regions and region not in regions:
            continue
        for name in shapes("gcp"):
            price = _price(parts, region, "OnDemand", name)
            if price is None:
                continue
            spot = _price(parts, region, "Preemptible", name)
            yield {
                **shapes("gcp")[name],
                "provider": "gcp",
                "region": region,
                "instance_type": name,
                "on_demand_usd_per_hour": f"{price[0]:f}",
                "spot_usd_per_hour": f"{spot[0]:f}" if spot else "",
                "currency": "USD",
                "source": _SOURCE,
                "as_of": price[1],
            }
