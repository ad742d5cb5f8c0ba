"""Bills as the clouds write them: headers, decimals, credits, currencies, and all that is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost.actuals import Period, Source, open_bills
from cost.actuals.sources import simplify
from cost.money import Rates
from infra.core.errors import BadInput

D = Decimal
FOCUS_HEADER = (
    "BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,"
    "ChargePeriodEnd,ChargeCategory,ChargeClass,BilledCost,EffectiveCost,ListUnitPrice,ServiceName,"
    "SkuId,ResourceId,ProviderName,Tags"
)


def focus_row(**more: str) -> str:
    row = {
        "BillingAccountId": "1", "BillingCurrency": "USD", "ChargeCategory": "Usage",
        "BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z",
        "ChargePeriodStart": "2026-10-05T00:00:00Z", "ChargePeriodEnd": "2026-10-06T00:00:00Z",
        "BilledCost": "10.00", "EffectiveCost": "10.00", "ServiceName": "EC2", "SkuId": "S",
        "ResourceId": "i-1", "ProviderName": "AWS",
    } | more  # fmt: skip
    return ",".join(row.get(name, "") for name in FOCUS_HEADER.split(","))


def focus_file(path: Path, rows: Iterable[str]) -> Path:
    path.write_text("\n".join([FOCUS_HEADER, *rows]) + "\n")
    return path


def read(
    sources: Path | Sequence[Path | Source], sql: str, **options: Any
) -> list[tuple[Any, ...]]:
    given = [sources] if isinstance(sources, Path) else sources
    with open_bills(given, **options) as bills:
        return bills.query(sql)


def reasons(sources: Path | list[Path], **options: Any) -> list[str | None]:
    rows = read(sources, "SELECT x_Reason FROM bills ORDER BY ALL", **options)
    return [row[0] for row in rows]


AZURE = {
    "subscriptionId": "s1", "billingAccountId": "b1", "date": "10/05/2026", "meterCategory": "Storage",
    "meterId": "m1", "costInBillingCurrency": "1234.56", "billingCurrency": "EUR",
    "chargeType": "Usage", "quantity": "2", "unitOfMeasure": "1 GB/Month", "effectivePrice": "617.28",
    "ResourceId": "/subscriptions/s1/disk", "tags": '"team": "ml","env": "prod"',
}  # fmt: skip


def csv_text(row: dict[str, str], delimiter: str = ",") -> str:
    quoted = ('"' + value.replace('"', '""') + '"' for value in row.values())
    return delimiter.join(row) + "\n" + delimiter.join(quoted) + "\n"


AZURE_QUERY = (
    "SELECT BilledCost, BillingCurrency, CAST(ChargePeriodStart AS DATE), PricingUnit, Tags, "
    "ServiceCategory, ResourceName FROM bills"
)


def german(row: dict[str, str]) -> dict[str, str]:
    return {
        **row, "date": "05.10.2026", "costInBillingCurrency": "1.234,56", "effectivePrice": "617,28"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("camel", lambda p: p.write_text(csv_text(AZURE))),
        ("bom", lambda p: p.write_text(csv_text(AZURE), encoding="utf-8-sig")),
        ("upper", lambda p: p.write_text(csv_text({k.title(): v for k, v in AZURE.items()}))),
        ("german", lambda p: p.write_text(csv_text(german(AZURE), ";"), encoding="utf-8-sig")),
        ("iso", lambda p: p.write_text(csv_text({**AZURE, "date": "2026-10-05"}))),
        ("crlf", lambda p: p.write_bytes(csv_text(AZURE).replace("\n", "\r\n").encode())),
        ("braces", lambda p: p.write_text(csv_text({**AZURE, "tags": "{" + AZURE["tags"] + "}"}))),
    ],
)
def test_azure_exports_in_any_dress(
    tmp_path: Path, name: str, write: Callable[[Path], object]
) -> None:
    write(tmp_path / f"{name}.csv")
    ((cost, currency, day, unit, tags, category, resource),) = read(
        tmp_path / f"{name}.csv", AZURE_QUERY
    )
    assert (cost, currency, str(day), unit) == (D("1234.56"), "EUR", "2026-10-05", "GB-Months")
    assert json.loads(tags) == {"team": "ml", "env": "prod"}
    assert (category, resource) == ("Storage", "disk")


def test_localised_azure_headers_are_known_by_the_name_in_brackets(tmp_path: Path) -> None:
    assert simplify("Abonnement-GUID (SubscriptionGuid)") == "subscriptionguid"
    assert simplify("\u00c4hnlich") == "hnlich"
    row = {
        "Abonnement-GUID (SubscriptionGuid)": "s", "UsageDateTime (UsageDateTime)": "2026-10-05",
        "Kategorie der Verbrauchseinheit (MeterCategory)": "Load Balancer",
        "ID der Verbrauchseinheit (MeterId)": "m", "UsageQuantity (UsageQuantity)": "3",
        "Ressourcensatz (ResourceRate)": "0.025", "PreTaxCost (PreTaxCost)": "0.075",
        "Currency": "USD", "Maßeinheit (UnitOfMeasure)": "1 Hour",
    }  # fmt: skip
    path = tmp_path / "usage.csv"
    path.write_text(csv_text(row), encoding="utf-8")
    got = read(path, "SELECT x_ReportedCost, ServiceName, PricingUnit, SkuId, x_Reason FROM bills")
    assert got == [(D("0.075"), "Load Balancer", "Hours", "m", None)]


def test_azure_amortised_use_is_not_billed_again(tmp_path: Path) -> None:
    row = {**AZURE, "pricingModel": "Reservation", "reservationId": "r1"}
    path = tmp_path / "amortized.csv"
    path.write_text(csv_text(row))
    query = (
        "SELECT BilledCost, EffectiveCost, PricingCategory, CommitmentDiscountStatus,"
        " CommitmentDiscountQuantity FROM bills"
    )
    assert read(path, query) == [(D(0), D("1234.56"), "Committed", "Used", D(2))]
    purchase = {**AZURE, "chargeType": "Purchase", "reservationId": "r1"}
    (tmp_path / "actual.csv").write_text(csv_text(purchase))
    got = read(
        tmp_path / "actual.csv", "SELECT BilledCost, EffectiveCost, ChargeCategory FROM bills"
    )
    assert got == [(D("1234.56"), D(0), "Purchase")]


@pytest.mark.parametrize(
    ("kind", "category", "klass"),
    [("Refund", "Adjustment", "Correction"), ("Tax", "Tax", None), ("Credit", "Credit", None),
     ("RoundingAdjustment", "Adjustment", None)],
)  # fmt: skip
def test_azure_charge_types(tmp_path: Path, kind: str, category: str, klass: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text({**AZURE, "chargeType": kind, "costInBillingCurrency": "-5"}))
    query = "SELECT ChargeCategory, ChargeClass, BilledCost FROM bills"
    assert read(path, query) == [(category, klass, D(-5))]


GCP = {
    "billing_account_id": "01-02", "service": {"id": "X", "description": "Compute Engine"},
    "sku": {"id": "SK", "description": "Spot Preemptible A3"}, "cost": 12.345678,
    "usage_start_time": "2026-10-05 07:00:00 UTC", "usage_end_time": "2026-10-05 08:00:00 UTC",
    "project": {"id": "p", "name": "Project"}, "labels": [{"key": "team", "value": "ml"}],
    "system_labels": [{"key": "compute.googleapis.com/machine_spec", "value": "a3-highgpu-8g"}],
    "location": {"region": "us-central1", "zone": "us-central1-a"}, "currency": "USD",
    "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0,
              "pricing_unit": "hour"},
    "credits": [{"name": "SUD", "amount": -2.5, "type": "SUSTAINED_USAGE_DISCOUNT"}],
    "invoice": {"month": "202610"}, "cost_type": "regular", "cost_at_list": 15.0,
}  # fmt: skip
GCP_QUERY = (
    "SELECT ChargeCategory, BilledCost, ServiceName, RegionId, SubAccountId, Tags, PricingCategory,"
    " SkuId, SkuPriceDetails, CAST(BillingPeriodStart AS DATE) FROM bills ORDER BY BilledCost"
)


def gcp_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([GCP]), path)


def gcp_csv(path: Path) -> None:
    flat: dict[str, str] = {}
    for key, value in GCP.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{leaf}": str(item) for leaf, item in value.items()})
        else:
            flat[key] = json.dumps(value) if isinstance(value, list) else str(value)
    path.write_text(csv_text(flat))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("b.jsonl", lambda p: p.write_text(json.dumps(GCP) + "\n")),
        ("b.json", lambda p: p.write_text(json.dumps([GCP], indent=1))),
        ("b.json.gz", lambda p: p.write_bytes(gzip.compress(json.dumps(GCP).encode()))),
        ("b.parquet", gcp_parquet),
        ("b.csv", gcp_csv),
    ],
)
def test_gcp_exports_nest_and_unfold_credits(
    tmp_path: Path, name: str, write: Callable[[Path], object]
) -> None:
    write(tmp_path / name)
    credit, usage = read(tmp_path / name, GCP_QUERY)
    assert credit[:2] == ("Credit", D("-2.5"))
    assert usage[:5] == ("Usage", D("12.345678"), "Compute Engine", "us-central1", "p")
    assert json.loads(usage[5]) == {"team": "ml"}
    assert usage[6:8] == ("Dynamic", "SK")
    assert json.loads(usage[8]) == {"InstanceType": "a3-highgpu-8g", "GpuCount": 8}
    assert str(usage[9]) == "2026-10-01"


CUR = {
    "bill_payer_account_id": "1", "bill_billing_period_start_date": "2026-10-01T00:00:00Z",
    "bill_billing_period_end_date": "2026-11-01T00:00:00Z", "line_item_currency_code": "USD",
    "line_item_usage_start_date": "2026-10-05T00:00:00Z",
    "line_item_usage_end_date": "2026-10-05T01:00:00Z", "line_item_product_code": "AmazonEC2",
    "line_item_usage_type": "BoxUsage:p5.48xlarge", "line_item_usage_amount": "1",
    "line_item_unblended_cost": "55.04", "line_item_unblended_rate": "55.04", "pricing_unit": "Hrs",
    "pricing_public_on_demand_cost": "55.04", "pricing_public_on_demand_rate": "55.04",
    "product_sku": "S", "pricing_rate_code": "S.1",
    "product": '{"product_name": "Amazon EC2", "instance_type": "p5.48xlarge", "gpu": "8"}',
    "resource_tags": '{"user_team": "ml"}', "line_item_resource_id": "i-1",
    "savings_plan_savings_plan_a_r_n": "", "savings_plan_savings_plan_effective_cost": "",
    "reservation_reservation_a_r_n": "", "reservation_effective_cost": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "category", "billed", "effective"),
    [
        ({"line_item_line_item_type": "Usage"}, "Usage", "55.04", "55.04"),
        ({"line_item_line_item_type": "Tax"}, "Tax", "55.04", "55.04"),
        ({"line_item_line_item_type": "Credit", "line_item_unblended_cost": "-7"},
         "Credit", "-7", "-7"),
        ({"line_item_line_item_type": "SavingsPlanCoveredUsage",
          "savings_plan_savings_plan_a_r_n": "arn",
          "savings_plan_savings_plan_effective_cost": "33"}, "Usage", "55.04", "33"),
        ({"line_item_line_item_type": "SavingsPlanNegation", "line_item_unblended_cost": "-55.04"},
         "Adjustment", "-55.04", "0"),
        ({"line_item_line_item_type": "DiscountedUsage", "line_item_unblended_cost": "0",
          "reservation_reservation_a_r_n": "arn", "reservation_effective_cost": "30"},
         "Usage", "0", "30"),
        ({"line_item_line_item_type": "Fee", "reservation_reservation_a_r_n": "arn"},
         "Purchase", "55.04", "0"),
    ],
)  # fmt: skip
def test_aws_line_items(
    tmp_path: Path, change: dict[str, str], category: str, billed: str, effective: str
) -> None:
    path = tmp_path / "cur.csv"
    path.write_text(csv_text({"line_item_line_item_type": "", **CUR, **change}))
    query = "SELECT ChargeCategory, BilledCost, EffectiveCost, Tags FROM bills"
    assert read(path, query) == [(category, D(billed), D(effective), '{"team": "ml"}')]


def test_aws_parquet_with_maps(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {**CUR, "line_item_line_item_type": "Usage", "line_item_unblended_cost": 55.04}
    columns: dict[str, Any] = {name: pa.array([value]) for name, value in row.items()}
    text_map = pa.map_(pa.string(), pa.string())
    columns["product"] = pa.array([list(json.loads(CUR["product"]).items())], type=text_map)
    columns["resource_tags"] = pa.array([[("user_team", "ml")]], type=text_map)
    pq.write_table(pa.table(columns), tmp_path / "cur.parquet")
    query = "SELECT BilledCost, Tags, SkuPriceDetails, ServiceName FROM bills"
    ((cost, tags, details, service),) = read(tmp_path / "cur.parquet", query)
    assert (cost, json.loads(tags), service) == (D("55.04"), {"team": "ml"}, "Amazon EC2")
    assert json.loads(details) == {"InstanceType": "p5.48xlarge", "GpuCount": 8}


def test_focus_parquet_keeps_its_types(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = focus_file(tmp_path / "f.csv", [focus_row(Tags='"{""team"": ""a""}"')])
    header, row = (line.split(",") for line in text.read_text().splitlines()[:2])
    table: dict[str, Any] = {n: [v or None] for n, v in zip(header, row, strict=True)}
    utc = pa.timestamp("ms", tz="UTC")
    for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"):
        table[name] = pa.array([table[name][0][:-1]]).cast(pa.timestamp("ms")).cast(utc)
    table["BilledCost"] = pa.array([D("10.5")], type=pa.decimal128(38, 12))
    table["EffectiveCost"] = [10.5]
    table["Tags"] = pa.array([[("team", "a")]], type=pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    got = read(tmp_path / "f.parquet", "SELECT x_ReportedCost, EffectiveCost, Tags FROM bills")
    assert got == [(D("10.5"), D("10.5"), '{"team":"a"}')]


# What is wrong with single charges: each has a reason and isn't in a total, or is marked unknown.
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"BilledCost": "n.a."}, "the cost is missing or unreadable"),
        ({"BilledCost": ""}, "the cost is missing or unreadable"),
        ({"ListUnitPrice": "-0.1"}, "the unit price is negative"),
        ({"BilledCost": "-10"}, "a negative charge that is neither credit, refund nor correction"),
        ({"BillingCurrency": "EUR"}, "no exchange rate from EUR to USD"),
        ({"BillingCurrency": ""}, "the currency is missing"),
        ({"ChargePeriodEnd": "2026-10-04T00:00:00Z"}, "the charge ends before it starts"),
        ({"ChargePeriodStart": "2026-02-30T00:00:00Z"}, "the charge has no readable date"),
        ({"SkuId": ""}, "unknown SKU (none is given)"),
        ({"SkuId": "S9"}, "unknown SKU S9"),
        ({"ServiceName": ""}, "unknown service"),
        ({"ChargeCategory": "Credit", "SkuId": "", "BilledCost": "-10"}, None),
        ({"ChargeClass": "Correction", "BilledCost": "-10"}, None),
    ],
)
def test_a_charge_that_cannot_be_explained_says_why(
    tmp_path: Path, change: dict[str, str], reason: str | None
) -> None:
    path = focus_file(tmp_path / "f.csv", [focus_row(**change)])
    assert reasons(path, known_skus=frozenset({"S"})) == [reason]


def test_currencies_are_converted_by_the_given_rates(tmp_path: Path) -> None:
    rows = [focus_row(BillingCurrency=code) for code in ("USD", "EUR", "JPY")]
    path = focus_file(tmp_path / "f.csv", rows)
    query = "SELECT BillingCurrency, x_ReportedCost FROM bills ORDER BY 1"
    rates = Rates({"EUR": D("0.8"), "JPY": D(150)}, Period.parse("2026-10").start, "test")
    by_code = dict(read(path, query, rates=rates))
    assert by_code["USD"] == 10
    assert by_code["EUR"] == D("12.5")
    assert abs(by_code["JPY"] - D(10) / 150) < D("1e-9")
    in_euro = dict(read(path, query, rates=rates, currency="EUR"))
    assert in_euro["USD"] == D(8)
    assert in_euro["EUR"] == D(10)


def test_lines_that_are_no_rows_are_reported(tmp_path: Path) -> None:
    path = focus_file(tmp_path / "f.csv", [focus_row(), "1,USD,2026", focus_row()])
    with open_bills([path]) as bills:
        assert bills.query("SELECT count(*) FROM bills") == [(2,)]
        ((source, line, message),) = bills.rejected()
    assert (source, line) == ("f.csv", 3)
    assert "column" in message.lower()


def test_the_hour_that_a_clock_change_repeats_counts_twice(tmp_path: Path) -> None:
    hours = ("02:00:00+02:00", "02:00:00+01:00")
    ends = ("02:00:00+01:00", "03:00:00+01:00")
    rows = [
        focus_row(ChargePeriodStart=f"2026-10-25T{a}", ChargePeriodEnd=f"2026-10-25T{b}")
        for a, b in zip(hours, ends, strict=True)
    ]
    one = focus_file(tmp_path / "one.csv", rows[:1])
    two = focus_file(tmp_path / "two.csv", rows[1:])
    got = read([one, two], "SELECT ChargePeriodStart, x_Reason FROM bills ORDER BY 1")
    assert [(str(start), why) for start, why in got] == [
        ("2026-10-25 00:00:00", None),
        ("2026-10-25 01:00:00", None),
    ]


def test_bills_that_overlap_count_once(tmp_path: Path) -> None:
    first = focus_file(tmp_path / "a.csv", [focus_row(), focus_row(ResourceId="i-2")])
    restated = [focus_row(BilledCost="11"), focus_row(ResourceId="i-3")]
    second = focus_file(tmp_path / "b.csv", restated)
    third = focus_file(tmp_path / "c.csv", [focus_row(), focus_row(ResourceId="i-3")])
    got = read(
        [first, second, third],
        "SELECT x_Source, ResourceId, x_Reason FROM bills WHERE x_Reason IS NOT NULL ORDER BY ALL",
    )
    assert got == [
        ("b.csv", "i-1", "the charge is in a.csv already"),
        ("c.csv", "i-1", "the charge is in a.csv already"),
        ("c.csv", "i-3", "the charge is in b.csv already"),
    ]


def test_parts_of_one_bill_do_not_overlap(tmp_path: Path) -> None:
    first = focus_file(tmp_path / "a.csv", [focus_row(), focus_row()])
    second = focus_file(tmp_path / "b.csv", [focus_row(ResourceId="i-2")])
    assert reasons([first, second]) == [None] * 3


def truncated_parquet(path: Path) -> None:
    gcp_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


def damaged_pages(path: Path) -> None:
    gcp_parquet(path)
    content = bytearray(path.read_bytes())
    content[8:400] = b"\x00" * 392
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("b.parquet", truncated_parquet, "damaged or cut short"),
        ("b.parquet", damaged_pages, "damaged or cut short"),
        ("b.csv.gz", lambda p: p.write_bytes(gzip.compress(b"x" * 9000)[:30]), "damaged"),
        ("b.csv", lambda p: p.write_bytes(b"\xff\xfe\x00bad\n"), "damaged"),
        ("b.json", lambda p: p.write_text("{"), "damaged"),
        ("b.csv", lambda p: p.write_text(""), "the file is empty"),
        ("b.csv", lambda p: p.write_text("a,b\n1,2\n"), "no bill that is known"),
        ("b.jsonl", lambda p: p.write_text('{"a": 1}\n'), "no bill that is known"),
    ],
)
def test_a_bad_file_is_one_clear_message(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(BadInput, match=message) as caught:
        read(path, GCP_QUERY)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert "\n" not in str(problem)


def test_sources_are_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a", "b"):
        focus_file(tmp_path / f"{name}.csv", [focus_row(ResourceId=name)])
    count = "SELECT count(*) FROM bills"
    assert read(tmp_path, count) == [(2,)]
    assert read(tmp_path / "a*.csv", count) == [(1,)]
    assert read([Source(tmp_path / "a.csv", "focus")], count) == [(1,)]
    with pytest.raises(BadInput, match="given twice"):
        read([tmp_path, tmp_path / "a.csv"], count)
    with pytest.raises(BadInput, match="no bill found"):
        read(tmp_path / "none", count)
    with pytest.raises(BadInput, match="no bill of kind"):
        read([Source(tmp_path / "a.csv", "ibm")], count)


@pytest.mark.parametrize(
    ("text", "days"), [("2028-02", 29), ("2026-02", 28), ("2026-12", 31), ("2100-02", 28)]
)
def test_months_have_their_days(text: str, days: int) -> None:
    period = Period.parse(text)
    assert period.days == days
    assert str(period) == text


@pytest.mark.parametrize("text", ["2026", "2026-13", "October", "2026-1", ""])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no month"):
        Period.parse(text)
