"""Every rule of the FOCUS list that a dataset can break: a row that breaks it is found by its id."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cost.actuals.columns import BY_NAME
from cost.report import focus

USAGE: dict[str, str] = {
    "AvailabilityZone": "us-east-1a", "BilledCost": "12.5", "BillingAccountId": "1",
    "BillingAccountName": "org", "BillingAccountType": "Payer", "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-02T00:00:00Z", "ChargePeriodEnd": "2026-10-03T00:00:00Z",
    "ChargeCategory": "Usage", "ChargeDescription": "hours", "ChargeFrequency": "Usage-Based",
    "ConsumedQuantity": "5", "ConsumedUnit": "Hours", "ContractedCost": "12.5",
    "ContractedUnitPrice": "2.5", "EffectiveCost": "12.5", "InvoiceId": "I-1",
    "InvoiceIssuerName": "AWS", "ListCost": "15", "ListUnitPrice": "3",
    "PricingCategory": "Standard", "PricingCurrency": "USD",
    "PricingCurrencyContractedUnitPrice": "2.5", "PricingCurrencyEffectiveCost": "12.5",
    "PricingCurrencyListUnitPrice": "3", "PricingQuantity": "5", "PricingUnit": "Hours",
    "ProviderName": "AWS", "PublisherName": "AWS", "RegionId": "us-east-1", "RegionName": "Virginia",
    "ResourceId": "i-1", "ResourceName": "trainer", "ResourceType": "Instance",
    "ServiceCategory": "Compute", "ServiceName": "EC2", "ServiceSubcategory": "Virtual Machines",
    "SkuId": "S", "SkuMeter": "BoxUsage", "SkuPriceDetails": '{"GpuCount": 8, "x_Zone": "a"}',
    "SkuPriceId": "S.1", "SubAccountId": "2", "SubAccountName": "ml", "SubAccountType": "Account",
    "Tags": '{"team": "vision"}',
}  # fmt: skip
COMMITTED = {
    **USAGE, "PricingCategory": "Committed", "CommitmentDiscountId": "C",
    "CommitmentDiscountCategory": "Spend", "CommitmentDiscountName": "plan",
    "CommitmentDiscountQuantity": "5", "CommitmentDiscountStatus": "Used",
    "CommitmentDiscountType": "Plan", "CommitmentDiscountUnit": "Hours",
    "CapacityReservationId": "R", "CapacityReservationStatus": "Used",
}  # fmt: skip
TAX = {
    name: value for name, value in USAGE.items()
    if name not in {
        "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingUnit",
        "PricingCategory", "PricingQuantity", "SkuId", "SkuMeter", "SkuPriceId", "SkuPriceDetails",
        "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice",
    }
} | {"ChargeCategory": "Tax", "ChargeFrequency": "One-Time"}  # fmt: skip
CREDIT = TAX | {
    "ChargeCategory": "Credit", "BilledCost": "-3", "EffectiveCost": "-3", "ListCost": "-3",
    "ContractedCost": "-3",
}  # fmt: skip
PURCHASE = {
    **{k: v for k, v in COMMITTED.items() if k not in {"ConsumedQuantity", "ConsumedUnit",
                                                       "CommitmentDiscountStatus"}},
    "ChargeCategory": "Purchase", "ChargeFrequency": "One-Time", "EffectiveCost": "0",
    "PricingCurrencyEffectiveCost": "0", "PricingCategory": "Standard",
}  # fmt: skip
GOOD = [USAGE, COMMITTED, TAX, CREDIT, PURCHASE]

# For rules on values that a generic change doesn't reach: the row and what is put into it.
BROKEN: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "BillingCurrency-07": (USAGE, {"BillingCurrency": "XAU"}),
    "BillingPeriodEnd-05": (USAGE, {"BillingPeriodEnd": "2026-10-01T00:00:00Z"}),
    "BillingPeriodStart-05": (USAGE, {"BillingPeriodStart": "2026-10-01T07:00:00Z"}),
    "CapacityReservationId-05": (
        COMMITTED, {"CapacityReservationId": "", "CapacityReservationStatus": "Unused"}),
    "ChargeClass-05": (USAGE, {"ChargeClass": "Restated"}),
    "ChargeFrequency-05": (PURCHASE, {"ChargeFrequency": "Usage-Based"}),
    "ChargePeriodEnd-05": (USAGE, {"ChargePeriodEnd": "2026-10-02T00:00:00Z"}),
    "ChargePeriodStart-05": (USAGE, {"ChargePeriodStart": "2026-10-03T00:00:00Z"}),
    "CommitmentDiscountId-04": (COMMITTED, {"ChargeCategory": "Tax"}),
    "CommitmentDiscountId-05": (COMMITTED, {"CommitmentDiscountId": ""}),
    "CommitmentDiscountQuantity-06": (USAGE, {"CommitmentDiscountQuantity": "1"}),
    "ConsumedQuantity-04": (TAX, {"ConsumedQuantity": "1"}),
    "EffectiveCost-06": (PURCHASE, {"EffectiveCost": "12.5"}),
    "PricingCurrencyEffectiveCost-08": (PURCHASE, {"PricingCurrencyEffectiveCost": "1"}),
    "PricingCategory-08": (COMMITTED, {"PricingCategory": "Standard"}),
    "ResourceName-04": (USAGE, {"ResourceId": ""}),
    "ResourceName-06": (USAGE, {"ResourceName": "i-1"}),
    "ServiceSubcategory-05": (USAGE, {"ServiceSubcategory": "Object Storage"}),
    "SkuId-10": (USAGE, {"ResourceId": "", "ServiceName": ""}),
    "SkuPriceId-11": (USAGE, {"ResourceId": "", "ServiceName": ""}),
    "SkuPriceDetails-06": (USAGE, {"SkuPriceId": ""}),
    "SkuPriceDetails-15": (USAGE, {"SkuPriceDetails": '{"Zone": "a"}'}),
    "SkuPriceDetails-17": (USAGE, {"SkuPriceDetails": '{"gpuCount": 8}'}),
    "SkuPriceDetails-18": (USAGE, {"SkuPriceDetails": '{"GpuCount": "eight"}'}),
    "SubAccountId-04": (USAGE, {"SubAccountId": ""}),
    "Tags-08": (USAGE, {"Tags": '{"spot": ""}'}),
    "ContractedCost-08": (CREDIT, {"ContractedCost": "-4"}),
    "ListCost-08": (CREDIT, {"ListCost": "-4"}),
    "EffectiveCost-09": (CREDIT, {"EffectiveCost": "-4"}),
    "PricingQuantity-08": (USAGE, {"PricingQuantity": "6"}),
    "CapacityReservationStatus-04": (COMMITTED, {"CapacityReservationStatus": ""}),
    "CommitmentDiscountQuantity-04": (COMMITTED, {"CommitmentDiscountQuantity": ""}),
    "CommitmentDiscountStatus-04": (COMMITTED, {"CommitmentDiscountStatus": ""}),
}  # fmt: skip
APPLICABLE = [rule for rule in focus.rules() if rule.applicable]


def write(path: Path, rows: list[dict[str, str]], without: str = "") -> Path:
    names = [name for name in BY_NAME if name != without]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def breach(rule: focus.Rule) -> list[dict[str, str]]:
    """Rows of which the last breaks the rule."""
    if rule.id in BROKEN:
        row, change = BROKEN[rule.id]
        return [*GOOD, {**row, **change}]
    column = rule.column
    base = next(row for row in GOOD if row.get(column)) if column != "ChargeClass" else USAGE
    values = {
        "string": "n/a", "numeric": "+1,000.5", "decimal": "dear", "moment": "2026-10-01",
        "currency": "usd", "keyvalue": '{"a": {"b": 1}}', "allowed": "Something else",
    }  # fmt: skip
    if rule.check in values:
        return [*GOOD, {**base, column: values[rule.check]}]
    if rule.check == "type":
        return [*GOOD, {**base, column: "neither"}]
    if rule.check == "group":
        keys, value = rule.detail.split(";")
        twin = next(row for row in GOOD if row.get(keys.split(",")[-1]) and row.get(value))
        return [*GOOD, {**twin, value: "Another" if value != "ServiceCategory" else "Storage"}]
    return [*GOOD, _for_sql(rule, base)]


def _for_sql(rule: focus.Rule, base: dict[str, str]) -> dict[str, str]:
    column, words = rule.column, rule.rule
    if words.startswith("null wherever"):
        return {**base, words.split()[2]: ""}
    if words == "null on tax":
        return {**TAX, column: base[column]}
    if words == "not below zero":
        return {**base, column: "-1"}
    if "times quantity" in words:
        return {**base, column: "99"}
    return {**base, column: ""}  # never null, filled when …


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    with focus.connect() as connection:
        yield connection


def found(path: Path) -> set[str]:
    return {finding.rule.id for finding in focus.check(path)}


def test_rows_that_keep_every_rule_have_no_finding(tmp_path: Path) -> None:
    assert focus.check(write(tmp_path / "good.csv", GOOD)) == []


@pytest.mark.parametrize(
    "rule", [r for r in APPLICABLE if r.check not in {"present"} and r.detail != "string"],
    ids=lambda rule: rule.id,
)  # fmt: skip
def test_a_breach_is_found_by_its_id(rule: focus.Rule, tmp_path: Path, database: Any) -> None:
    path = write(tmp_path / "bad.csv", breach(rule))
    (finding,) = focus.check(path, frozenset({rule.id}), database)
    assert finding.rule is rule
    assert finding.count >= 1
    assert rule.id in str(finding)


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_missing_column_is_found(name: str, tmp_path: Path, database: Any) -> None:
    ids = {r.id for r in APPLICABLE if r.column == name and r.check == "present"}
    recommended = BY_NAME[name].level == "R"
    assert bool(ids) != recommended
    path = write(tmp_path / "less.csv", GOOD, without=name)
    assert {f.rule.id for f in focus.check(path, frozenset(ids), database)} == ids


def test_a_wrong_physical_type_is_found_in_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {name: [row.get(name) or None for row in GOOD] for name in BY_NAME}
    columns["ServiceName"] = [1] * len(GOOD)
    pq.write_table(pa.table(columns), tmp_path / "types.parquet")
    held = found(tmp_path / "types.parquet")
    strings = {r.id for r in APPLICABLE if r.check == "type" and r.detail == "string"}
    assert "ServiceName-02" in held
    assert held & strings == {"ServiceName-02"}


def test_column_names_are_case_sensitive(tmp_path: Path) -> None:
    path = write(tmp_path / "case.csv", GOOD)
    path.write_text(path.read_text().replace("BilledCost", "billedcost", 1))
    assert "BilledCost-01" in found(path)


def test_a_quoted_empty_string_is_no_null(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.csv", GOOD)
    path.write_text(path.read_text().replace(",us-east-1,", ',"",', 1))
    assert "RegionId-03" in found(path)


def test_the_list_is_whole_and_says_why_a_rule_does_not_apply() -> None:
    ids = [rule.id for rule in focus.rules()]
    assert len(ids) == len(set(ids)) == 349
    assert len(APPLICABLE) == 283
    assert all(rule.keyword == "MUST" and rule.rule for rule in focus.rules())
    assert all(rule.detail for rule in focus.rules() if not rule.applicable)
    assert {rule.column for rule in focus.rules()} == set(BY_NAME)


def test_subcategories_belong_to_the_known_categories() -> None:
    assert set(focus.subcategories()) == set(BY_NAME["ServiceCategory"].allowed)
    assert sum(map(len, focus.subcategories().values())) == 82
