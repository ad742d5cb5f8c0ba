"""One real Kafka broker for a test session: ``from tests.support.kafka import kafka_broker``.

Jars come from the cache that set-up fills; where they are absent, Maven fetches them. The broker
dies with the test process. ``kill`` and ``start`` keep the port and the data.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Process, free_port, wait_until
from workloads.streaming import broker


class KafkaBroker:
    """A broker under test; ``bootstrap`` stays the same over restarts."""

    def __init__(self, directory: Path) -> None:
        self._libs = fetched_libs()
        self._java = broker.find_java()
        self.settings = broker.BrokerSettings(
            directory, free_port(), free_port(), broker.new_cluster_id(), heap_mib=192
        )
        self.bootstrap = f"127.0.0.1:{self.settings.port}"
        broker.format_storage(self.settings, self._libs, self._java)
        command = broker.broker_command(self.settings, self._libs, self._java)
        self.process = Process(command, directory / "broker.log")

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process.start()
        wait_until(self._answers, 60, "Kafka's start")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self.process.terminate()

    def new_topic_name(self, prefix: str = "events") -> str:
        """A topic name that no other test uses."""
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def _answers(self) -> bool:
        assert self.process.running, self.process.output()[-3000:]
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.settings.port)) == 0


def fetched_libs() -> Path:
    """The folder with Kafka's jars, fetched by Maven where they aren't."""
    libs = broker.libs_directory()
    if broker.verify_jars(libs):
        command = ["mvn", "-q", "-B", "-f", str(ROOT / "tools" / "kafka" / "pom.xml")]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
        shutil.rmtree(libs, ignore_errors=True)
        subprocess.run(
            [*command, "dependency:copy-dependencies", *options], check=True, timeout=300
        )
    assert not broker.verify_jars(libs)
    return libs


_started: list[KafkaBroker] = []


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """The session's broker, shared by every suite of this process; started when it is down."""
    if not _started:
        _started.append(KafkaBroker(tmp_path_factory.mktemp("kafka")))
    if not _started[0].process.running:
        _started[0].start()
    yield _started[0]
    _started[0].kill()
