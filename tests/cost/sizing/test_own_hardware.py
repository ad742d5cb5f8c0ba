"""Machines of one's own: with a price they cost it, without one the answer says so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost.sizing.owned import UNPRICED
from cost.sizing.stack import offers_of, size_stack
from infra.spec import PlatformSpec, parse


def a_plant(accelerators: dict[str, int], rate: float = 5) -> PlatformSpec:
    """A stack on one site of one's own."""
    return parse({
        "name": "plantml",
        "environment": "dev",
        "owner": {"team": "t", "cost_center": "1", "contact": "a@example.com"},
        "sites": {"plant": {"cloud": "onprem", "cidr": "10.48.0.0/16",
                            "accelerators": accelerators}},
        "training": {"big": {"sites": ["plant"], "package": "big", "registers": {"model": "big"},
                             "work": {"parameters": 7_000_000_000, "tokens": 2_000_000_000}}},
        "endpoints": {
            "big": {"sites": ["plant"], "model": "models:/big@champion", "runtime": "vllm",
                    "slo": {"p95_ms": 30_000, "requests_per_second": rate}},
            "light": {"sites": ["plant"], "model": "models:/light@champion",
                      "slo": {"p95_ms": 80, "requests_per_second": 100}},
        },
    })  # fmt: skip


def sized(spec: PlatformSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """The training, and the endpoints by name on the only site."""
    capacity = size_stack("dev", spec)
    return capacity.training["big"], {
        name: one["sites"]["plant"] for name, one in capacity.endpoints.items()
    }


def test_without_a_price_it_is_said() -> None:
    training, endpoints = sized(a_plant({"H100": 16}))
    assert training["choice"]["usd"] == "0.00" and UNPRICED in training["reasons"]
    assert UNPRICED in endpoints["big"]["reasons"]
    assert endpoints["light"]["choice"] is None  # no machine without accelerators is known


def test_a_price_table_prices_it(own_prices: Path) -> None:
    spec = a_plant({"H100": 16})
    assert {one.instance_type for one in offers_of(spec, "plant")} == {"dgx", "box"}
    training, endpoints = sized(spec)
    choice = training["choice"]
    assert choice["instance_type"] == "dgx" and choice["accelerators"] <= 16
    per_hour = Decimal(choice["usd_per_hour"]) / choice["nodes"]
    assert abs(Decimal(choice["usd"]) - per_hour * choice["nodes"] * Decimal(choice["hours"])) < 1
    assert per_hour == Decimal("10.361644")  # 300,000 / (4 x 8,760) + 10 x 1.5 x 0.12
    assert UNPRICED not in training["reasons"]
    assert endpoints["light"]["choice"]["instance_type"] == "box"


def test_only_declared_accelerators_are_there(own_prices: Path) -> None:
    names = {one.instance_type for one in offers_of(a_plant({"L4": 8}), "plant")}
    assert names == {"L4x8", "box"}


def test_each_type_reaches_as_far_as_there_are_devices() -> None:
    training, endpoints = sized(a_plant({"H100": 16, "L4": 64}, rate=5000))
    assert training["choice"]["accelerator"] == "H100"
    assert training["choice"]["accelerators"] <= 16
    assert endpoints["big"]["choice"] is None
    assert "are on plant" in endpoints["big"]["reasons"][0]


def test_a_price_is_not_compared_with_none(own_prices: Path) -> None:
    training, _ = sized(a_plant({"H100": 16, "L4": 64}))
    assert training["choice"]["instance_type"] == "dgx"  # the faster, not the unpriced


def test_a_machine_larger_than_what_is_declared_is_refused(own_prices: Path) -> None:
    training, _ = sized(a_plant({"H100": 4}))
    assert training["choice"] is None and "fits on nothing" in training["reasons"][0]


@pytest.mark.parametrize("accelerators", [{}, {"H100": 8}])
def test_training_needs_accelerators(accelerators: dict[str, int], own_prices: Path) -> None:
    training, _ = sized(a_plant(accelerators))
    assert (training["choice"] is None) == (not accelerators)
