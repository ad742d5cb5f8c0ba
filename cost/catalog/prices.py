"""A price table as it was found: nothing is believed yet, so that the audit can judge it.

Reads this project's ``offers.csv`` (with ``instance_types.csv`` and ``sources.csv`` beside it), any
CSV with one row an offer and the columns named in ``_COLUMNS``, and the rows of an importer.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from cost.catalog.names import accelerator_name, family_of
from infra.core.errors import BadInput, Problem

_COLUMNS = {
    "accelerator": ("accelerator", "accelerator_name"),
    "price": ("on_demand_usd_per_hour",),
    "spot": ("spot_usd_per_hour",),
    "spot_min": ("spot_min_usd_per_hour", "spot_min_az"),
    "spot_max": ("spot_max_usd_per_hour", "spot_max_az"),
    "as_of": ("as_of", "as_of_date"),
}
_NEEDED = ("provider", "region", "instance_type", "on_demand_usd_per_hour")


@dataclass(frozen=True)
class PriceRow:
    """One row as read; ``unreadable`` has (column, text) of every cell that isn't as it should be.

    Numbers are None where the cell is empty or unreadable. ``line`` is 1-based in ``file``.
    """

    line: int
    provider: str
    region: str
    instance_type: str
    family: str
    vcpus: Decimal | None
    memory_gib: Decimal | None
    accelerator: str
    accelerator_count: Decimal | None
    accelerator_memory_gib: Decimal | None
    price: Decimal | None
    spot: Decimal | None
    spot_min: Decimal | None
    spot_max: Decimal | None
    source: str
    as_of: date | None
    currency: str
    derived: bool = False
    network_gbps: Decimal | None = None
    unreadable: tuple[tuple[str, str], ...] = field(default=())

    @property
    def name(self) -> str:
        """The offer in words."""
        return f"{self.provider} {self.region} {self.instance_type}"


def earliest_day(text: str) -> date:
    """The earliest day that a date of any precision allows (2026-08 -> 2026-08-01).

    ValueError when there is none.
    """
    parts = [int(part) for part in text.split(" ", maxsplit=1)[0].split("-")]
    year, month, day = (*parts, 1, 1)[:3]
    return date(year, month, day)


def make_row(line: int, cells: Mapping[str, str]) -> PriceRow:
    """A row from the cells of one record, whatever they hold."""
    unreadable: list[tuple[str, str]] = []

    def text(column: str) -> str:
        names = _COLUMNS.get(column, (column,))
        return next((cells[name].strip() for name in names if cells.get(name)), "")

    def number(column: str) -> Decimal | None:
        raw = text(column)
        if not raw:
            return None
        try:
            value = Decimal(raw)
        except InvalidOperation:
            value = Decimal("nan")
        if value.is_finite():
            return value
        unreadable.append((column, raw))
        return None

    as_of = None
    if raw_date := text("as_of"):
        try:
            as_of = earliest_day(raw_date)
        except ValueError:
            unreadable.append(("as_of", raw_date))
    provider, instance_type = text("provider").lower(), text("instance_type")
    accelerator = accelerator_name(
        provider, instance_type, text("accelerator"), text("accelerator_memory_gib")
    )
    return PriceRow(
        line=line,
        provider=provider,
        region=text("region"),
        instance_type=instance_type,
        family=family_of(provider, instance_type),
        vcpus=number("vcpus"),
        memory_gib=number("memory_gib"),
        accelerator=accelerator,
        accelerator_count=number("accelerator_count"),
        accelerator_memory_gib=number("accelerator_memory_gib"),
        price=number("price"),
        spot=number("spot"),
        spot_min=number("spot_min"),
        spot_max=number("spot_max"),
        source=text("source"),
        as_of=as_of,
        currency=text("currency").upper() or "USD",
        derived=text("derived") == "1",
        network_gbps=number("network_gbps"),
        unreadable=tuple(unreadable),
    )


def make_rows(records: Iterable[Mapping[str, str]], first_line: int = 2) -> list[PriceRow]:
    """Rows of consecutive records."""
    return [make_row(line, cells) for line, cells in enumerate(records, first_line)]


def _records(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            return list(csv.DictReader(handle, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(Problem(f"can't read the price table: {error}", file=str(path))) from error


def read_prices(path: Path) -> list[PriceRow]:
    """The rows of a price table. BadInput when it is empty or lacks a column."""
    records = _records(path)
    if not records:
        raise BadInput(Problem("the price table has no rows", file=str(path)))
    missing = [name for name in _NEEDED if name not in records[0]]
    if missing:
        raise BadInput(
            Problem(
                f"columns missing: {', '.join(missing)}",
                file=str(path),
                line=1,
                expected="one row an offer, see docs/catalogue.md",
            )
        )
    types, sources = path.with_name("instance_types.csv"), path.with_name("sources.csv")
    if "as_of" not in records[0] and types.is_file() and sources.is_file():
        shapes = {(row["provider"], row["instance_type"]): row for row in _records(types)}
        titles = {row["id"]: row for row in _records(sources)}
        records = [
            shapes.get((row["provider"], row["instance_type"]), {})
            | row
            | {
                "as_of": titles.get(row["source"], {}).get("as_of", ""),
                "source": titles.get(row["source"], {}).get("source", ""),
            }
            for row in records
        ]
    return make_rows(records)
