"""The report of a big FOCUS bill against the bare DuckDB aggregation of the same file.

``python tests/bench/bench_cost_report.py [--rows 10000000] [--format parquet|csv|both] [--dir DIR]``
makes the file (deterministic, removed after), runs each part in a process of its own, and prints
the times, their ratio and the peak of resident memory. The bare aggregation is one GROUP BY of the
file by day, provider, service, region, category, currency and tags with the sum of BilledCost: what
any report needs first. Limits: ratio 3, memory 1 GiB; the exit code says whether they hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

_MAX_RATIO = 3.0
_MAX_GIB = 1.0
# 13,441 resources of 60 workloads, billed by the hour; a workload has one team, provider and region.
_ROWS = """
SELECT region || 'a' AS AvailabilityZone,
 CAST(0.0001 * (hash(i) % 1000000) AS DECIMAL(38,12)) AS BilledCost,
 '1' AS BillingAccountId, 'org' AS BillingAccountName, 'Payer' AS BillingAccountType,
 'USD' AS BillingCurrency,
 TIMESTAMP '2026-11-01' AS BillingPeriodEnd, TIMESTAMP '2026-10-01' AS BillingPeriodStart,
 CASE WHEN r % 500 = 0 THEN 'Tax' ELSE 'Usage' END AS ChargeCategory,
 CAST(NULL AS VARCHAR) AS ChargeClass, 'charge of SKU' || sku AS ChargeDescription,
 'Usage-Based' AS ChargeFrequency,
 start + INTERVAL 1 HOUR AS ChargePeriodEnd, start AS ChargePeriodStart,
 BilledCost AS ContractedCost, BilledCost AS EffectiveCost, BilledCost AS ListCost,
 CAST(0.25 AS DECIMAL(38,12)) AS ListUnitPrice, CAST(0.25 AS DECIMAL(38,12)) AS ContractedUnitPrice,
 'AWS' AS InvoiceIssuerName, ['AWS','Google Cloud','Microsoft'][1 + w % 3] AS ProviderName,
 'Publisher' AS PublisherName, CAST(4 * BilledCost AS DECIMAL(38,12)) AS PricingQuantity,
 'Hours' AS PricingUnit, region AS RegionId, 'resource-' || r AS ResourceId,
 'Compute' AS ServiceCategory, 'service-' || (sku % 25) AS ServiceName,
 'SKU' || sku AS SkuId, 'SKU' || sku || '.1' AS SkuPriceId,
 CASE WHEN sku % 25 < 4 THEN '{"GpuCount":8,"InstanceType":"p5.48xlarge"}' END AS SkuPriceDetails,
 'account-' || (w % 12) AS SubAccountId,
 '{"team":"team-' || (w % 12) || '","environment":"' || ['dev','prod'][1 + r % 2] ||
  '","workload":"w' || w || '"}' AS Tags
FROM (SELECT i, i % 13441 AS r, (i % 13441) % 60 AS w, 'region-' || ((i % 13441) % 60 % 8) AS region,
 ((i % 13441) % 60) * 5 + hash(i % 13441) % 6 AS sku,
 TIMESTAMP '2026-10-01' + INTERVAL (CAST((i // 13441) % 744 AS INTEGER)) HOUR AS start
 FROM range({rows}) t(i))
"""
_BARE = """
import duckdb, json, resource, sys, time
start = time.perf_counter()
c = duckdb.connect()
c.execute("SET memory_limit = '600MB'")
c.execute("SET preserve_insertion_order = false")
c.execute("SET enable_progress_bar = false")
read = f"read_parquet('{sys.argv[1]}')" if sys.argv[1].endswith('parquet') else \
    f"read_csv('{sys.argv[1]}', all_varchar=true, header=true)"
rows = c.execute(f'''SELECT CAST(ChargePeriodStart[:10] AS VARCHAR), ProviderName, ServiceName, RegionId,
 ChargeCategory, BillingCurrency, Tags, sum(CAST(BilledCost AS DECIMAL(38,12)))
 FROM {read} GROUP BY ALL'''.replace('ChargePeriodStart[:10]', 'date_trunc(\\'day\\', ChargePeriodStart)'
 if sys.argv[1].endswith('parquet') else 'ChargePeriodStart[:10]')).fetchall()
total = sum(row[-1] for row in rows)
"""
_REPORT = """
import json, resource, sys, time
start = time.perf_counter()
from cost.report import main_report
total = main_report('2026-10', sys.argv[2], sources=[sys.argv[1]]).report.total
"""
_TELL = """
print(json.dumps({'seconds': time.perf_counter() - start, 'total': str(total),
 'gib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
"""


def make(path: Path, rows: int) -> None:
    """Write the bill."""
    import duckdb

    form = (
        "(FORMAT parquet, COMPRESSION zstd)"
        if path.suffix == ".parquet"
        else "(HEADER, TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%SZ')"
    )
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY ({_ROWS.replace('{rows}', str(rows))}) TO '{path}' {form}")


def run(program: str, *arguments: str) -> dict[str, str | float]:
    """Run a part in a fresh process: its seconds, its total and its peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", program + _TELL, *arguments],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    found: dict[str, str | float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path, form: str, rows: int, repeats: int) -> bool:
    """Print one line of figures; whether the limits hold."""
    path = folder / f"focus.{form}"
    make(path, rows)
    bare = [run(_BARE, str(path)) for _ in range(repeats)]
    report = [run(_REPORT, str(path), str(folder / "out")) for _ in range(repeats)]
    seconds = [min(float(r["seconds"]) for r in runs) for runs in (bare, report)]
    gib = max(float(r["gib"]) for r in report)
    ratio = seconds[1] / seconds[0]
    if float(bare[0]["total"]) != float(report[0]["total"]):
        raise SystemExit(f"the totals differ: {bare[0]['total']} and {report[0]['total']}")
    print(
        f"{form}: {rows:,} rows, {path.stat().st_size / 2**20:,.0f} MiB; bare {seconds[0]:.1f} s, "
        f"report {seconds[1]:.1f} s, ratio {ratio:.2f} (limit {_MAX_RATIO:g}); "
        f"peak memory {gib:.2f} GiB (limit {_MAX_GIB:g})",
        flush=True,
    )
    path.unlink()
    return ratio <= _MAX_RATIO and gib < _MAX_GIB


def main() -> int:
    """Measure both formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--format", choices=("parquet", "csv", "both"), default="both")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    forms = ("parquet", "csv") if given.format == "both" else (given.format,)
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        held = [measure(Path(folder), form, given.rows, given.repeats) for form in forms]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
