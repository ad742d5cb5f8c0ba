"""Which rows of a price table can't be true, and by which gate.

Public price data is wrong in known ways: zeros, placeholders, spot above list price, prices per
month in an hourly column, twelve GPUs in a machine that has eight (docs/catalogue.md lists the
cases that were met). Every gate is cheap; a row is judged by itself, against its siblings in the
table, and against a second source. A row that a second source confirms within 1 % isn't blamed for
what its siblings say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from cost.catalog.prices import PriceRow
from cost.catalog.siblings import (
    TABLE_GATES,
    TWO_SOURCES,
    Key,
    Reference,
    References,
    duplicates,
    key_of,
    second_source,
)
from cost.catalog.store import find_accelerator, load_offers
from infra.core.errors import BadInput

MAX_USD_PER_ACCELERATOR_HOUR = Decimal(1000)
_PER_VCPU_BAND = (Decimal("0.0015"), Decimal("0.6"))
"""USD per vCPU-hour of machines without an accelerator; t3a.nano to x2idn lie well inside."""


@dataclass(frozen=True, order=True)
class Finding:
    """One row that a gate refuses. ``gate`` is one of ``GATES``."""

    line: int
    row: str
    gate: str
    message: str


@dataclass(frozen=True)
class Audit:
    """The result: how many rows were read and what is wrong with which."""

    rows: int
    findings: tuple[Finding, ...]

    @property
    def bad_lines(self) -> frozenset[int]:
        """Lines with at least one finding."""
        return frozenset(finding.line for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "rows": self.rows,
            "bad_rows": len(self.bad_lines),
            "by_gate": dict(Counter(finding.gate for finding in self.findings)),
            "findings": [asdict(finding) for finding in self.findings],
        }


def shipped_references() -> dict[Key, Reference]:
    """The shipped catalogue as the second source."""
    return {
        (row.provider, row.region, row.instance_type): Reference(
            row.on_demand_usd_per_hour,
            row.as_of,
            None if row.vcpus is None else Decimal(row.vcpus),
            row.accelerator,
            Decimal(str(row.accelerator_count)),
            None
            if row.accelerator_memory_gib is None
            else Decimal(str(row.accelerator_memory_gib)),
        )
        for row in load_offers()
    }


# --- gates on one row ------------------------------------------------------------------------


def _unreadable(row: PriceRow) -> str | None:
    bad = [f"{column} is {text!r}" for column, text in row.unreadable if column != "as_of"]
    return "; ".join(bad) or (None if row.price is not None else "no on-demand price")


def _not_positive(row: PriceRow) -> str | None:
    for name in ("price", "spot", "spot_min", "spot_max"):
        value = getattr(row, name)
        if value is not None and value <= 0:
            return f"{name} is {value}"
    return None


def _absurd(row: PriceRow) -> str | None:
    if row.price is None or row.price <= 0:
        return None
    if row.accelerator_count:
        each = row.price / row.accelerator_count
        if each >= MAX_USD_PER_ACCELERATOR_HOUR:
            return f"{each:.2f} USD/h for one {row.accelerator}"
        return None
    if row.vcpus:
        each = row.price / row.vcpus
        low, high = _PER_VCPU_BAND
        if not low <= each <= high:
            return f"{each:.5f} USD/h for one vCPU, outside {low} to {high}"
    return None


def _spot(row: PriceRow) -> str | None:
    if row.price is not None and row.spot is not None and row.spot > row.price:
        return f"spot {row.spot} is above on demand {row.price}"
    low, middle, high = row.spot_min, row.spot, row.spot_max
    if middle is not None and ((low and low > middle) or (high and high < middle)):
        return f"spot {middle} is outside its own range {low} to {high}"
    return None


def _source(row: PriceRow) -> str | None:
    return None if row.source else "no source"


def _currency(row: PriceRow) -> str | None:
    return None if row.currency == "USD" else f"the price is in {row.currency}, not USD"


def _shape(row: PriceRow) -> str | None:
    if not row.accelerator:
        return f"{row.accelerator_count} accelerators of no name" if row.accelerator_count else None
    count, memory = row.accelerator_count, row.accelerator_memory_gib
    if count is None or count <= 0:
        return f"{count} of {row.accelerator}"
    if not _is_size(count if count >= 1 else 1 / count, row.accelerator):
        return f"{count} x {row.accelerator} is no size that is sold"
    try:
        sheet = find_accelerator(row.accelerator).memory_gib
    except BadInput:
        return None
    if memory and sheet and not 0.9 <= float(memory) / sheet <= 1.1:
        return f"{row.accelerator} with {memory} GiB; its data sheet says {sheet:g}"
    return None


def _is_size(count: Decimal, accelerator: str) -> bool:
    """Powers of two; Inferentia 2 is sold by 6 and 12, TPU slices by any cuboid (x4)."""
    if count != count.to_integral_value():
        return False
    whole = int(count)
    if accelerator.startswith("TPU"):
        return whole in {1, 2} or whole % 4 == 0
    if accelerator == "Inferentia2":
        return whole in {1, 6, 12}
    return whole & (whole - 1) == 0


_ROW_GATES: dict[str, Callable[[PriceRow], str | None]] = {
    "not-a-number": _unreadable,
    "not-positive": _not_positive,
    "absurd": _absurd,
    "spot": _spot,
    "accelerators": _shape,
    "no-source": _source,
    "currency": _currency,
}


def _date_gate(row: PriceRow, today: date) -> str | None:
    if row.as_of is None:
        bad = [text for column, text in row.unreadable if column == "as_of"]
        return f"date {bad[0]!r} is none" if bad else "no date"
    return f"dated {row.as_of}, after {today}" if row.as_of > today else None


GATES = (*_ROW_GATES, "date", "duplicate", "sources-disagree", *TABLE_GATES)


def audit(
    rows: Sequence[PriceRow],
    today: date | None = None,
    references: References | None = None,
) -> Audit:
    """Judge a price table.

    ``references`` is a second source (``shipped_references()``); without it the table is judged by
    itself. The work is linear in the rows but for pairs within one family and region.
    """
    day = today or datetime.now(UTC).date()
    references = references or {}
    found: dict[tuple[int, str], Finding] = {}

    def add(gate: str, row: PriceRow, message: str) -> None:
        found.setdefault((row.line, gate), Finding(row.line, row.name, gate, message))

    confirmed: set[int] = set()
    for row in rows:
        for gate, judge in _ROW_GATES.items():
            if message := judge(row):
                add(gate, row, message)
        if message := _date_gate(row, day):
            add("date", row, message)
        if known := references.get(key_of(row)):
            for gate, text in second_source(row, known):
                add(gate, row, text)
            if row.price and abs(row.price / known.price - 1) <= TWO_SOURCES:
                confirmed.add(row.line)
    for gate, row, message in duplicates(rows):
        add(gate, row, message)
    broken = {line for line, _ in found}
    sound = [row for row in rows if row.line not in broken]
    for name, compare in TABLE_GATES.items():
        for row, message in compare(sound):
            if row.line not in confirmed:
                add(name, row, message)
    return Audit(len(rows), tuple(sorted(found.values())))
