"""Gates that judge a row of a price table by its siblings and by a second source."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from cost.catalog.prices import PriceRow

CROSS_REGION_BAND = (Decimal("0.6"), Decimal("1.7"))
TWO_SOURCES = Decimal("0.01")
"""Two sources agree within 1 %."""
SAME_PERIOD_DAYS = 31
"""List prices of dates further apart may differ honestly (p5 fell by 44 % in a year)."""
_FAMILY_SPREAD = Decimal("3.5")
_PLACEHOLDERS = frozenset(map(Decimal, ("0.01", "700", "777", "999", "999.99", "9999", "99999")))
_REGION_TOLERANCE = {"aws": Decimal("0.0005"), "gcp": Decimal("0.08"), "azure": Decimal("0.25")}
"""How far a family's regional factor differs between its types: exact on AWS, loose on Azure."""


class Reference(NamedTuple):
    """What another source says of one offer."""

    price: Decimal
    as_of: date
    vcpus: Decimal | None
    accelerator: str
    accelerator_count: Decimal
    accelerator_memory_gib: Decimal | None


Key = tuple[str, str, str]
References = Mapping[Key, Reference]
_Hit = tuple[PriceRow, str]


def key_of(row: PriceRow) -> Key:
    """What makes two rows the same offer."""
    return row.provider, row.region, row.instance_type


def duplicates(rows: Sequence[PriceRow]) -> Iterator[tuple[str, PriceRow, str]]:
    """(gate, row, message) of offers that are there twice."""
    groups: dict[Key, list[PriceRow]] = defaultdict(list)
    for row in rows:
        groups[key_of(row)].append(row)
    for group in groups.values():
        first = group[0]
        for row in group[1:]:
            if row.source == first.source:
                yield "duplicate", row, f"the same offer as in line {first.line}"
            elif row.price and first.price and abs(row.price / first.price - 1) > TWO_SOURCES:
                text = f"{row.price} here, {first.price} in line {first.line} of another source"
                yield "sources-disagree", row, text


def second_source(row: PriceRow, known: Reference) -> Iterator[tuple[str, str]]:
    """(gate, message) of what contradicts a second source of about the same day."""
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


def _medians_of_others(values: Sequence[Decimal]) -> list[Decimal]:
    """For each value the median of all the others, from one sort. At least two values."""
    ordered = sorted(values)
    half, odd = divmod(len(values) - 1, 2)

    def rest(position: int, without: int) -> Decimal:
        return ordered[position + (position >= without)]

    out = []
    for value in values:
        without = bisect_left(ordered, value)
        upper = rest(half, without)
        out.append(upper if odd else (upper + rest(half - 1, without)) / 2)
    return out


def _cross_region(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    low, high = CROSS_REGION_BAND
    for group in _grouped(rows, lambda row: (row.provider, row.instance_type), 3):
        prices = [row.price or Decimal(0) for row in group]
        usual = _medians_of_others(prices)
        for index, row in enumerate(group):
            ratio = prices[index] / usual[index]
            if not low <= ratio <= high:
                yield row, f"{ratio:.2f} of the median of its other regions"


def _family_band(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    """Off by every measure: per accelerator, per vCPU and per GiB of its family."""
    for group in _grouped(rows, lambda row: (row.provider, row.family, row.accelerator), 3):
        ratios: dict[int, list[Decimal]] = defaultdict(list)
        for measure in range(3):
            sized = [row for row in group if _size(row)[measure]]
            units = [(row.price or Decimal(0)) / _size(row)[measure] for row in sized]
            if len(sized) < 3:
                continue
            for row, unit, usual in zip(sized, units, _medians_of_others(units), strict=True):
                ratios[row.line].append(unit / usual)
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
            medians = _medians_of_others([factor for _, factor in pairs])
            for (row, factor), usual in zip(pairs, medians, strict=True):
                if abs(factor / usual - 1) > tolerance:
                    yield row, f"{factor:.4f} x {home}; its family is at {usual:.4f}"


def _placeholder(rows: Sequence[PriceRow]) -> Iterator[_Hit]:
    groups: dict[tuple[str, str, Decimal], list[PriceRow]] = defaultdict(list)
    for row in rows:
        if row.price is not None:
            groups[row.provider, row.family, row.price].append(row)
    for (_, family, price), group in groups.items():
        sizes = {_size(row) for row in group}
        if price in _PLACEHOLDERS:
            yield from ((row, f"{price} is a placeholder") for row in group)
        elif len(sizes) >= 3:
            yield from ((row, f"{price} for {len(sizes)} sizes of {family}") for row in group)


TABLE_GATES: dict[str, Callable[[Sequence[PriceRow]], Iterator[_Hit]]] = {
    "cross-region": _cross_region,
    "unit-slip": _family_band,
    "node-size": _node_size,
    "regional-factor": _regional_factor,
    "placeholder": _placeholder,
}
