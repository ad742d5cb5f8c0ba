"""Offers of the user's own tables (``mlscale cost import``), audited again when they are read."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from cost.catalog.audit import audit
from cost.catalog.model import Offer
from cost.catalog.prices import PriceRow, read_prices
from infra.core.errors import BadInput, Problem


def read_offers(path: Path) -> tuple[Offer, ...]:
    """The offers of a table. BadInput names every row that the audit refuses."""
    rows = read_prices(path)
    result = audit(rows)
    if result.findings:
        raise BadInput(
            [
                Problem(
                    f"{found.message} ({found.gate})",
                    file=str(path),
                    line=found.line,
                    path=found.row,
                    fix=f"mlscale cost audit {path}",
                )
                for found in result.findings
            ]
        )
    return tuple(_offer(row) for row in rows)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _offer(row: PriceRow) -> Offer:
    assert row.price is not None
    assert row.as_of is not None
    return Offer(
        provider=row.provider,
        region=row.region,
        instance_type=row.instance_type,
        family=row.family,
        vcpus=None if row.vcpus is None else int(row.vcpus),
        memory_gib=_float(row.memory_gib),
        accelerator=row.accelerator,
        accelerator_count=float(row.accelerator_count or 0),
        accelerator_memory_gib=_float(row.accelerator_memory_gib),
        on_demand_usd_per_hour=row.price,
        spot_usd_per_hour=row.spot,
        spot_min_usd_per_hour=row.spot_min,
        spot_max_usd_per_hour=row.spot_max,
        network_gbps=_float(row.network_gbps),
        source=row.source,
        as_of=row.as_of,
        derived=row.derived,
    )
