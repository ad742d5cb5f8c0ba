"""The run's own ``/metrics`` page, where the launcher gives a port for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, start_http_server

_GAUGES = {
    "step": "Steps done",
    "steps": "Steps of the whole run",
    "epoch": "Epoch at hand, from 1",
    "loss": "Mean loss of the last step over all processes",
}


class MetricsPage:
    """Serves the last status on ``http://<address>:<port>/metrics`` while the process lives."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"mlscale_training_{name}", text, registry=registry)
            for name, text in _GAUGES.items()
        }
        self._server, self._thread = start_http_server(port, address, registry)

    @property
    def port(self) -> int:
        """The port it listens on; a free one where 0 was asked for."""
        return int(self._server.server_port)

    def __call__(self, status: Mapping[str, Any]) -> None:
        for name, gauge in self._gauges.items():
            gauge.set(status[name])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
