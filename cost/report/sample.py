"""Plausible bills of three clouds for demonstrations and tests: the same ones for the same seed.

``python -m cost.report.sample --out DIR --period 2026-10`` writes an AWS CUR 2.0 file, a GCP
BigQuery export and an Azure cost export for the month and the one before it, with credits, tax, a
correction, an untagged cluster, Azure in euros, and one day on which serving runs away; beside
them an estimate, budgets, rates and unit counts, so that every part of a report has something
to show. Prices are round figures near public list prices, not quotations.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cost.actuals import Period

_WEEKEND: Final = {"train": 0.35, "serve": 0.7, "flat": 1.0}
_RUNAWAY_DAY: Final = 17
_ACCOUNT: Final = "210987654321"


@dataclass(frozen=True)
class _Thing:
    """One resource that is billed by the day."""

    cloud: str
    service: str
    code: str
    sku: str
    meter: str
    unit: str
    price: str
    per_day: float
    region: str
    resource: str
    owner: str  # team/environment/workload, empty for untagged
    shape: str = "flat"
    instance: str = ""
    accelerators: int = 0

    @property
    def tags(self) -> dict[str, str]:
        if not self.owner:
            return {}
        return dict(zip(("team", "environment", "workload"), self.owner.split("/"), strict=True))


def _aws(*fields: Any, **more: Any) -> _Thing:
    return _Thing("aws", *fields, **more)


def _gcp(*fields: Any, **more: Any) -> _Thing:
    return _Thing("gcp", *fields, **more)


def _azure(*fields: Any, **more: Any) -> _Thing:
    return _Thing("azure", *fields, **more)


@dataclass(frozen=True)
class _Month:
    """A month to make bills of, up to and with the day ``through``."""

    period: Period
    seed: int
    through: int


_EC2: Final = ("Amazon Elastic Compute Cloud", "AmazonEC2")
_THINGS: Final = (
    _aws(*_EC2, "SKUP5", "BoxUsage:p5.48xlarge", "Hrs", "55.04", 7.5, "us-east-1", "i-0a11trainer",
         "vision/prod/digits-train", "train", "p5.48xlarge", 8),
    _aws(*_EC2, "SKUG6E", "SpotUsage:g6e.12xlarge", "Hrs", "4.19", 30, "us-east-1", "i-0b22sweeps",
         "vision/dev/digits-sweep", "train", "g6e.12xlarge", 4),
    _aws(*_EC2, "SKUG6", "BoxUsage:g6.xlarge", "Hrs", "0.805", 96, "us-east-1", "i-0c33ranker",
         "search/prod/ranker-serve", "serve", "g6.xlarge", 1),
    _aws(*_EC2, "SKUM7I", "BoxUsage:m7i.2xlarge", "Hrs", "0.4032", 144, "us-east-1", "i-0d44nodes",
         "", "flat", "m7i.2xlarge"),
    _aws("Amazon Elastic Container Service for Kubernetes", "AmazonEKS", "SKUEKS",
         "AmazonEKS-Hours:perCluster", "Hrs", "0.10", 48, "us-east-1", "cluster/main", ""),
    _aws("Amazon Simple Storage Service", "AmazonS3", "SKUS3", "TimedStorage-ByteHrs", "GB-Mo",
         "0.023", 2900, "us-east-1", "s3-lake", "platform/prod/lake"),
    _aws("Amazon Managed Streaming for Apache Kafka", "AmazonMSK", "SKUMSK", "Kafka.m7g.large",
         "Hrs", "0.204", 72, "us-east-1", "kafka/clickstream", "search/prod/clickstream"),
    _gcp("Compute Engine", "6F81-5844-456A", "SKUA3", "A3 High H100 core", "hour", "88.49", 3.1,
         "us-central1", "projects/ml/instances/pretrain", "research/prod/pretrain", "train",
         "a3-highgpu-8g", 8),
    _gcp("Compute Engine", "6F81-5844-456A", "SKUV5E", "Cloud TPU v5e chip Spot", "hour", "0.298",
         380, "us-west4", "projects/ml/tpus/sweeps", "research/dev/tpu-sweep", "train", "", 1),
    _gcp("Kubernetes Engine", "CCD8-9BF1-090E", "SKUGKE", "Zonal Kubernetes Clusters", "hour",
         "0.10", 24, "us-central1", "projects/ml/clusters/main", ""),
    _gcp("Cloud Storage", "95FF-2EF5-5EA1", "SKUGCS", "Standard Storage US Regional",
         "gibibyte month", "0.020", 1500, "us-central1", "projects/ml/buckets/lake",
         "platform/prod/lake"),
    _gcp("Networking", "E505-1604-58F8", "SKUNET", "Network Inter Region Egress", "gibibyte",
         "0.02", 900, "us-central1", "", "platform/prod/lake"),
    _azure("Virtual Machines", "Compute", "SKUND96", "NC80adis H100 v5", "1 Hour", "12.84", 9,
           "westeurope", "vm-finetune", "research/staging/finetune", "train"),
    _azure("Event Hubs", "Internet of Things", "SKUEH", "Premium Processing Unit", "1 Hour",
           "0.99", 48, "westeurope", "eh-events", "search/prod/clickstream"),
    _azure("Storage", "Storage", "SKUBLOB", "Hot LRS Data Stored", "1 GB/Month", "0.0184", 1800,
           "westeurope", "stlake", "platform/prod/lake"),
    _azure("Azure Kubernetes Service", "Compute", "SKUAKS", "Standard Uptime SLA", "1 Hour",
           "0.09", 24, "westeurope", "aks-main", ""),
)  # fmt: skip


def _quantity(thing: _Thing, day: date, period: Period, draw: random.Random) -> Decimal:
    weekday = _WEEKEND[thing.shape] if day.weekday() >= 5 else 1.0
    noise = draw.gauss(1.0, 0.05 if thing.shape != "flat" else 0.008)
    amount = thing.per_day * weekday * max(noise, 0.1)
    if thing.unit.lower().endswith(("mo", "month")):  # storage is billed by the month's share
        amount = amount * 30 / period.days / 30 * 1.0
    runaway = thing.resource == "i-0c33ranker" and day.day in {_RUNAWAY_DAY, _RUNAWAY_DAY + 1}
    return Decimal(f"{amount * (4.2 if runaway else 1.0):.4f}")


def _days(period: Period, through: int = 31) -> Iterator[date]:
    day = period.start
    while day < period.end and day.day <= through:
        yield day
        day += timedelta(days=1)


def _charges(cloud: str, month: _Month) -> Iterator[tuple[_Thing, date, Decimal]]:
    period = month.period
    draw = random.Random(f"{month.seed}/{cloud}/{period}")
    for day in _days(period, month.through):
        for thing in _THINGS:
            if thing.cloud == cloud:
                yield thing, day, _quantity(thing, day, period, draw)


def _aws_row(period: Period, day: date, kind: str, cost: Decimal, **more: Any) -> dict[str, Any]:
    return {
        "bill_payer_account_id": _ACCOUNT,
        "bill_payer_account_name": "example-org",
        "bill_billing_period_start_date": f"{period.start}T00:00:00Z",
        "bill_billing_period_end_date": f"{period.end}T00:00:00Z",
        "bill_invoice_id": f"INV-AWS-{period.start:%Y%m}",
        "bill_invoicing_entity": "Amazon Web Services, Inc.",
        "line_item_usage_account_id": "123456789012",
        "line_item_usage_account_name": "ml-platform",
        "line_item_line_item_type": kind,
        "line_item_usage_start_date": f"{day}T00:00:00Z",
        "line_item_usage_end_date": f"{day + timedelta(days=1)}T00:00:00Z",
        "line_item_currency_code": "USD",
        "line_item_unblended_cost": cost,
        **more,
    }


def _aws_rows(month: _Month) -> Iterator[dict[str, Any]]:
    period = month.period
    total = Decimal(0)
    for thing, day, quantity in _charges("aws", month):
        price = Decimal(thing.price)
        cost = price * quantity
        total += cost
        product = {"product_name": thing.service}
        if thing.instance:
            product["instance_type"] = thing.instance
        if thing.accelerators:
            product["gpu"] = str(thing.accelerators)
        yield _aws_row(
            period, day, "Usage", cost,
            line_item_product_code=thing.code,
            line_item_usage_type=thing.meter,
            line_item_line_item_description=f"${thing.price} per {thing.unit} {thing.meter}",
            line_item_resource_id=thing.resource,
            line_item_usage_amount=quantity,
            line_item_unblended_rate=price,
            line_item_availability_zone="us-east-1a" if thing.instance else "",
            pricing_unit=thing.unit,
            pricing_public_on_demand_cost=cost,
            pricing_public_on_demand_rate=price,
            pricing_rate_code=f"{thing.sku}.JRTCKXETXF.6YS6EN2CT7",
            product=json.dumps(product),
            product_region_code=thing.region,
            product_sku=thing.sku,
            resource_tags=json.dumps({f"user_{k}": v for k, v in thing.tags.items()}),
        )  # fmt: skip
    last = min(period.end - timedelta(days=1), period.start + timedelta(days=month.through - 1))
    extra = {
        "line_item_product_code": "AmazonEC2",
        "product": json.dumps({"product_name": _EC2[0]}),
    }
    tags = json.dumps({"user_team": "vision"})
    yield _aws_row(
        period, last, "Credit", Decimal("-750.00"),
        line_item_line_item_description="Promotional credit", resource_tags=tags, **extra,
    )  # fmt: skip
    yield _aws_row(
        period, last, "Refund", Decimal("-41.37"),
        line_item_line_item_description="Correction of a previous month", **extra,
    )  # fmt: skip
    yield _aws_row(
        period, last, "Tax", (total * Decimal("0.02")).quantize(Decimal("0.01")),
        line_item_line_item_description="Sales tax", **extra,
    )  # fmt: skip


def _gcp_rows(month: _Month) -> Iterator[dict[str, Any]]:
    period = month.period
    for thing, day, quantity in _charges("gcp", month):
        cost = Decimal(thing.price) * quantity
        spent = Decimal("-0.10") * cost if thing.instance == "a3-highgpu-8g" else Decimal(0)
        yield {
            "billing_account_id": "01ABCD-234567-89EF01",
            "service": {"id": thing.code, "description": thing.service},
            "sku": {"id": thing.sku, "description": thing.meter},
            "usage_start_time": f"{day} 00:00:00 UTC",
            "usage_end_time": f"{day + timedelta(days=1)} 00:00:00 UTC",
            "project": {"id": "ml-prod", "name": "ML production"},
            "labels": [{"key": k, "value": v} for k, v in thing.tags.items()],
            "system_labels": [
                {"key": "compute.googleapis.com/machine_spec", "value": thing.instance}
            ]
            if thing.instance
            else [],
            "location": {"region": thing.region},
            "resource": {"name": thing.resource.rsplit("/", 1)[-1], "global_name": thing.resource},
            "cost": float(cost),
            "currency": "USD",
            "usage": {
                "amount": float(quantity),
                "unit": thing.unit,
                "amount_in_pricing_units": float(quantity),
                "pricing_unit": thing.unit,
            },
            "credits": [
                {
                    "name": "Sustained use",
                    "amount": float(spent),
                    "type": "SUSTAINED_USAGE_DISCOUNT",
                }
            ]
            if spent
            else [],
            "invoice": {"month": f"{period.start:%Y%m}"},
            "cost_type": "regular",
            "cost_at_list": float(cost),
        }


def _azure_rows(month: _Month) -> Iterator[dict[str, Any]]:
    period = month.period
    subscription = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    for thing, day, quantity in _charges("azure", month):
        cost = Decimal(thing.price) * quantity
        yield {
            "billingAccountId": "8f1d6a2e",
            "billingAccountName": "Example GmbH",
            "billingPeriodStartDate": f"{period.start:%d.%m.%Y}",
            "SubscriptionId": subscription,
            "subscriptionName": "ml",
            "date": f"{day:%d.%m.%Y}",
            "meterCategory": thing.service,
            "meterId": thing.sku,
            "meterName": thing.meter,
            "ProductName": f"{thing.service} {thing.meter}",
            "consumedService": f"Microsoft.{thing.code}",
            "resourceLocation": thing.region,
            "ResourceId": f"/subscriptions/{subscription}/resourceGroups/ml/{thing.resource}",
            "quantity": _german(quantity),
            "unitOfMeasure": thing.unit,
            "effectivePrice": _german(Decimal(thing.price)),
            "PayGPrice": _german(Decimal(thing.price)),
            "costInBillingCurrency": _german(cost),
            "billingCurrency": "EUR",
            "chargeType": "Usage",
            "pricingModel": "OnDemand",
            "tags": ",".join(f'"{k}": "{v}"' for k, v in thing.tags.items()),
        }


def _german(value: Decimal) -> str:
    """``1234.5`` as ``1.234,5``."""
    return f"{value:,f}".translate(str.maketrans(",.", ".,"))


def _write_csv(path: Path, rows: Iterator[dict[str, Any]], **dialect: Any) -> None:
    held = list(rows)
    fields = list(dict.fromkeys(key for row in held for key in row))
    encoding = "utf-8-sig" if dialect else "utf-8"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, fields, restval="", **dialect)
        writer.writeheader()
        writer.writerows(held)


def write_bills(out: Path, period: Period, seed: int = 1, through: int = 31) -> list[Path]:
    """The three clouds' bills of one month, up to a day of it; their paths."""
    month = _Month(period, seed, through)
    out.mkdir(parents=True, exist_ok=True)
    aws, gcp, azure = (
        out / f"{name}-{period}.{suffix}"
        for name, suffix in (("aws-cur", "csv"), ("gcp-billing", "jsonl"), ("azure-actual", "csv"))
    )
    _write_csv(aws, _aws_rows(month))
    gcp.write_text("".join(json.dumps(row) + "\n" for row in _gcp_rows(month)))
    _write_csv(azure, _azure_rows(month), delimiter=";")
    return [aws, gcp, azure]


_PLANNED_MONTH_DAYS: Final = 30.4
_UNPLANNED: Final = {"i-0b22sweeps"}


def plan(period: Period) -> list[dict[str, str]]:
    """The estimate that was made before the month: what each thing was expected to cost."""
    lines = []
    for thing in _THINGS:
        if thing.resource in _UNPLANNED:
            continue
        daily = thing.per_day * (5 + 2 * _WEEKEND[thing.shape]) / 7
        if thing.unit.lower().endswith(("mo", "month")):
            daily = thing.per_day / period.days
        rate = Decimal("1.0869565217") if thing.cloud == "azure" else Decimal(1)
        monthly = Decimal(thing.price) * Decimal(f"{daily * _PLANNED_MONTH_DAYS:.4f}") * rate
        names = {"aws": "AWS", "gcp": "Google Cloud", "azure": "Microsoft"}
        lines.append(
            {
                "provider": names[thing.cloud],
                "service": thing.service,
                "region": thing.region,
                "amount": str(monthly.quantize(Decimal("0.01"))),
                **{key: thing.tags.get(key, "") for key in ("team", "environment", "workload")},
            }
        )
    return lines


def write_context(out: Path, period: Period) -> dict[str, Path]:
    """Estimate, budgets, rates, allocation rules and unit counts to go with the bills."""
    documents: dict[str, Any] = {
        "estimate": {"currency": "USD", "lines": plan(period)},
        "budget": [
            {"name": "everything", "limit": "36000", "over_forecast": "warn", "over_actual": "stop"},
            {"name": "search", "limit": "5500", "scope": {"team": "search"}, "over_forecast": "warn"},
            {"name": "vision", "limit": "13000", "scope": {"team": "vision"},
             "over_forecast": "warn"},
            {"name": "research", "limit": "11000", "scope": {"team": "research"},
             "over_forecast": "warn"},
        ],
        "rates": {"base": "USD", "as_of": str(period.start), "source": "example",
                  "per_base": {"EUR": "0.92"}},
        "rules": [
            {"name": "Kubernetes nodes and control planes", "match": {"workload": ""},
             "by": "accelerator_hours", "to": "team"},
        ],
        "units": [
            {"workload": "digits-train", "unit": "training run", "count": "44"},
            {"workload": "pretrain", "unit": "training run", "count": "6"},
            {"workload": "ranker-serve", "unit": "million predictions", "count": "1845.2"},
        ],
    }  # fmt: skip
    paths = {}
    for name, document in documents.items():
        paths[name] = out / f"{name}.json"
        paths[name].write_text(json.dumps(document, indent=2) + "\n")
    return paths


def main(arguments: list[str] | None = None) -> None:
    """Write the sample for a month and the month before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--period", default="2026-10")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--through", type=int, default=31, help="last day that is billed")
    given = parser.parse_args(arguments)
    period = Period.parse(given.period)
    before = Period.parse(f"{period.start - timedelta(days=1):%Y-%m}")
    write_bills(given.out / "bills", before, given.seed)
    write_bills(given.out / "bills", period, given.seed, given.through)
    write_context(given.out, period)


if __name__ == "__main__":
    main()
