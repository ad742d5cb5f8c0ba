"""``mlscale:local:Dataset``: a package's data in an Iceberg table, held against its contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from infra.sites.local import told
from infra.sites.local.provider.handler import Properties
from infra.sites.local.provider.handlers._step import StepHandler, StepInputs
from infra.sites.local.supervision import Layout


class DatasetInputs(StepInputs):
    """``source``: a file instead of the package's own data; ``source_sha256`` makes a change show."""

    store: str
    table: str
    package: str
    code_sha256: str
    source: str | None = None
    source_sha256: str | None = None
    max_rejected_fraction: float = Field(default=0.0, ge=0, le=1)


class DatasetHandler(StepHandler[DatasetInputs]):
    """Ingested once a content: the same data has the same snapshot."""

    token = "mlscale:local:Dataset"
    inputs = DatasetInputs
    module = "workloads.data.ingest"
    outputs: ClassVar[tuple[str, ...]] = told.DATASET

    def request(self, inputs: DatasetInputs, layout: Layout) -> dict[str, Any]:
        """Ingest into the store's table."""
        return {
            "store": inputs.store,
            "table": inputs.table,
            "package": inputs.package,
            "source": inputs.source,
            "max_rejected_fraction": inputs.max_rejected_fraction,
        }

    def told(self, result: Mapping[str, Any], inputs: DatasetInputs) -> Properties:
        """The snapshot, and how many rows were kept aside."""
        return {
            "snapshot_id": result["snapshot_id"],
            "rows": result["rows"],
            "rejected_rows": result["rejected_rows"],
            "quarantine": result["quarantine"],
            "content_sha256": result["content_sha256"],
        }
