"""A price table of one's own, made and read as a user does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cost.catalog import store
from cost.catalog.importers import import_prices

_CACHED = (store.load_offers, store._offer_index, store.catalogue_digest)
_MACHINES = """machines:
  - {name: dgx, site: plant, vcpus: 224, memory_gib: 2048, accelerator: H100, count: 8,
     capex_usd: 300000, depreciation_years: 4, power_kw: 10, usd_per_kwh: 0.12, as_of: 2026-10-01}
  - {name: box, site: plant, vcpus: 32, memory_gib: 128,
     capex_usd: 6000, depreciation_years: 5, power_kw: 0.4, usd_per_kwh: 0.2, as_of: 2026-10-01}
"""


@pytest.fixture
def own_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two machines on the site ``plant``, named in MLSCALE_PRICE_TABLES for one test."""
    machines, table = tmp_path / "machines.yaml", tmp_path / "own.csv"
    machines.write_text(_MACHINES)
    import_prices("onprem", table, file=machines)
    monkeypatch.setenv(store.TABLES_VARIABLE, str(table))
    for function in _CACHED:
        function.cache_clear()
    yield table
    monkeypatch.undo()
    for function in _CACHED:
        function.cache_clear()
