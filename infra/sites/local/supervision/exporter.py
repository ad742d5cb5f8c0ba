"""Metrics of everything that is supervised: is it up, how often was it started, what does it use.

``python -m infra.sites.local.supervision.exporter --directory DIR --port N`` serves ``/metrics`` for
processes that have none of their own (the broker, the tracking server, a step), and ``/health``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from infra.sites.local.supervision.layout import Layout
from infra.sites.local.supervision.supervisor import Supervisor, UnitState
from infra.sites.local.supervision.units import UnitStatus

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class UnitCollector:
    """Asks the supervisor at every scrape; a start is counted when a unit's process id changes."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._pids: dict[str, int] = {}
        self._starts: dict[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        """One sample a unit and metric; memory in bytes, time in seconds."""
        states = self._supervisor.states()
        up = GaugeMetricFamily("mlscale_unit_up", "1: it runs, or has ended well.", labels=["unit"])
        starts = CounterMetricFamily(
            "mlscale_unit_starts", "Starts since this exporter runs.", labels=["unit"]
        )
        memory = GaugeMetricFamily(
            "mlscale_unit_resident_memory_bytes",
            "Resident memory, children included.",
            labels=["unit"],
        )
        cpu = CounterMetricFamily(
            "mlscale_unit_cpu_seconds", "CPU time of its present process.", labels=["unit"]
        )
        for state in states:
            good = state.status in (UnitStatus.RUNNING, UnitStatus.FINISHED)
            up.add_metric([state.name], float(good))
            starts.add_metric([state.name], self._counted(state))
            used = _usage(state.pid)
            if used is not None:
                memory.add_metric([state.name], used[0])
                cpu.add_metric([state.name], used[1])
        yield from (up, starts, memory, cpu)

    def _counted(self, state: UnitState) -> int:
        if state.pid and self._pids.get(state.name) != state.pid:
            self._pids[state.name] = state.pid
            self._starts[state.name] = self._starts.get(state.name, 0) + 1
        return self._starts.get(state.name, 0)


def _usage(pid: int) -> tuple[float, float] | None:
    """(resident bytes with children, CPU seconds) of a process; None when it isn't there."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = process.cpu_times()
        resident = sum(member.memory_info().rss for member in family)
    except psutil.NoSuchProcess:
        return None
    return float(resident), times.user + times.system


def _page(path: str, registry: CollectorRegistry) -> bytes | None:
    if path == "/metrics":
        return generate_latest(registry)
    return b"ok\n" if path == "/health" else None


def serve(supervisor: Supervisor, port: int) -> ThreadingHTTPServer:
    """A server on loopback that isn't running yet; ``port`` 0 takes a free one."""
    registry = CollectorRegistry()
    registry.register(UnitCollector(supervisor))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _page(self.path, registry)
            self.send_response(404 if body is None else 200)
            body = body or b"there are /metrics and /health\n"
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """A scrape is no news."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args(argv)
    server = serve(Supervisor(Layout(arguments.directory)), arguments.port)
    stop = threading.Thread(target=server.shutdown, daemon=True)
    signal.signal(signal.SIGTERM, lambda *_: stop.start())
    server.serve_forever()
    server.server_close()
    sys.exit(0)


if __name__ == "__main__":
    main()
