"""AWS Price List: the Query API through boto3, or a downloaded bulk offer file, streamed.

Only Linux, shared tenancy, used capacity, no pre-installed software, by the hour on demand.
Shapes: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cost.catalog.importers import Record
from cost.catalog.importers._common import amount, malformed, shapes
from cost.catalog.importers._stream import members
from infra.core.errors import BadInput, MissingTool, Problem

_WANTED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}
_SOURCE = "AWS Price List, AmazonEC2"


def from_api(regions: tuple[str, ...], client: Any = None) -> Iterator[Record]:
    """Every page of ``get_products`` for the regions; needs credentials that may read prices."""
    client = client or _client()
    if not regions:
        raise BadInput("name the regions to import (--region us-east-1)")
    for region in regions:
        filters = [
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in (_WANTED | {"regionCode": region}).items()
        ]
        token, number = "", 0
        while True:
            number += 1
            where = f"AWS Price List {region} page {number}"
            extra = {"NextToken": token} if token else {}
            page = client.get_products(
                ServiceCode="AmazonEC2", FormatVersion="aws_v1", Filters=filters, **extra
            )
            for text in page.get("PriceList", ()):
                try:
                    item = json.loads(text) if isinstance(text, str) else text
                except ValueError as error:
                    raise malformed(where, error) from error
                yield from _record(where, item, item.get("terms", {}).get("OnDemand", {}))
            token = page.get("NextToken", "")
            if not token:
                break


def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise MissingTool(
            Problem("boto3 isn't installed", fix="pip install 'mlscale[cost]'")
        ) from error
    # The price list lives in few regions; us-east-1 has all prices.
    return boto3.client(
        "pricing",
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 8, "mode": "adaptive"}),
    )


def _record(where: str, item: Mapping[str, Any], on_demand: Mapping[str, Any]) -> Iterator[Record]:
    try:
        attributes = item["product"]["attributes"]
        if any(attributes.get(name) not in {None, value} for name, value in _WANTED.items()):
            return
        if "instanceType" not in attributes:
            return
        for term in on_demand.values():
            for rate in term["priceDimensions"].values():
                if rate["unit"] in {"Hrs", "Hours"}:
                    day = term["effectiveDate"][:10]
                    yield _offer(where, attributes, rate["pricePerUnit"], day)
                    return
    except (KeyError, TypeError, AttributeError) as error:
        raise malformed(where, f"no {error}") from error


def _offer(where: str, attributes: Mapping[str, str], price: Mapping[str, str], day: str) -> Record:
    name = attributes["instanceType"]
    currency = "USD" if "USD" in price else next(iter(price))
    known = shapes("aws").get(name, {})
    memory = attributes.get("memory", "").removesuffix(" GiB").replace(",", "")
    return {
        "vcpus": attributes.get("vcpu", ""),
        "memory_gib": "" if memory == "NA" else memory,
        "accelerator_count": attributes.get("gpu", "0"),
        **known,
        "provider": "aws",
        "region": attributes["regionCode"],
        "instance_type": name,
        "on_demand_usd_per_hour": f"{amount(price[currency], where):f}",
        "currency": currency,
        "source": _SOURCE,
        "as_of": day,
    }


def from_file(path: Path, regions: tuple[str, ...] = ()) -> Iterator[Record]:
    """A bulk offer file (``index.json`` or ``index.csv``), read without holding it in memory."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            read = _from_csv if path.suffix == ".csv" else _from_json
            for row in read(handle, str(path)):
                if not regions or row["region"] in regions:
                    yield row
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(Problem(f"can't read the offer file: {error}", file=str(path))) from error


def _from_json(handle: IO[str], where: str) -> Iterator[Record]:
    """Products come first, terms after them: only the products that are wanted are kept."""
    products: dict[str, Any] = {}
    for path, value in members(handle, where, [("products",), ("terms", "OnDemand")]):
        if path[0] == "products":
            attributes = value.get("attributes", {})
            wanted = all(attributes.get(name) == item for name, item in _WANTED.items())
            if wanted and "instanceType" in attributes:
                products[path[-1]] = {"product": value}
        elif path[-1] in products:
            yield from _record(where, products.pop(path[-1]), value)


def _from_csv(handle: IO[str], where: str) -> Iterator[Record]:
    """Five lines of metadata, a header, one row a price."""
    lines: Iterable[str] = iter(handle)
    for line in lines:
        if line.startswith(('"SKU"', "SKU,")):
            header = next(csv.reader([line]))
            break
    else:
        raise malformed(where, "no header that begins with SKU")
    names = {
        "Instance Type": "instanceType", "Region Code": "regionCode", "vCPU": "vcpu",
        "Memory": "memory", "GPU": "gpu", "Operating System": "operatingSystem",
        "Tenancy": "tenancy", "Pre Installed S/W": "preInstalledSw",
        "CapacityStatus": "capacitystatus",
    }  # fmt: skip
    for number, row in enumerate(csv.DictReader(lines, fieldnames=header), 1):
        at = f"{where} row {number}"
        attributes = {ours: row[theirs] for theirs, ours in names.items() if row.get(theirs)}
        if row.get("TermType") != "OnDemand" or any(
            attributes.get(name) != value for name, value in _WANTED.items()
        ):
            continue
        try:
            if row["Unit"] in {"Hrs", "Hours"} and "instanceType" in attributes:
                price = {row["Currency"]: row["PricePerUnit"]}
                yield _offer(at, attributes, price, row["EffectiveDate"][:10])
        except KeyError as error:
            raise malformed(at, f"no column {error}") from error
