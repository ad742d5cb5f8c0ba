"""``mlscale:local:Exporter``: metrics of every supervised process of the stack."""

from __future__ import annotations

import sys

from infra.sites.local.provider.handlers._service import ServiceHandler, ServiceInputs
from infra.sites.local.supervision import Layout, Unit


class ExporterInputs(ServiceInputs):
    """Nothing beyond what every service has."""


class ExporterHandler(ServiceHandler[ExporterInputs]):
    """Up, starts, memory and CPU of each unit, also of those that have no metrics of their own."""

    token = "mlscale:local:Exporter"
    inputs = ExporterInputs

    def prepare(self, inputs: ExporterInputs, layout: Layout, port: int) -> Unit:
        """One small process."""
        module = "infra.sites.local.supervision.exporter"
        directory = str(layout.directory)
        return Unit(
            inputs.unit,
            (sys.executable, "-m", module, "--directory", directory, "--port", str(port)),
        )
