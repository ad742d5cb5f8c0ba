"""Which rows of a price table can't be true, and by which gate.

Public price data is wrong in known ways: zeros, placeholders, spot above list price, prices per
month in an hourly column, twelve GPUs in a machine that has eight (docs/catalogue.md lists the
cases that were met). Every gate is cheap; a row is judged by itself, against its siblings in the
table, and against a second source. A row that a second source confirms within 1 % isn't blamed for
what its siblings say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from cost.catalog.prices import PriceRow
from cost.catalog.store import find_accelerator, load_offers
from infra.core.errors import BadInput

MAX_USD_PER_ACCELERATOR_HOUR = Decimal(1000)
CROSS_REGION_BAND = (Decimal("0.6"), Decimal("1.7"))
TWO_SOURCES = Decimal("0.01")
"""Two sources agree within 1 %."""
SAME_PERIOD_DAYS = 31
"""List prices of dates further apart may differ honestly (p5 fell by 44 % in a year)."""
_PER_VCPU_BAND = (Decimal("0.0015"), Decimal("0.6"))
"""USD per vCPU-hour of machines without an accelerator; t3a.nano to x2idn lie well inside."""
_FAMILY_SPREAD = Decimal("3.5")
_PLACEHOLDERS = frozenset(map(Decimal, ("0.01", "700", "777", "999", "999.99", "9999", "99999")))
_REGION_TOLERANCE = {"aws": Decimal("0.0005"), "gcp": Decimal("0.08"), "azure": Decimal("0.25")}
"""How far a family's regional factor differs between its types: exact on AWS, loose on Azure."""


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


class Reference(NamedTuple):
    """What another source says of one offer."""

    price: Decimal
    as_of: date
    vcpus: Decimal | None
    accelerator: str
    accelerator_count: Decimal
    accelerator_memory_gib: Decimal | None


_Key = tuple[str, str, str]
_References = Mapping[_Key, Reference]
_Hit = tuple[PriceRow, str]


def shipped_references() -> dict[_Key, Reference]:
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


def _key(row: PriceRow) -> _Key:
    return row.provider, row.region, row.instance_type


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


# --- gates on several rows -------------------------------------------------------------------


def _duplicates(rows: Sequence[PriceRow]) -> Iterator[tuple[str, PriceRow, str]]:
    groups: dict[_Key, list[PriceRow]] = defaultdict(list)
    for row in rows:
        groups[_key(row)].append(row)
    for group in groups.values():
        first = group[0]
        for row in group[1:]:
            if row.source == first.source:
                yield "duplicate", row, f"the same offer as in line {first.line}"
            elif row.price and first.price and abs(row.price / first.price - 1) > TWO_SOURCES:
                text = f"{row.price} here, {first.price} in line {first.line} of another source"
                yield "sources-disagree", row, text


def _second_source(row: PriceRow, known: Reference) -> Iterator[tuple[str, str]]:
    near = row.as_of is None or abs((row.as_of - known.as_of).days) <= SAME_PERIOD_DAYS
    if row.price and near and abs(row.price / known.price - 1) > TWO_SOURCES:
        yield "sources-disagree", f"{row.price} here, {known.price} in the shipped catalogue"
    if row.accelerator_count is not None and row.accelerator_count != known.accelerator_count:
        text = (
            f"{row.accelerator_count:g} accelerators; the machine has {known.accelerator_count:g}"
        )
        yield "accelerators", text
    memory, other = row.accelerator_memory_gib, known.accelerator_memory_gib
    if memory and other and abs(memory / other - 1) > Decimal("0.1"):
        yield "accelerators", f"{memory:g} GiB each; the machine has {other:g}"


def _unit_price(row: PriceRow) -> Decimal | None:
    """USD an hour for one accelerator, or one vCPU where there is none."""
    size = row.accelerator_count or row.vcpus
    return row.price / size if row.price and row.price > 0 and size else None


def _others(values: Sequence[Decimal], index: int) -> Decimal:
    """The median without the one that is judged."""
    return median([*values[:index], *values[index + 1 :]])


def _cross_region(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    low, high = CROSS_REGION_BAND
    for group in _grouped(rows, lambda row: (row.provider, row.instance_type), 3):
        prices = [row.price or Decimal(0) for row in group]
        for index, row in enumerate(group):
            ratio = prices[index] / _others(prices, index)
            if not low <= ratio <= high:
                yield row, f"{ratio:.2f} of the median of its other regions"


def _family_band(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    """Off by every measure: per accelerator, per vCPU and per GiB of its family."""
    for group in _grouped(rows, lambda row: (row.provider, row.family, row.accelerator), 3):
        ratios: dict[int, list[Decimal]] = defaultdict(list)
        for measure in range(3):
            sized = [row for row in group if _size(row)[measure]]
            units = [(row.price or Decimal(0)) / _size(row)[measure] for row in sized]
            for index, row in enumerate(sized if len(sized) >= 3 else []):
                ratios[row.line].append(units[index] / _others(units, index))
        for row in group:
            off = min(ratios[row.line], key=lambda ratio: max(ratio, 1 / ratio), default=Decimal(1))
            if not 1 / _FAMILY_SPREAD <= off <= _FAMILY_SPREAD:
                yield row, f"{off:.3g} times what its family costs by any measure"


def _grouped(
    rows: Sequence[PriceRow], key: Callable[[PriceRow], object], least: int
) -> Iterator[list[PriceRow]]:
    groups: dict[object, list[PriceRow]] = defaultdict(list)
    for row in rows:
        if _unit_price(row):
            groups[key(row)].append(row)
    return (group for group in groups.values() if len(group) >= least)


def _size(row: PriceRow) -> tuple[Decimal, Decimal, Decimal]:
    zero = Decimal(0)
    return row.accelerator_count or zero, row.vcpus or zero, row.memory_gib or zero


def _node_size(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    """A machine that has more of everything can't be cheaper; blamed is the one off the norm."""
    for group in _grouped(rows, lambda row: (row.provider, row.region, row.family), 2):
        norm = median(_unit_price(row) or Decimal(0) for row in group)
        ordered = sorted(group, key=_size)
        for small, large in ((a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]):
            smaller, larger = _size(small), _size(large)
            if smaller == larger or any(a > b for a, b in zip(smaller, larger, strict=True)):
                continue
            if (small.price or 0) >= (large.price or 0):
                blamed = max(
                    (small, large), key=lambda row: _distance(_unit_price(row) or norm, norm)
                )
                text = f"{large.instance_type} at {large.price} isn't above {small.instance_type}"
                yield blamed, f"{text} at {small.price}"


def _distance(value: Decimal, norm: Decimal) -> Decimal:
    return max(value, norm) / min(value, norm)


def _regional_factor(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    """Price = type x factor(family, region): a cell that breaks it is a typo."""
    base: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for row in rows:
        if row.price and row.price > 0:
            base[row.provider, row.instance_type][row.region] = row.price
    for group in _grouped(
        rows, lambda row: (row.provider, row.region, row.family, row.accelerator), 3
    ):
        tolerance = _REGION_TOLERANCE.get(group[0].provider)
        if tolerance is None:
            continue
        for home in {"aws": ["us-east-1"], "gcp": ["us-central1"]}.get(group[0].provider, []):
            pairs = [
                (row, (row.price or Decimal(0)) / base[row.provider, row.instance_type][home])
                for row in group
                if row.region != home and home in base[row.provider, row.instance_type]
            ]
            if len(pairs) < 3:
                continue
            factors = [factor for _, factor in pairs]
            for index, (row, factor) in enumerate(pairs):
                usual = _others(factors, index)
                if abs(factor / usual - 1) > tolerance:
                    yield row, f"{factor:.4f} x {home}; its family is at {usual:.4f}"


def _placeholder(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    for group in _grouped(rows, lambda row: (row.provider, row.family, row.price), 1):
        row = group[0]
        sizes = {_size(member) for member in group}
        if row.price in _PLACEHOLDERS:
            yield from ((member, f"{row.price} is a placeholder") for member in group)
        elif len(sizes) >= 3:
            text = f"{row.price} for {len(sizes)} sizes of {row.family}"
            yield from ((member, text) for member in group)


_TABLE_GATES: dict[str, Callable[[Sequence[PriceRow]], Iterator[_Hit]]] = {
    "cross-region": _cross_region,
    "unit-slip": _family_band,
    "node-size": _node_size,
    "regional-factor": _regional_factor,
    "placeholder": _placeholder,
}

GATES = (*_ROW_GATES, "date", "duplicate", "sources-disagree", *_TABLE_GATES)


def audit(
    rows: Sequence[PriceRow],
    today: date | None = None,
    references: _References | None = None,
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
        if known := references.get(_key(row)):
            for gate, text in _second_source(row, known):
                add(gate, row, text)
            if row.price and abs(row.price / known.price - 1) <= TWO_SOURCES:
                confirmed.add(row.line)
    for gate, row, message in _duplicates(rows):
        add(gate, row, message)
    broken = {line for line, _ in found}
    sound = [row for row in rows if row.line not in broken]
    for name, compare in _TABLE_GATES.items():
        for row, message in compare(sound):
            if row.line not in confirmed:
                add(name, row, message)
    return Audit(len(rows), tuple(sorted(found.values())))


def refuse_bad(rows: Iterable[PriceRow], result: Audit) -> list[PriceRow]:
    """The rows without a finding."""
    bad = result.bad_lines
    return [row for row in rows if row.line not in bad]
