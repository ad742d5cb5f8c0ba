"""``mlscale:local:Processor``: predicts the events of a stream into a table, each exactly once."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from infra.sites.local.provider.handlers._service import (
    ServiceHandler,
    ServiceInputs,
    configured,
    http_unhealthy,
)
from infra.sites.local.supervision import Layout, Unit


class ProcessorInputs(ServiceInputs):
    """From ``topic`` through the ``endpoint``'s ``model`` into ``table`` of ``store``."""

    bootstrap: str
    topic: str
    endpoint: str
    model: str
    store: str
    table: str
    batch_max_events: int = Field(default=256, ge=1)
    commit_seconds: float = Field(default=1.0, gt=0)


class ProcessorHandler(ServiceHandler[ProcessorInputs]):
    """Offsets and rows are committed together, so a death repeats and loses nothing."""

    token = "mlscale:local:Processor"
    inputs = ProcessorInputs
    health_seconds: ClassVar[float] = 90

    def prepare(self, inputs: ProcessorInputs, layout: Layout, port: int) -> Unit:
        """Write its configuration."""
        config = {
            **inputs.model_dump(exclude={"directory", "unit", "port"}),
            "group": f"mlscale-{inputs.unit}",
            "metrics_port": port,
        }
        return configured(inputs, layout, "workloads.streaming.processor", config)

    def unhealthy(self, url: str) -> str | None:
        """It holds its partitions and moves on."""
        return http_unhealthy(f"{url}/healthz")
