"""Fetch list prices from the clouds' public APIs, or work out those of one's own machines.

Every importer yields plain records in the catalogue's columns; they are audited before they are
written, and what the audit refuses is left out and listed. A table that is named in
``MLSCALE_PRICE_TABLES`` then overrides the shipped rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.core.errors import BadInput, Problem

COLUMNS = (
    "provider", "region", "instance_type", "vcpus", "memory_gib", "accelerator",
    "accelerator_count", "accelerator_memory_gib", "on_demand_usd_per_hour", "spot_usd_per_hour",
    "network_gbps", "source", "as_of", "currency",
)  # fmt: skip

Record = dict[str, str]


@dataclass(frozen=True)
class Imported:
    """What was written and what was left out, each with its reason."""

    path: Path
    rows: int
    left_out: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"path": str(self.path), "rows": self.rows, "left_out": list(self.left_out)}

    def in_words(self) -> str:
        """For a person."""
        lines = [f"left out: {line}" for line in self.left_out]
        return "\n".join([*lines, f"{self.rows} offers in {self.path}"])


def _records(
    source: str, regions: tuple[str, ...], file: Path | None, api_key: str | None
) -> Iterator[Record]:
    if source == "aws":
        from cost.catalog.importers import aws

        return aws.from_file(file, regions) if file else aws.from_api(regions)
    if source == "azure":
        from cost.catalog.importers import azure

        return azure.from_api(regions)
    if source == "gcp":
        from cost.catalog.importers import gcp

        return gcp.from_api(api_key, regions)
    if source == "onprem":
        from cost.catalog.importers import onprem

        if file is None:
            raise BadInput("onprem needs --file, see docs/catalogue.md")
        return onprem.from_file(file)
    raise BadInput(Problem(f"unknown source {source!r}", expected="aws, azure, gcp or onprem"))


def import_prices(
    source: str,
    out: Path,
    regions: tuple[str, ...] = (),
    file: Path | None = None,
    api_key: str | None = None,
) -> Imported:
    """Write the audited offers of a source to ``out``; BadInput when none is left."""
    records = list(_records(source, regions, file, api_key))
    return write(records, out)


def write(records: list[Record], out: Path) -> Imported:
    """Audit the records and write those that pass."""
    from cost.catalog.audit import audit
    from cost.catalog.prices import make_rows

    result = audit(make_rows(records))
    kept = [row for line, row in enumerate(records, 2) if line not in result.bad_lines]
    left_out = tuple(f"{item.row}: {item.message} ({item.gate})" for item in result.findings)
    if not kept:
        raise BadInput(
            [Problem("no offer is left to import"), *(Problem(line) for line in left_out[:5])]
        )
    with out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    return Imported(out, len(kept), left_out)
