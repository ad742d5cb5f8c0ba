"""Importers against recorded answers of the documented shapes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.catalog import importers
from cost.catalog.importers import _common, aws, azure, gcp, onprem
from infra.core.errors import BadInput


def _aws_item(name: str = "g5.xlarge", price: str = "1.0060000000", **attributes: str) -> Any:
    return {
        "product": {
            "productFamily": "Compute Instance",
            "sku": "2222AAAA",
            "attributes": {
                "instanceType": name, "regionCode": "us-east-1", "vcpu": "4", "memory": "16 GiB",
                "gpu": "1", "operatingSystem": "Linux", "tenancy": "Shared",
                "preInstalledSw": "NA", "capacitystatus": "Used",
            } | attributes,
        },
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {
                "2222AAAA.JRTCKXETXF": {
                    "effectiveDate": "2026-10-01T00:00:00Z",
                    "priceDimensions": {
                        "2222AAAA.JRTCKXETXF.6YS6EN2CT7": {
                            "unit": "Hrs",
                            "pricePerUnit": {"USD": price},
                        }
                    },
                }
            }
        },
        "version": "20261020",
    }  # fmt: skip


def _pricing_client() -> tuple[Any, Any]:
    import boto3
    from botocore.stub import Stubber

    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="x",
                          aws_secret_access_key="y")  # fmt: skip
    return client, Stubber(client)


def test_aws_pages_are_followed() -> None:
    client, stub = _pricing_client()
    first = [json.dumps(_aws_item()), json.dumps(_aws_item(operatingSystem="Windows"))]
    second = [json.dumps(_aws_item("m5.large", "0.096", gpu="0", memory="8 GiB", vcpu="2"))]
    stub.add_response("get_products", {"PriceList": first, "NextToken": "more"})
    stub.add_response("get_products", {"PriceList": second})
    with stub:
        rows = list(aws.from_api(("us-east-1",), client))
    assert [(row["instance_type"], row["on_demand_usd_per_hour"]) for row in rows] == [
        ("g5.xlarge", "1.0060000000"),
        ("m5.large", "0.096"),
    ]
    assert rows[0]["accelerator"] == "A10G"
    assert rows[0]["as_of"] == "2026-10-01"


def test_aws_malformed_pages_are_one_error() -> None:
    for item in ("{not json", json.dumps({"product": {}}), json.dumps({"product": None})):
        client, stub = _pricing_client()
        stub.add_response("get_products", {"PriceList": [item]})
        with stub, pytest.raises(BadInput, match="AWS Price List us-east-1 page 1: not the doc"):
            list(aws.from_api(("us-east-1",), client))
    with pytest.raises(BadInput, match="name the regions"):
        list(aws.from_api((), object()))


def _offer_file() -> dict[str, Any]:
    items = {f"SKU{n}": _aws_item(name, price) for n, (name, price) in enumerate(
        (("g5.xlarge", "1.006"), ("m5.large", "0.096"), ("p5.48xlarge", "55.04")))}  # fmt: skip
    windows = _aws_item(operatingSystem="Windows")
    return {
        "formatVersion": "v1.0",
        "offerCode": "AmazonEC2",
        "numbers": [1, 2.5, None],
        "products": {sku: item["product"] for sku, item in items.items()}
        | {"WIN": windows["product"], "NET": {"sku": "NET", "attributes": {}}},
        "terms": {
            "OnDemand": {sku: item["terms"]["OnDemand"] for sku, item in items.items()}
            | {"WIN": windows["terms"]["OnDemand"]},
            "Reserved": {"SKU0": {}},
        },
    }


def test_aws_bulk_json_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cost.catalog.importers import _stream

    monkeypatch.setattr(_stream, "_CHUNK", 7)
    path = tmp_path / "index.json"
    path.write_text(json.dumps(_offer_file(), indent=1))
    rows = list(aws.from_file(path))
    assert {row["instance_type"] for row in rows} == {"g5.xlarge", "m5.large", "p5.48xlarge"}
    assert list(aws.from_file(path, ("eu-west-1",))) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text('ab"\\\\{}[]', max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text('k"\\\\{', max_size=3), inner, max_size=3)
        ),
        max_leaves=12,
    ),
    st.integers(min_value=1, max_value=9),
)
def test_what_is_skipped_is_skipped_whole(value: Any, chunk: int) -> None:
    from cost.catalog.importers import _stream

    text = json.dumps({"skip": value, "take": {"one": value, "two": 2}, "last": value})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stream, "_CHUNK", chunk)
        found = list(_stream.members(io.StringIO(text), "test", [("take",)]))
    if isinstance(value, dict):
        assert found[-1] == (("take", "two"), 2)
    assert dict(found)[("take", "one")] == value


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.97])
def test_aws_truncated_bulk_file_is_told(tmp_path: Path, keep: float) -> None:
    text = json.dumps(_offer_file())
    path = tmp_path / "index.json"
    path.write_text(text[: int(len(text) * keep)])
    with pytest.raises(BadInput, match="the file ends in the middle"):
        list(aws.from_file(path))


def test_aws_file_that_is_no_offer_file(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text("[1, 2]")
    with pytest.raises(BadInput, match="not JSON"):
        list(aws.from_file(path))
    with pytest.raises(BadInput, match="can't read the offer file"):
        list(aws.from_file(tmp_path / "none.json"))
    path.write_text('{"products": {}, "terms": {"OnDemand": {}}}')
    assert list(aws.from_file(path)) == []


_CSV = """"FormatVersion","v1.0"
"Disclaimer","This pricing list is for informational purposes only"
"Publication Date","2026-10-20T00:00:00Z"
"Version","20261020"
"OfferCode","AmazonEC2"
"SKU","TermType","EffectiveDate","Unit","PricePerUnit","Currency","Instance Type","Region Code",\
"vCPU","Memory","GPU","Operating System","Tenancy","Pre Installed S/W","CapacityStatus"
"A","OnDemand","2026-10-01","Hrs","0.0960000000","USD","m5.large","us-east-1","2","8 GiB","0",\
"Linux","Shared","NA","Used"
"B","Reserved","2026-10-01","Hrs","0.05","USD","m5.large","us-east-1","2","8 GiB","0",\
"Linux","Shared","NA","Used"
"""


def test_aws_bulk_csv(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text(_CSV)
    rows = list(aws.from_file(path))
    assert [(row["instance_type"], row["on_demand_usd_per_hour"]) for row in rows] == [
        ("m5.large", "0.0960000000")
    ]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="no header that begins with SKU"):
        list(aws.from_file(path))
    path.write_text(_CSV.replace('"Unit",', '"Units",'))
    with pytest.raises(BadInput, match="no column 'Unit'"):
        list(aws.from_file(path))


def _azure_item(name: str, price: float, sku: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": price, "unitPrice": price,
        "armRegionName": "eastus", "location": "US East",
        "effectiveStartDate": "2026-10-01T00:00:00Z", "meterName": "x", "skuId": "DZH/0",
        "productName": "Virtual Machines NC Series", "skuName": sku or name,
        "serviceName": "Virtual Machines", "unitOfMeasure": "1 Hour", "type": "Consumption",
        "isPrimaryMeterRegion": True, "armSkuName": name,
    } | more  # fmt: skip


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer))


def test_azure_pages_spot_and_newest_price() -> None:
    name = "Standard_NC24ads_A100_v4"
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if "skip" in str(request.url):
            items = [_azure_item(name, 3.673, effectiveStartDate="2026-11-01T00:00:00Z"),
                     _azure_item(name, 9.0, productName="Virtual Machines NC Series Windows")]  # fmt: skip
            return httpx.Response(200, json={"Items": items, "NextPageLink": None, "Count": 2})
        items = [_azure_item(name, 3.5), _azure_item(name, 0.9, "NC24ads A100 v4 Spot"),
                 _azure_item(name, 0.8, "NC24ads A100 v4 Low Priority"),
                 _azure_item(name, 1.0, unitOfMeasure="1/Month")]  # fmt: skip
        link = "https://prices.azure.com/api/retail/prices?$skip=100"
        return httpx.Response(200, json={"Items": items, "NextPageLink": link, "Count": 4})

    rows = list(azure.from_api(("eastus",), _client(answer)))
    assert [(row["on_demand_usd_per_hour"], row["spot_usd_per_hour"]) for row in rows] == [
        ("3.673", "0.9")
    ]
    assert rows[0]["accelerator"] == "A100-80GB-PCIe"
    assert "armRegionName" in asked[0]
    assert len(asked) == 2


def test_azure_malformed_pages_are_one_error() -> None:
    for body in ({"items": []}, {"Items": [{}]}, {"Items": [_azure_item("a", float("nan"))]}):
        text = json.dumps(body)
        client = _client(lambda request, text=text: httpx.Response(200, text=text))
        if "NaN" in text:
            rows = list(azure.from_api((), client))
            assert rows[0]["on_demand_usd_per_hour"] == "NaN"
            continue
        with pytest.raises(BadInput, match=r"prices.azure.com page 1: not the documented shape"):
            list(azure.from_api((), client))


def test_throttling_is_waited_out_and_errors_end() -> None:
    waits: list[float] = []
    answers = [
        httpx.Response(429, headers={"retry-after": "3"}),
        httpx.Response(503),
        httpx.Response(200, json={"a": 1}),
    ]
    client = _client(lambda request: answers.pop(0))
    found = list(_common.pages(client, "https://h/x", lambda page: None, pause=waits.append))
    assert found == [("h page 1", {"a": 1})]
    assert waits == [3.0, 2.0]

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(BadInput, match="gave up after 6 tries: refused"):
        list(_common.pages(_client(refuse), "https://h/x", lambda page: None, pause=waits.append))
    for status, text, words in ((403, "no key", "HTTP 403: no key"), (200, "<html>", "not JSON"),
                                (200, "[]", "not an object")):  # fmt: skip
        client = _client(lambda request, s=status, t=text: httpx.Response(s, text=t))
        with pytest.raises(BadInput, match=words):
            list(_common.pages(client, "https://h/x", lambda page: None))


def test_a_page_that_follows_itself_is_told() -> None:
    client = _client(lambda request: httpx.Response(200, json={}))
    with pytest.raises(BadInput, match="the next page is the same page"):
        list(_common.pages(client, "https://h/x", lambda page: "https://h/x"))


def _sku(text: str, nanos: int, usage: str = "OnDemand", **more: Any) -> dict[str, Any]:
    return {
        "name": "services/6F81-5844-456A/skus/0000", "skuId": "0000", "description": text,
        "category": {"resourceFamily": "Compute", "resourceGroup": "CPU", "usageType": usage},
        "serviceRegions": ["us-central1"],
        "pricingInfo": [{
            "effectiveTime": "2026-10-13T00:00:00Z",
            "pricingExpression": {
                "usageUnit": "h",
                "tieredRates": [{"startUsageAmount": 0, "unitPrice": {
                    "currencyCode": "USD", "units": "0", "nanos": nanos}}],
            },
        }],
    } | more  # fmt: skip


_G2 = [
    _sku("G2 Instance Core running in Americas", 24_988_000),
    _sku("G2 Instance Ram running in Americas", 2_927_000),
    _sku("Nvidia L4 GPU running in Americas", 560_040_000),
    _sku("Spot Preemptible G2 Instance Core running in Americas", 10_000_000, "Preemptible"),
    _sku("Spot Preemptible G2 Instance Ram running in Americas", 1_000_000, "Preemptible"),
    _sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", 200_000_000,
         "Preemptible"),
    _sku("G2 Instance Core running in Commit", 1, "Commit1Yr"),
    _sku("Network Egress", 1),
]  # fmt: skip


def test_gcp_components_become_machines() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        second = "pageToken=two" in str(request.url)
        page = {"skus": _G2[4:], "nextPageToken": ""} if second else {
            "skus": _G2[:4], "nextPageToken": "two"}  # fmt: skip
        return httpx.Response(200, json=page)

    rows = list(gcp.from_api("key", ("us-central1",), _client(answer)))
    prices = {row["instance_type"]: row for row in rows}
    four = prices["g2-standard-4"]
    assert Decimal(four["on_demand_usd_per_hour"]) == Decimal("0.706824")
    assert Decimal(four["spot_usd_per_hour"]) == Decimal("0.256")
    assert "n2-standard-4" not in prices
    assert four["as_of"] == "2026-10-13"
    assert list(gcp.from_api("key", ("mars",), _client(answer))) == []


def test_gcp_malformed_pages_are_one_error() -> None:
    with pytest.raises(BadInput, match="needs an API key"):
        list(gcp.from_api(None))
    bad = _sku("G2 Instance Core running in X", 1, pricingInfo=[])
    euro = json.loads(json.dumps(_G2[0]).replace("USD", "EUR"))
    for page in ({}, {"skus": [bad]}, {"skus": [{"category": {}}]}, {"skus": [euro]}):
        client = _client(lambda request, page=page: httpx.Response(200, json=page))
        with pytest.raises(BadInput, match=r"cloudbilling.googleapis.com page 1: not the doc"):
            list(gcp.from_api("key", (), client))


_ONPREM = """machines:
  - {name: dgx-h100, site: plant, vcpus: 224, memory_gib: 2048, accelerator: H100, count: 8,
     capex_usd: 300000, salvage_usd: 30000, depreciation_years: 4, opex_usd_per_year: 25000,
     power_kw: 10.2, pue: 1.4, usd_per_kwh: 0.12, utilisation: 0.7, as_of: 2026-10-01}
"""


def test_onprem_formula(tmp_path: Path) -> None:
    path = tmp_path / "machines.yaml"
    path.write_text(_ONPREM)
    (row,) = onprem.from_file(path)
    by_hand = ((300000 - 30000) / (4 * 8760) + 25000 / 8760 + 10.2 * 1.4 * 0.12) / 0.7
    assert float(row["on_demand_usd_per_hour"]) == pytest.approx(by_hand, abs=1e-6)
    assert row["accelerator_memory_gib"] == "80"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("utilisation: 0.7", "utilisation: 0"), "utilisation is 0"),
        (("utilisation: 0.7", "utilisation: 70"), "utilisation is 70"),
        (("capex_usd: 300000", "capex_usd: -3"), "an amount is negative"),
        (("capex_usd: 300000", "capex_usd: lots"), "capex_usd 'lots' is no amount"),
        (("capex_usd: 300000,", ""), "missing capex_usd"),
        (("pue: 1.4", "pew: 1.4"), "unknown pew"),
        (("pue: 1.4", "pue: 0.4"), "pue at least 1"),
        (("accelerator: H100", "accelerator: H900"), "unknown accelerator 'H900'"),
        (("machines:", "machine:"), "no machines in it"),
        (("machines:", "machines: ["), "can't read the price file"),
        (("- {", "- 3 #{"), "can't read|no mapping"),
    ],
)
def test_onprem_mistakes_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = tmp_path / "machines.yaml"
    path.write_text(_ONPREM.replace(*change))
    with pytest.raises(BadInput, match=words):
        list(onprem.from_file(path))


def test_import_writes_what_passes_the_audit(tmp_path: Path) -> None:
    path, out = tmp_path / "machines.yaml", tmp_path / "prices.csv"
    second = _ONPREM.splitlines()[1:]
    doubled = "\n".join([_ONPREM.rstrip(), *second]).replace("count: 8", "count: 12", 1)
    path.write_text(doubled.replace("name: dgx-h100", "name: twelve", 1))
    result = importers.import_prices("onprem", out, file=path)
    assert result.rows == 1
    assert "twelve: 12 x H100 is no size that is sold" in result.in_words()
    assert result.as_json()["rows"] == 1
    with out.open(newline="") as handle:
        assert [row["instance_type"] for row in csv.DictReader(handle)] == ["dgx-h100"]
    path.write_text(_ONPREM.replace("count: 8", "count: 12"))
    with pytest.raises(BadInput, match="no offer is left to import"):
        importers.import_prices("onprem", out, file=path)


def test_import_asks_for_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="onprem needs --file"):
        importers.import_prices("onprem", tmp_path / "o.csv")
    with pytest.raises(BadInput, match="unknown source 'ibm'"):
        importers.import_prices("ibm", tmp_path / "o.csv")
    with pytest.raises(BadInput, match="API key"):
        importers.import_prices("gcp", tmp_path / "o.csv")
    offer = tmp_path / "index.json"
    offer.write_text(json.dumps(_offer_file()))
    assert importers.import_prices("aws", tmp_path / "o.csv", file=offer).rows == 3
