"""Faults of every kind that public price data has, put into a table of good rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import pytest

from cost.catalog import load_offers

Row = dict[str, str]


def flat_rows() -> list[Row]:
    """The shipped offers as a flat price table."""
    return [
        {
            "provider": row.provider,
            "region": row.region,
            "instance_type": row.instance_type,
            "vcpus": "" if row.vcpus is None else str(row.vcpus),
            "memory_gib": "" if row.memory_gib is None else str(row.memory_gib),
            "accelerator": row.accelerator,
            "accelerator_count": f"{row.accelerator_count:g}",
            "accelerator_memory_gib": ""
            if row.accelerator_memory_gib is None
            else f"{row.accelerator_memory_gib:g}",
            "on_demand_usd_per_hour": str(row.on_demand_usd_per_hour),
            "spot_usd_per_hour": ""
            if row.spot_usd_per_hour is None
            else str(row.spot_usd_per_hour),
            "source": row.source,
            "as_of": row.as_of.isoformat(),
            "currency": "USD",
        }
        for row in load_offers()
    ]


def _price(factor: str) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        price = Decimal(row["on_demand_usd_per_hour"]) * Decimal(factor)
        row["on_demand_usd_per_hour"] = f"{price:f}"

    return change


def _put(**cells: str) -> Callable[[Row], None]:
    return lambda row: row.update(cells)


def _spot_above(row: Row) -> None:
    row["spot_usd_per_hour"] = f"{Decimal(row['on_demand_usd_per_hour']) * 2:f}"


def _double_memory(row: Row) -> None:
    row["accelerator_memory_gib"] = f"{Decimal(row['accelerator_memory_gib']) * 2:f}"


FAULTS: dict[str, Callable[[Row], None]] = {
    "zero": _put(on_demand_usd_per_hour="0"),
    "negative": _put(on_demand_usd_per_hour="-1.5"),
    "negative spot": _put(spot_usd_per_hour="-0.1"),
    "absurd": _put(on_demand_usd_per_hour="1000000"),
    "not a number": _put(on_demand_usd_per_hour="NaN"),
    "infinite": _put(on_demand_usd_per_hour="inf"),
    "text": _put(on_demand_usd_per_hour="call us"),
    "missing": _put(on_demand_usd_per_hour=""),
    "placeholder": _put(on_demand_usd_per_hour="700.00"),
    "a month's price": _price("730"),
    "cents": _price("100"),
    "a minute's price": _price("0.0166667"),
    "another region's outlier": _price("2.5"),
    "half the price": _price("0.45"),
    "spot above on demand": _spot_above,
    "twelve accelerators": _put(accelerator_count="12"),
    "accelerator memory": _double_memory,
    "no source": _put(source=""),
    "no date": _put(as_of=""),
    "no such date": _put(as_of="2026-02-30"),
    "future": _put(as_of="2031-01-01"),
    "currency": _put(currency="EUR"),
}
WITH_ACCELERATOR = {"twelve accelerators", "accelerator memory"}
SECOND_SOURCE = {"another region's outlier": "1.03", "half the price": "0.97"}


@pytest.fixture(scope="session")
def good_rows() -> list[Row]:
    """The shipped offers as a flat price table."""
    return flat_rows()


def inject(rows: list[Row], seed: int) -> tuple[list[Row], dict[int, str]]:
    """A copy with one fault of each kind, a duplicate, a contradicting source and a typo in a
    region; returns it and the fault by line (2-based, below the header)."""
    rng = random.Random(seed)
    table = [dict(row) for row in rows]
    bad: dict[int, str] = {}

    def pick(fits: Callable[[Row], bool]) -> int:
        while True:
            index = rng.randrange(len(rows))
            if index + 2 not in bad and fits(table[index]):
                return index

    for kind, change in FAULTS.items():
        index = pick(lambda row, kind=kind: kind not in WITH_ACCELERATOR or _whole(row))
        change(table[index])
        bad[index + 2] = kind
    index = pick(lambda row: row["provider"] == "aws" and row["region"] != "us-east-1")
    _price("1.04")(table[index])
    bad[index + 2] = "regional factor"
    for kind in ("duplicate", "two sources"):
        copy = dict(table[pick(lambda row: True)])
        if kind == "two sources":
            copy["source"] = "elsewhere"
            _price("1.03")(copy)
        table.append(copy)
        bad[len(table) + 1] = kind
    return table, bad


def _whole(row: Row) -> bool:
    return bool(row["accelerator"]) and row["accelerator_count"] in {"1", "2", "4", "8"}
