"""The build takes what the sites provision, names it in one way, audits it and fills regions."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from cost.catalog import build, names
from cost.catalog.prices import earliest_day, read_prices
from infra.core.errors import BadInput

_INSTANCES = """provider,region,instance_type,vcpus,memory_gib,accelerator_name,accelerator_count,\
accelerator_memory_gib,on_demand_usd_per_hour,spot_usd_per_hour,source,as_of_date,spot_min_az,\
spot_max_az,network_gbps,note
aws,us-east-1,p5.48xlarge,192,2048.0,H100,8,80,55.04,18.7,list,2026-07-20,16.9,55.04,3200,
aws,us-west-2,p5.48xlarge,192,2048.0,H100,8,80,55.04,,list,2026-08,,,3200,
aws,us-east-1,p5.4xlarge,16,256,H100,1,80,6.88,,list,2026-07-20,,,100,
aws,us-east-1,p5e.48xlarge,192,2048,H200,8,141,,14.8,list,2026-08,,,3200,
aws,us-east-1,m5.large,2,8,,0,,-0.096,,list,2026-08,,,10,
aws,us-east-1,x2idn.16xlarge,64,1024,,0,,6.669,,list,2026-08,,,50,
azure,eastus,Standard_NC24ads_A100_v4,24,220,A100-80GB,1,80,3.673,,list (not re-read),2024 (?),,,,
"""
_TABLES = {
    "instances.csv": _INSTANCES,
    "services.csv": "provider,region,service,unit,usd_per_unit,source,as_of_date\n"
    "aws,us-east-1,EKS control plane,cluster-hour,0.1,golden,2025-07-07\n"
    "aws,us-east-1,MSK broker kafka.m5.24xlarge,broker-hour,10.08,golden,2024-07-01\n"
    "aws,us-east-1,Something else,hour,1,golden,2024-07-01\n",
    "accelerators.csv": "accelerator,vendor,peak_dense_bf16_tflops,peak_fp32_tflops,memory_gb,"
    "memory_bandwidth_gb_s,interconnect,interconnect_gb_s_one_way_per_device,tdp_w,"
    "measured_max_bf16_tflops_mamf,source\nH100-SXM,NVIDIA,989,67,80,3350,NVLink4,450,700,794.5,s\n"
    "V100-SXM2,NVIDIA,125,15.7,32,900,NVLink2,150,300,,s\n",
    "node_fabrics.csv": "provider,node,fabric,gb_s_one_way_per_node,source\n"
    "on-prem,DGX H100,InfiniBand,400,s\n",
    "aws_region_multipliers.csv": "family,region,multiplier_vs_us_east_1,evidence_types,spread,note\n"
    "p5,us-west-2,1.0,p5.48xlarge,0,\np5,eu-west-2,1.3,p5.48xlarge,0,\n",
    "aws_spot_interruption.csv": "region,instance_type,savings_pct_vs_on_demand,interruption_range,"
    "source,as_of_date\nus-east-1,p5.48xlarge,60,>20%,s,2025-06-28\nus-east-1,x9.large,60,<5%,s,"
    "2025-06-28\n",
}


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    source, target = tmp_path / "facts", tmp_path / "tables"
    source.mkdir()
    for name, text in _TABLES.items():
        (source / name).write_text(text)
    assert build.main(["--from", str(source), "--to", str(target)]) == 0
    return target


def test_bad_rows_are_left_out_and_listed(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = capsys.readouterr().err
    types = {row["instance_type"] for row in _read(built / "offers.csv")}
    assert types == {"p5.48xlarge", "p5.4xlarge", "Standard_NC24ads_A100_v4"}
    assert "p5e.48xlarge: no on-demand price (not-a-number)" in listed
    assert "m5.large: price is -0.096 (not-positive)" in listed
    assert "x2idn" not in listed


def test_regions_are_filled_and_marked(built: Path) -> None:
    rows = {(row["region"], row["instance_type"]): row for row in _read(built / "offers.csv")}
    london = rows["eu-west-2", "p5.48xlarge"]
    assert (london["on_demand_usd_per_hour"], london["derived"]) == ("71.552000", "1")
    assert rows["us-west-2", "p5.48xlarge"]["derived"] == ""
    assert rows["us-west-2", "p5.4xlarge"]["derived"] == "1"


def test_names_sources_and_services(built: Path) -> None:
    types = {row["instance_type"]: row for row in _read(built / "instance_types.csv")}
    assert types["Standard_NC24ads_A100_v4"]["accelerator"] == "A100-80GB-PCIe"
    sources = {row["id"]: row for row in _read(built / "sources.csv")}
    rows = {row["instance_type"]: row for row in _read(built / "offers.csv")}
    azure = sources[rows["Standard_NC24ads_A100_v4"]["source"]]
    assert azure["as_of"] == "2024-01-01"
    assert azure["source"] == "list [date given as 2024 (?)]"
    services = {row["key"]: row for row in _read(built / "services.csv")}
    assert services["aws.msk.broker.kafka.m5.large"]["usd_per_unit"] == "0.21"
    assert services["aws.msk.broker.kafka.m5.large"]["derived"] == "1"
    assert "aws.kms.key" in services
    assert [row["instance_type"] for row in _read(built / "interruptions.csv")] == ["p5.48xlarge"]
    assert {row["name"] for row in _read(built / "accelerators.csv")} >= {
        "H100", "V100-32GB", "V100-16GB", "A100-80GB-PCIe"}  # fmt: skip


def test_the_built_tables_can_be_audited(built: Path) -> None:
    rows = read_prices(built / "offers.csv")
    assert all(row.as_of and row.source for row in rows)


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"can.t read instances\.csv"):
        build.main(["--from", str(tmp_path), "--to", str(tmp_path / "out")])


def test_earliest_days() -> None:
    assert earliest_day("2026-08") == date(2026, 8, 1)
    assert earliest_day("2024 (content)") == date(2024, 1, 1)
    assert earliest_day("2026-11-09") == date(2026, 11, 9)


def test_families() -> None:
    assert names.family_of("azure", "Standard_NC24ads_A100_v4") == "NCads_A100_v4"
    assert names.family_of("azure", "odd") == "odd"
    assert names.family_of("aws", "p6-b200.48xlarge") == "p6-b200"
    assert not names.is_shipped("gcp", "c3-standard-4-lssd")
