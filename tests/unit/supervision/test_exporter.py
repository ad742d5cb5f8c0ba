"""Metrics of a real supervisord's units."""

from __future__ import annotations

import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.sites.local.supervision import Supervisor, Unit
from infra.sites.local.supervision.exporter import serve
from tests.support.processes import wait_until
from tests.support.supervised import supervisor  # noqa: F401 - a fixture


@pytest.fixture
def url(supervisor: Supervisor) -> Iterator[str]:  # noqa: F811
    server = serve(supervisor, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def _samples(url: str) -> dict[tuple[str, str], float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {
        (sample.name, sample.labels["unit"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_units_are_counted_and_measured(supervisor: Supervisor, url: str) -> None:  # noqa: F811
    assert _samples(url) == {}
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    supervisor.apply(Unit("sleeper", command))
    first = supervisor.state("sleeper").pid
    samples = _samples(url)
    assert samples["mlscale_unit_up", "sleeper"] == 1
    assert samples["mlscale_unit_starts_total", "sleeper"] == 1
    assert samples["mlscale_unit_resident_memory_bytes", "sleeper"] > 1e6
    assert samples["mlscale_unit_cpu_seconds_total", "sleeper"] >= 0
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.state("sleeper").pid not in (0, first), what="the restart")
    assert _samples(url)["mlscale_unit_starts_total", "sleeper"] == 2


def test_other_pages_say_what_there_is(url: str) -> None:
    with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
        assert answer.read() == b"ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/", timeout=5)
