"""What a processor tells of itself: ``/metrics`` (Prometheus) and ``/healthz`` on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from infra.core.errors import MissingTool, Problem

_POLL_GRACE_SECONDS = 60.0
_PROGRESS_GRACE_SECONDS = 30.0


class Metrics:
    """The processor's counters; ``topic`` is a label on all of them."""

    def __init__(self, topic: str, group: str) -> None:
        self.registry = CollectorRegistry()
        labels = {"topic": topic, "group": group}

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(name, text, [*labels, *more], registry=self.registry)

        events = counter("mlscale_stream_events", "Events committed, by outcome.", "outcome")
        self.predicted = events.labels(**labels, outcome="predicted")
        self.dead_letters = events.labels(**labels, outcome="dead_letter")
        self.commits = counter("mlscale_stream_commits", "Commits to the table.").labels(**labels)
        self.conflicts = counter(
            "mlscale_stream_conflicts", "Batches dropped because another processor wrote them."
        ).labels(**labels)
        self.waits = counter(
            "mlscale_stream_endpoint_waits", "Requests to the endpoint that must be repeated."
        ).labels(**labels)
        self.lost = counter(
            "mlscale_stream_lost_events", "Events that the broker expired before they were read."
        ).labels(**labels)
        self.commit_seconds = Histogram(
            "mlscale_stream_commit_seconds",
            "Duration of a commit to the table.",
            list(labels),
            registry=self.registry,
        ).labels(**labels)
        self._lag = Gauge(
            "mlscale_stream_lag_events",
            "Events in the topic that aren't in the table yet.",
            [*labels, "partition"],
            registry=self.registry,
        )
        self.assigned = Gauge(
            "mlscale_stream_assigned_partitions",
            "Partitions that this processor reads.",
            list(labels),
            registry=self.registry,
        ).labels(**labels)
        self._labels = labels

    def set_lags(self, lags: dict[int, int]) -> None:
        """Set the lag by partition; partitions of other processors disappear."""
        self._lag.clear()
        for partition, lag in lags.items():
            self._lag.labels(**self._labels, partition=str(partition)).set(lag)


@dataclass
class Health:
    """Is the processor assigned and getting on? Written by its loop, read by the HTTP thread."""

    commit_seconds: float
    partitions: list[int] | None = None  # None until the group has given an answer
    endpoint_problem: str | None = "not asked yet"
    lag: int = 0
    polled_at: float = field(default_factory=time.monotonic)
    progressed_at: float = field(default_factory=time.monotonic)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """(healthy, details). A processor without partitions is a healthy stand-by."""
        now = time.monotonic()
        stuck = self.lag > 0 and now - self.progressed_at > max(
            _PROGRESS_GRACE_SECONDS, 5 * self.commit_seconds
        )
        reason = None
        if self.endpoint_problem is not None:
            reason = f"endpoint: {self.endpoint_problem}"
        elif self.partitions is None:
            reason = "no partitions assigned yet"
        elif now - self.polled_at > _POLL_GRACE_SECONDS:
            reason = f"its loop stands still for {now - self.polled_at:.0f} s"
        elif stuck:
            reason = f"{self.lag} events wait and none was committed lately"
        return reason is None, {
            "healthy": reason is None,
            "reason": reason,
            "partitions": self.partitions,
            "lag_events": self.lag,
        }


class StatusServer:
    """Serves both pages from a thread; raises ``MissingTool`` when the port is taken."""

    def __init__(self, port: int, metrics: Metrics, health: Health) -> None:
        def metrics_page() -> tuple[int, str, bytes]:
            return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)

        def health_page() -> tuple[int, str, bytes]:
            healthy, details = health.report()
            return 200 if healthy else 503, "application/json", json.dumps(details).encode()

        pages = {"/metrics": metrics_page, "/healthz": health_page}
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(pages))
        except OSError as error:
            raise MissingTool(
                Problem(
                    f"can't listen on 127.0.0.1:{port}: {error.strerror}",
                    path="metrics_port",
                    expected="a free port on this machine",
                )
            ) from None
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(
    pages: dict[str, Callable[[], tuple[int, str, bytes]]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Scrapes aren't worth a line each."""

    return Handler
