"""The audit flags every injected fault and leaves good rows alone."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from cost.catalog.audit import GATES, audit, shipped_references
from cost.catalog.prices import make_rows, read_prices
from cost.catalog.siblings import Reference
from cost.catalog.store import DATA
from infra.core.errors import BadInput

from .conftest import Row, inject  # type: ignore[import-not-found]

TODAY = date(2026, 11, 22)


def _trial(
    rows: list[Row], seed: int, references: dict[tuple[str, str, str], Reference]
) -> tuple[set[str], int]:
    table, bad = inject(rows, seed)
    found = audit(make_rows(table), TODAY, references).bad_lines
    return {kind for line, kind in bad.items() if line not in found}, len(found - set(bad))


@pytest.mark.parametrize("seed", range(6))
def test_every_fault_is_found_and_no_good_row_blamed(good_rows: list[Row], seed: int) -> None:
    missed, false_alarms = _trial(good_rows, seed, shipped_references())
    assert not missed
    assert false_alarms == 0


@pytest.mark.parametrize("seed", range(100, 103))
def test_without_a_second_source_the_table_judges_itself(good_rows: list[Row], seed: int) -> None:
    missed, false_alarms = _trial(good_rows, seed, {})
    # What is within the band of its siblings can't be told from an honest price.
    assert missed <= {"regional factor", "half the price", "another region's outlier"}
    assert false_alarms < len(good_rows) / 100


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_every_fault_is_found_in_many_tables(good_rows: list[Row], seed: int) -> None:
    missed, false_alarms = _trial(good_rows, seed, shipped_references())
    assert not missed
    assert false_alarms < len(good_rows) / 100


def test_the_shipped_table_passes() -> None:
    result = audit(read_prices(DATA / "offers.csv"), TODAY)
    assert result.rows > 2500
    assert result.findings == ()


def _one(**cells: str) -> set[str]:
    row = {"provider": "aws", "region": "us-east-1", "instance_type": "m5.large", "vcpus": "2",
           "memory_gib": "8", "on_demand_usd_per_hour": "0.096", "source": "s",
           "as_of": "2026-08"} | cells  # fmt: skip
    return {found.gate for found in audit(make_rows([row]), TODAY).findings}


@pytest.mark.parametrize(
    ("cells", "gate"),
    [
        ({"on_demand_usd_per_hour": "-1"}, "not-positive"),
        ({"spot_usd_per_hour": "0"}, "not-positive"),
        ({"on_demand_usd_per_hour": "nan"}, "not-a-number"),
        ({"vcpus": "two"}, "not-a-number"),
        ({"on_demand_usd_per_hour": "70"}, "absurd"),
        ({"on_demand_usd_per_hour": "0.0000960"}, "absurd"),
        ({"spot_usd_per_hour": "0.2"}, "spot"),
        ({"spot_usd_per_hour": "0.02", "spot_min_usd_per_hour": "0.03"}, "spot"),
        ({"accelerator": "H100", "accelerator_count": "12"}, "accelerators"),
        ({"accelerator": "H100", "accelerator_count": "0"}, "accelerators"),
        ({"accelerator": "H100", "accelerator_count": "3"}, "accelerators"),
        ({"accelerator_count": "8"}, "accelerators"),
        (
            {"accelerator": "H100", "accelerator_count": "8", "accelerator_memory_gib": "160"},
            "accelerators",
        ),
        (
            {"accelerator": "H100", "accelerator_count": "1", "on_demand_usd_per_hour": "1200"},
            "absurd",
        ),
        ({"source": ""}, "no-source"),
        ({"as_of": ""}, "date"),
        ({"as_of": "soon"}, "date"),
        ({"as_of": "2027-01-01"}, "date"),
        ({"currency": "eur"}, "currency"),
        ({"instance_type": "x.large", "vcpus": "", "on_demand_usd_per_hour": "700.00"},
         "placeholder"),
    ],
)  # fmt: skip
def test_each_gate(cells: Row, gate: str) -> None:
    assert gate in GATES
    assert _one() == set()
    assert gate in _one(**cells)


def test_sizes_that_are_sold_are_not_refused() -> None:
    for name, count in (("L4", "0.125"), ("Inferentia2", "12"), ("TPU-v5p", "6144"),
                        ("A100-40GB", "16"), ("Newcomer", "8")):  # fmt: skip
        assert "accelerators" not in _one(accelerator=name, accelerator_count=count)


def test_a_fraction_of_no_power_of_two_is_refused() -> None:
    assert "accelerators" in _one(accelerator="L4", accelerator_count="0.3")


def test_the_same_price_for_every_size_is_a_placeholder() -> None:
    rows = [
        {"provider": "gcp", "region": "us-east5", "instance_type": f"tpu-v6e-{chips}",
         "accelerator": "TPU-v6e", "accelerator_count": str(chips), "source": "s",
         "on_demand_usd_per_hour": "650", "as_of": "2026-08-01"}
        for chips in (4, 8, 16)
    ]  # fmt: skip
    gates = {found.gate for found in audit(make_rows(rows), TODAY).findings}
    assert "placeholder" in gates


def test_unreadable_tables_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't read"):
        read_prices(tmp_path / "none.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("provider,region\n")
    with pytest.raises(BadInput, match="no rows"):
        read_prices(empty)
    empty.write_text("provider,region\naws,us-east-1\n")
    with pytest.raises(BadInput, match="columns missing: instance_type, on_demand_usd_per_hour"):
        read_prices(empty)


def test_a_flat_table_from_a_file(tmp_path: Path, good_rows: list[Row]) -> None:
    path = tmp_path / "prices.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, good_rows[0])
        writer.writeheader()
        writer.writerows(good_rows[:40])
    result = audit(read_prices(path), TODAY, shipped_references())
    assert result.as_json()["bad_rows"] == 0
