"""Sites of one's own in an estimate: priced by a price table, else free and why."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from cost.estimate import Estimate, Outcome
from cost.estimate.local import UNPRICED
from cost.estimate.render import summary

from .conftest import price, step  # type: ignore[import-not-found]

SITE = "mlscale:platform:Site"
DGX = Decimal("10.361644") * 730
BOX = Decimal("0.256986") * 730


def priced(site: dict[str, Any] | None, usage: Path | None = None) -> Estimate:
    """The estimate of one site named ``plant``."""
    config = {} if site is None else {"mlscale:platform": json.dumps({"sites": {"plant": site}})}
    result: Estimate = price(step(SITE, {}, "plant", custom=False), usage=usage, config=config)
    return result


def test_no_price_table() -> None:
    for cloud in ("onprem", "local"):
        result = priced({"cloud": cloud})
        assert result.resources[0].outcome is Outcome.FREE
        assert result.resources[0].reason == UNPRICED
        assert f"plant: {UNPRICED}" in summary(result)
    for site in ({"cloud": "aws"}, None):
        assert priced(site).resources[0].reason == "a component: its children are priced"


def test_machines_of_a_price_table(own_prices: Path, tmp_path: Path) -> None:
    result = priced({"cloud": "onprem", "accelerators": {"H100": 32}})
    (site,) = result.resources
    assert site.outcome is Outcome.USAGE
    charges = {charge.sku: charge for charge in site.charges}
    assert abs(charges["dgx"].usd_per_month - 4 * DGX) < Decimal("0.01")
    assert "for 32 H100" in charges["dgx"].note
    assert "assumed 1 machine" in charges["box"].note
    usage = tmp_path / "usage.yaml"
    usage.write_text("usage: {plant: {nodes_dgx: 1.5, nodes_box: 0}}")
    given = priced({"cloud": "onprem"}, usage)
    assert abs(given.usd_per_month - Decimal("1.5") * DGX) < Decimal("0.01")
    assert given.unused == ()


def test_a_configuration_that_cannot_be_read(own_prices: Path) -> None:
    config = {"mlscale:platform": "{"}
    result = price(step(SITE, {}, "plant", custom=False), config=config)
    assert abs(result.usd_per_month - DGX - BOX) < Decimal("0.01")
