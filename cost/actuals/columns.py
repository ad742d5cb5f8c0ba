"""The 57 columns of FOCUS 1.2 with their types, and the ones this project adds.

Source: FOCUS specification 1.2 (2025-05-30), column definitions. ``kind`` is one of ``string``,
``decimal``, ``datetime`` and ``json``; ``level`` is M(andatory), C(onditional) or R(ecommended);
``since_1_0`` says whether FOCUS 1.0 has the column too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Precision of every money and quantity column: 26 digits before the point, 12 after.
DECIMAL_SQL: Final = "DECIMAL(38,12)"
DECIMAL_SCALE: Final = 12


@dataclass(frozen=True)
class Column:
    """One column of a FOCUS dataset."""

    name: str
    kind: str
    level: str
    nullable: bool
    since_1_0: bool
    allowed: tuple[str, ...] = ()


_CATEGORIES = (
    "AI and Machine Learning;Analytics;Business Applications;Compute;Databases;Developer Tools;"
    "Multicloud;Identity;Integration;Internet of Things;Management and Governance;Media;Migration;"
    "Mobile;Networking;Security;Storage;Web;Other"
)

# name kind(s|d|t|j) level nullable(?|!) in-1.0(+|-) [allowed]
_TABLE = f"""
AvailabilityZone s R ? +
BilledCost d M ! +
BillingAccountId s M ! +
BillingAccountName s M ? +
BillingAccountType s C ! -
BillingCurrency s M ! +
BillingPeriodEnd t M ! +
BillingPeriodStart t M ! +
CapacityReservationId s C ? -
CapacityReservationStatus s C ? - Used;Unused
ChargeCategory s M ! + Usage;Purchase;Tax;Credit;Adjustment
ChargeClass s M ? + Correction
ChargeDescription s M ? +
ChargeFrequency s R ! + One-Time;Recurring;Usage-Based
ChargePeriodEnd t M ! +
ChargePeriodStart t M ! +
CommitmentDiscountCategory s C ? + Spend;Usage
CommitmentDiscountId s C ? +
CommitmentDiscountName s C ? +
CommitmentDiscountQuantity d C ? -
CommitmentDiscountStatus s C ? + Used;Unused
CommitmentDiscountType s C ? +
CommitmentDiscountUnit s C ? -
ConsumedQuantity d C ? +
ConsumedUnit s C ? +
ContractedCost d M ! +
ContractedUnitPrice d C ? +
EffectiveCost d M ! +
InvoiceId s R ? -
InvoiceIssuerName s M ! +
ListCost d M ! +
ListUnitPrice d C ? +
PricingCategory s C ? + Standard;Dynamic;Committed;Other
PricingCurrency s C ? -
PricingCurrencyContractedUnitPrice d C ? -
PricingCurrencyEffectiveCost d C ? -
PricingCurrencyListUnitPrice d C ? -
PricingQuantity d M ? +
PricingUnit s M ? +
ProviderName s M ! +
PublisherName s M ! +
RegionId s C ? +
RegionName s C ? +
ResourceId s C ? +
ResourceName s C ? +
ResourceType s C ? +
ServiceCategory s M ! + {_CATEGORIES}
ServiceName s M ! +
ServiceSubcategory s R ! -
SkuId s C ? +
SkuMeter s C ? -
SkuPriceDetails j C ? -
SkuPriceId s C ? +
SubAccountId s C ? +
SubAccountName s C ? +
SubAccountType s C ? -
Tags j C ? +
"""

_KINDS = {"s": "string", "d": "decimal", "t": "datetime", "j": "json"}


def _parse(line: str) -> Column:
    name, kind, level, null, old, *allowed = line.split(" ", 5)
    values = tuple(allowed[0].split(";")) if allowed else ()
    return Column(name, _KINDS[kind], level, null == "?", old == "+", values)


COLUMNS: Final = tuple(_parse(line) for line in _TABLE.strip().splitlines())
BY_NAME: Final = {column.name: column for column in COLUMNS}

# Ours, as FOCUS asks of custom columns with the prefix ``x_``.
EXTRA: Final = (
    Column("x_ReportedCost", "decimal", "X", False, False),
    Column("x_ReportedCurrency", "string", "X", False, False),
    Column("x_Source", "string", "X", False, False),
    Column("x_Reason", "string", "X", True, False),
)
# Columns that rows of an estimate carry besides: an estimate is not a bill and says so.
ESTIMATE_EXTRA: Final = (
    Column("x_EstimateId", "string", "X", False, False),
    Column("x_Confidence", "string", "X", False, False),
    Column("x_PriceSource", "string", "X", False, False),
    Column("x_PriceAsOf", "string", "X", False, False),
)
