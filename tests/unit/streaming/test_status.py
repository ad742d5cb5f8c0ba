"""Health in each state, and the status pages."""

from __future__ import annotations

import time

import pytest

from infra.core.errors import MissingTool
from tests.support.streams import http_get
from workloads.streaming.status import Health, Metrics, StatusServer


def test_health_says_why() -> None:
    health = Health(commit_seconds=1)
    assert "not asked yet" in health.report()[1]["reason"]
    health.endpoint_problem = None
    assert "no partitions assigned" in health.report()[1]["reason"]
    health.partitions = []
    assert health.report()[0]
    health.partitions, health.lag = [0], 5
    assert health.report()[0]
    health.progressed_at = time.monotonic() - 31
    assert "5 events wait" in health.report()[1]["reason"]
    health.commit_seconds = 60
    assert health.report()[0]
    health.polled_at -= 61
    assert "stands still" in health.report()[1]["reason"]


def test_pages_and_a_taken_port() -> None:
    metrics, health = Metrics("t", "g"), Health(1)
    metrics.set_lags({0: 3, 1: 4})
    metrics.set_lags({1: 5})
    server = StatusServer(0, metrics, health)
    try:
        status, page = http_get(server.port, "/metrics")
        assert status == 200
        assert 'mlscale_stream_lag_events{group="g",partition="1",topic="t"} 5.0' in page
        assert 'partition="0"' not in page
        assert http_get(server.port, "/healthz")[0] == 503
        assert http_get(server.port, "/other")[0] == 404
        with pytest.raises(MissingTool, match="can't listen"):
            StatusServer(server.port, metrics, health)
    finally:
        server.close()
