"""``mlscale:local:Endpoint``: a model server."""

from __future__ import annotations

from typing import Any, ClassVar

from infra.sites.local.provider.handlers._service import (
    ServiceHandler,
    ServiceInputs,
    configured,
    http_unhealthy,
)
from infra.sites.local.supervision import Layout, Unit


class EndpointInputs(ServiceInputs):
    """One model: its file, the hash that the server holds it against, and where it comes from."""

    model_name: str
    model_version: str
    model_path: str
    model_sha256: str
    run_id: str
    data_snapshot: str
    code_sha256: str


class EndpointHandler(ServiceHandler[EndpointInputs]):
    """Serves predictions with their lineage in the response's headers."""

    token = "mlscale:local:Endpoint"
    inputs = EndpointInputs
    health_seconds: ClassVar[float] = 60

    def prepare(self, inputs: EndpointInputs, layout: Layout, port: int) -> Unit:
        """Write the server's configuration; another model restarts it."""
        return configured(inputs, layout, "workloads.serving", _config(inputs, port))

    def unhealthy(self, url: str) -> str | None:
        """Ready means that the model is loaded and warm."""
        return http_unhealthy(f"{url}/v2/health/ready")


def _config(inputs: EndpointInputs, port: int) -> dict[str, Any]:
    lineage = {
        "run_id": inputs.run_id,
        "model_version": inputs.model_version,
        "data_snapshot": inputs.data_snapshot,
        "code_sha256": inputs.code_sha256,
    }
    model = {
        "name": inputs.model_name,
        "version": inputs.model_version,
        "path": inputs.model_path,
        "sha256": inputs.model_sha256,
        "lineage": lineage,
    }
    return {"name": inputs.unit, "host": "127.0.0.1", "port": port, "models": [model]}
