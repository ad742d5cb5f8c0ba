"""``mlscale:local:Tracking``: MLflow's tracking server and model registry."""

from __future__ import annotations

import sys
from typing import ClassVar

from infra.sites.local.provider.handlers._service import (
    ServiceHandler,
    ServiceInputs,
    http_unhealthy,
)
from infra.sites.local.supervision import Layout, Unit


class TrackingInputs(ServiceInputs):
    """``data``: folder of its database and artefacts; it belongs to a store, and is kept with it."""

    data: str


class TrackingHandler(ServiceHandler[TrackingInputs]):
    """MLflow on SQLite, on a port of the loopback interface."""

    token = "mlscale:local:Tracking"
    inputs = TrackingInputs
    health_seconds: ClassVar[float] = 120

    def prepare(self, inputs: TrackingInputs, layout: Layout, port: int) -> Unit:
        """One process; its database is made on the first start."""
        module = "workloads.registry.server"
        command = (sys.executable, "-m", module, "--data", inputs.data, "--port", str(port))
        return Unit(inputs.unit, command)

    def unhealthy(self, url: str) -> str | None:
        """MLflow's own health page."""
        return http_unhealthy(f"{url}/health")
