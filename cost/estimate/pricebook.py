"""Unit prices for the resolvers: the usage file's own first, then the shipped catalogue.

A service price of another region stands in for a missing one, which the charge then says; with
``exact_region`` it is refused instead. Machines are never priced by another region.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache

from cost.catalog import Offer, ServicePrice, find_offer, find_service, is_stale, load_services
from cost.estimate.usage import Usage

_HOME = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}


@dataclass(frozen=True)
class Price:
    """A unit price as a charge carries it."""

    usd: Decimal
    unit: str
    source: str
    as_of: date
    region: str
    sku: str
    stale: bool
    derived: bool
    note: str = ""


@cache
def _regions_of(key: str) -> tuple[ServicePrice, ...]:
    return tuple(row for row in load_services() if row.key == key)


class PriceBook:
    """Looks prices up; ``today`` decides what is stale."""

    def __init__(self, usage: Usage, today: date | None = None, exact_region: bool = False) -> None:
        self.usage = usage
        self.today = today or datetime.now(UTC).date()
        self.exact_region = exact_region

    def service(self, key: str, region: str) -> Price | None:
        """The unit price of a service, or None when no source is at hand."""
        if own := self.usage.price(key, region):
            return Price(own.usd_per_unit, own.unit, own.source, own.as_of, region, key,
                         is_stale(own, self.today), derived=False)  # fmt: skip
        row = find_service(key, region)
        note = ""
        if row is None and not self.exact_region:
            row = self._stand_in(key)
            note = (
                f"the price of {row.region} stands in for {region or 'an unknown region'}"
                if row
                else ""
            )
        if row is None:
            return None
        return Price(row.usd_per_unit, row.unit, row.source, row.as_of, row.region, key,
                     is_stale(row, self.today), row.derived, note)  # fmt: skip

    @staticmethod
    def _stand_in(key: str) -> ServicePrice | None:
        rows = _regions_of(key)
        home = _HOME.get(key.split(".", maxsplit=1)[0])
        return next((row for row in rows if row.region == home), rows[0] if rows else None)

    def machine(self, provider: str, region: str, name: str, spot: bool) -> Price | None:
        """USD an hour of an instance type; for spot the median over zones.

        Without a sourced spot price the on-demand price is given as an upper bound, and said so.
        """
        if own := self.usage.price(f"{provider}.machine.{name}", region):
            return Price(own.usd_per_unit, own.unit, own.source, own.as_of, region, name,
                         is_stale(own, self.today), derived=False)  # fmt: skip
        offer = find_offer(provider, region, name)
        if offer is None:
            return None
        usd, note = _hourly(offer, spot)
        return Price(usd, "hour", offer.source, offer.as_of, region, name,
                     is_stale(offer, self.today), offer.derived, note)  # fmt: skip

    def dearest(
        self, provider: str, region: str, names: Iterable[str], spot: bool
    ) -> tuple[str, Price | None]:
        """The type with the highest price of several, for pools that may use any of them."""
        prices = {name: self.machine(provider, region, name, spot) for name in names}
        missing = next((name for name, price in prices.items() if price is None), None)
        if missing is not None:
            return missing, None
        name = max(prices, key=lambda item: getattr(prices[item], "usd", Decimal(0)))
        return name, prices[name]


def _hourly(offer: Offer, spot: bool) -> tuple[Decimal, str]:
    if not spot:
        return offer.on_demand_usd_per_hour, ""
    if offer.spot_usd_per_hour is None:
        return offer.on_demand_usd_per_hour, "no sourced spot price: on demand as an upper bound"
    low, high = offer.spot_min_usd_per_hour, offer.spot_max_usd_per_hour
    spread = f" ({low} to {high} over zones)" if low and high else ""
    return offer.spot_usd_per_hour, f"spot median{spread}"
