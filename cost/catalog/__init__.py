"""The price catalogue: offers, services and accelerators with source and date on every row."""

from __future__ import annotations

from cost.catalog.model import (
    HOURS_PER_MONTH,
    MAX_AGE_DAYS,
    Accelerator,
    Fabric,
    Interruption,
    Offer,
    ServicePrice,
    is_stale,
)
from cost.catalog.store import (
    catalogue_date,
    catalogue_digest,
    find_accelerator,
    find_offer,
    find_service,
    load_accelerators,
    load_fabrics,
    load_interruptions,
    load_offers,
    load_services,
    load_sources,
)

__all__ = [
    "HOURS_PER_MONTH",
    "MAX_AGE_DAYS",
    "Accelerator",
    "Fabric",
    "Interruption",
    "Offer",
    "ServicePrice",
    "catalogue_date",
    "catalogue_digest",
    "find_accelerator",
    "find_offer",
    "find_service",
    "is_stale",
    "load_accelerators",
    "load_fabrics",
    "load_interruptions",
    "load_offers",
    "load_services",
    "load_sources",
]
