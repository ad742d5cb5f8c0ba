"""The shipped tables: complete, quick to read, honest about age, and overridable."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from cost import catalog
from cost.catalog import store
from infra.core.errors import BadInput, DamagedState

_CACHED = (store.load_offers, store.load_sources, store.load_services, store.load_accelerators,
           store.load_fabrics, store.load_interruptions, store._offer_index,
           store.catalogue_digest)  # fmt: skip


@pytest.fixture
def fresh() -> None:
    """Forget what was read, before and after."""
    for function in _CACHED:
        function.cache_clear()
    yield
    for function in _CACHED:
        function.cache_clear()


def test_what_the_sites_provision_is_on_offer() -> None:
    offers = catalog.load_offers()
    on_offer = {row.accelerator for row in offers}
    wanted = {"T4", "L4", "A10G", "L40S", "V100-16GB", "A100-40GB", "A100-80GB", "H100", "H200",
              "B200", "B300", "Trainium", "Inferentia2", "TPU-v4", "TPU-v5e", "TPU-v5p",
              "TPU-v6e"}  # fmt: skip
    assert wanted <= on_offer
    assert {row.provider for row in offers} == {"aws", "gcp", "azure"}
    assert catalog.find_accelerator("MI300X").memory_gib == 192


def test_every_row_has_price_source_date_and_a_data_sheet() -> None:
    sheets = {row.name for row in catalog.load_accelerators()} | {""}
    for row in catalog.load_offers():
        assert row.on_demand_usd_per_hour > 0
        assert row.source
        assert row.as_of <= catalog.catalogue_date()
        assert row.accelerator in sheets
    for price in catalog.load_services():
        assert price.usd_per_unit >= 0
        assert price.unit
        assert price.source


def test_prices_that_were_checked_by_hand() -> None:
    g2 = catalog.find_offer("gcp", "us-central1", "g2-standard-4")
    assert g2 is not None
    assert g2.on_demand_usd_per_hour == Decimal("0.706832")
    p5 = catalog.find_offer("aws", "us-east-1", "p5.48xlarge")
    assert p5 is not None
    assert (p5.on_demand_usd_per_hour, p5.accelerator_count) == (Decimal("55.04"), 8)
    assert catalog.find_offer("aws", "mars-1", "p5.48xlarge") is None


def test_derived_regions_follow_the_factor() -> None:
    derived = [row for row in catalog.load_offers() if row.derived]
    assert len(derived) > 100
    for row in derived:
        home = catalog.find_offer("aws", "us-east-1", row.instance_type)
        assert home is not None
        assert row.provider == "aws"
        assert Decimal("0.9") < row.on_demand_usd_per_hour / home.on_demand_usd_per_hour < 2


def test_age_is_told() -> None:
    row = catalog.load_offers()[0]
    day = date(2026, 11, 22)
    assert not catalog.is_stale(replace(row, as_of=date(2026, 7, 1)), day)
    assert catalog.is_stale(replace(row, as_of=date(2025, 7, 1)), day)
    assert catalog.is_stale(replace(row, as_of=date(2026, 7, 1)), day, max_age_days=30)
    assert isinstance(catalog.is_stale(row), bool)


def test_other_tables() -> None:
    assert any(row.node == "p5.48xlarge" and row.gb_s_per_node == 400
               for row in catalog.load_fabrics())  # fmt: skip
    open_bucket = [row for row in catalog.load_interruptions() if row.monthly_high is None]
    assert open_bucket
    assert all(row.monthly_low == 0.2 for row in open_bucket)
    assert catalog.find_service("aws.eks.cluster", "us-east-1") is not None
    assert catalog.find_service("gcp.kms.key", "us-central1") is not None
    assert catalog.find_service("aws.eks.cluster", "eu-west-1") is None
    assert catalog.find_accelerator("nvidia-tesla-t4").name == "T4"
    assert len(catalog.catalogue_digest()) == 64
    with pytest.raises(BadInput, match="unknown accelerator 'H900'"):
        catalog.find_accelerator("H900")


def test_reading_all_of_it_is_quick() -> None:
    code = (
        "import time; import cost.catalog as c; t = time.process_time();"
        "c.load_offers(); c.load_services(); c.load_accelerators(); c.load_interruptions();"
        "print(time.process_time() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                           check=True) for _ in range(3)]  # fmt: skip
    assert min(float(run.stdout) for run in runs) < 0.15


def test_a_damaged_table_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    for path in store.DATA.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(store, "DATA", tmp_path)
    text = (tmp_path / "offers.csv").read_text()
    (tmp_path / "offers.csv").write_text(text[: len(text) // 2])
    with pytest.raises(DamagedState, match=r"offers\.csv"):
        catalog.load_offers()


_OWN = """provider,region,instance_type,vcpus,memory_gib,accelerator,accelerator_count,\
accelerator_memory_gib,on_demand_usd_per_hour,source,as_of
onprem,plant,dgx,224,2048,H100,8,80,21.5,prices.yaml,2026-10-01
aws,us-east-1,m5.large,2,8,,0,,0.09,contract,2026-10-01
"""


def test_own_tables_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    shipped = len(catalog.load_offers())
    digest = catalog.catalogue_digest()
    for function in _CACHED:
        function.cache_clear()
    path = tmp_path / "own.csv"
    path.write_text(_OWN)
    monkeypatch.setenv("MLSCALE_PRICE_TABLES", str(path))
    assert len(catalog.load_offers()) == shipped + 1
    own = catalog.find_offer("onprem", "plant", "dgx")
    assert own is not None
    assert own.on_demand_usd_per_hour == Decimal("21.5")
    m5 = catalog.find_offer("aws", "us-east-1", "m5.large")
    assert m5 is not None
    assert m5.source == "contract"
    assert catalog.catalogue_digest() != digest


def test_own_tables_are_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(_OWN.replace("21.5", "-21.5"))
    monkeypatch.setenv("MLSCALE_PRICE_TABLES", str(path))
    with pytest.raises(BadInput, match=r"own.csv:2: onprem plant dgx: price is -21.5"):
        catalog.load_offers()
