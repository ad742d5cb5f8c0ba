"""What an estimate is made of. Every amount is USD a month of 730 h, rounded once at the charge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cost import money
from cost.catalog import HOURS_PER_MONTH, catalogue_date
from cost.estimate.tags import owner_of

__all__ = ["HOURS_PER_MONTH", "Charge", "Estimate", "Outcome", "Priced", "Resource"]


class Outcome(StrEnum):
    """What became of a resource; exactly one of these, and never a silent zero."""

    PRICED = "priced"
    USAGE = "usage_based"
    FREE = "free"
    REFUSED = "refused"


@dataclass(frozen=True)
class Resource:
    """One resource of a preview. ``inputs`` may hold the engine's marks for unknown and secret."""

    urn: str
    type: str
    name: str
    op: str
    custom: bool
    inputs: Mapping[str, Any]
    provider: str = ""
    parent: str = ""
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Charge:
    """One line of a bill: ``quantity`` units a month at a sourced unit price.

    ``usage`` is true when the quantity isn't declared by the stack: an assumption or the usage
    file's figure, said in ``note``. ``price_region`` is where the price was published.
    """

    name: str
    quantity: Decimal
    unit: str
    usd_per_unit: Decimal
    source: str
    as_of: date
    price_region: str
    sku: str
    usage: bool = False
    note: str = ""
    stale: bool = False
    derived: bool = False

    @property
    def usd_per_month(self) -> Decimal:
        """Quantity x unit price, rounded once."""
        return money.to_row(money.multiply(self.quantity, self.usd_per_unit))

    def as_json(self) -> dict[str, Any]:
        """Amounts as decimal text."""
        return {
            "name": self.name,
            "quantity": str(self.quantity),
            "unit": self.unit,
            "usd_per_unit": str(self.usd_per_unit),
            "usd_per_month": str(self.usd_per_month),
            "usage": self.usage,
            "note": self.note,
            "sku": self.sku,
            "price_region": self.price_region,
            "source": self.source,
            "as_of": self.as_of.isoformat(),
            "stale": self.stale,
            "derived": self.derived,
        }


@dataclass(frozen=True)
class Priced:
    """One resource with its charges; a refused one may have some, so its amount is a lower bound."""

    resource: Resource
    outcome: Outcome
    region: str
    charges: tuple[Charge, ...] = ()
    reason: str = ""

    @property
    def usd_per_month(self) -> Decimal:
        """The sum of the charges."""
        return money.total(charge.usd_per_month for charge in self.charges)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "urn": self.resource.urn,
            "type": self.resource.type,
            "name": self.resource.name,
            "op": self.resource.op,
            "region": self.region,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "usd_per_month": str(self.usd_per_month),
            "charges": [charge.as_json() for charge in self.charges],
        }


@dataclass(frozen=True)
class Estimate:
    """A whole stack. ``unused`` names the entries of the usage file that no resource took."""

    stack: str
    resources: tuple[Priced, ...]
    unused: tuple[str, ...] = field(default=())

    @property
    def usd_per_month(self) -> Decimal:
        """The sum over the resources: what is known; refused ones may come on top."""
        return money.total(item.usd_per_month for item in self.resources)

    def of(self, outcome: Outcome) -> tuple[Priced, ...]:
        """The resources with that outcome."""
        return tuple(item for item in self.resources if item.outcome is outcome)

    @property
    def stale_charges(self) -> int:
        """How many charges rest on a price older than the set age."""
        return sum(charge.stale for item in self.resources for charge in item.charges)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``. ``lines`` is what ``mlscale cost report --estimate`` compares with."""
        return {
            "stack": self.stack,
            "currency": "USD",
            "hours_per_month": str(HOURS_PER_MONTH),
            "catalogue_date": catalogue_date().isoformat(),
            "usd_per_month": str(self.usd_per_month),
            "complete": not self.of(Outcome.REFUSED),
            "outcomes": {outcome.value: len(self.of(outcome)) for outcome in Outcome},
            "stale_charges": self.stale_charges,
            "unused_usage": list(self.unused),
            "lines": [
                {"resource": item.resource.name, "amount": str(item.usd_per_month)}
                | owner_of(item.resource.inputs)
                for item in self.resources
                if item.charges
            ],
            "resources": [item.as_json() for item in self.resources],
        }
