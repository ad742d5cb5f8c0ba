"""Row types of the price catalogue: what one price means, in which unit, from where and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

HOURS_PER_MONTH = Decimal(730)
"""A month is 730 h (8,760 / 12), the convention of the public clouds' own calculators."""

MAX_AGE_DAYS = 365
"""Older rows are answered with but marked stale: list prices seldom stand for longer."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One instance type in one region at list price.

    ``vcpus`` and ``memory_gib`` are None for TPU slices, which are sold by the chip.
    ``accelerator`` is "" for CPU types; ``accelerator_count`` may be a fraction (g6f, g4).
    ``accelerator_memory_gib`` is for one accelerator. ``spot_*`` is the median, the least and the
    greatest over the zones. ``as_of`` is the earliest day that the source allows. ``derived``
    rows are us-east-1 x factor(family, region), which holds to 3e-6 where both are published;
    they say what the type costs there, not that the region sells it.
    """

    provider: str
    region: str
    instance_type: str
    family: str
    vcpus: int | None
    memory_gib: float | None
    accelerator: str
    accelerator_count: float
    accelerator_memory_gib: float | None
    on_demand_usd_per_hour: Decimal
    spot_usd_per_hour: Decimal | None
    spot_min_usd_per_hour: Decimal | None
    spot_max_usd_per_hour: Decimal | None
    network_gbps: float | None
    source: str
    as_of: date
    derived: bool


@dataclass(frozen=True, slots=True)
class ServicePrice:
    """One unit price of a service; ``key`` is this project's stable name (``aws.eks.cluster``)."""

    provider: str
    region: str
    key: str
    name: str
    unit: str
    usd_per_unit: Decimal
    source: str
    as_of: date
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A data sheet. TFLOPS are dense; bandwidths GB/s (1e9); None where no source was found.

    ``mamf_bf16_tflops`` is the greatest measured matmul rate. ``aliases`` are other spellings.
    """

    name: str
    aliases: tuple[str, ...]
    vendor: str
    peak_bf16_tflops: float | None
    peak_fp32_tflops: float | None
    memory_gib: float | None
    memory_bandwidth_gb_s: float | None
    interconnect: str
    interconnect_gb_s: float | None
    tdp_w: float | None
    mamf_bf16_tflops: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Fabric:
    """The network between nodes, GB/s one way for a node."""

    provider: str
    node: str
    fabric: str
    gb_s_per_node: float
    source: str


@dataclass(frozen=True, slots=True)
class Interruption:
    """How often spot is reclaimed in a month, as a range of fractions, from the advisor's bucket.

    ``monthly_high`` is None for the open bucket (more than 20 %).
    """

    provider: str
    region: str
    instance_type: str
    monthly_low: float
    monthly_high: float | None
    savings_fraction: float
    source: str
    as_of: date


class Dated(Protocol):
    """Anything that carries the day for which it was true."""

    @property
    def as_of(self) -> date: ...


def is_stale(row: Dated, today: date | None = None, max_age_days: int = MAX_AGE_DAYS) -> bool:
    """Whether the row is older than ``max_age_days`` on ``today`` (UTC today unless given)."""
    day = today or datetime.now(UTC).date()
    return day - row.as_of > timedelta(days=max_age_days)
