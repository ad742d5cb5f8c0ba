"""A stream under test: a table to replay, an endpoint, a processor, all as real processes."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from tests.support.kafka import KafkaBroker
from tests.support.onnx_models import mlp
from tests.support.processes import Process, free_port, wait_until
from workloads.data.tables import TableStore
from workloads.streaming.topics import ensure_topic

LINEAGE = {
    "run_id": "run-1",
    "model_version": "7",
    "data_snapshot": "12345",
    "code_sha256": "c" * 64,
}


def digits_table(store: Path, rows: int = 400, seed: int = 0) -> str:
    """Write the table ``digits`` with ``rows`` rows of split test; returns the snapshot's id."""
    import pyarrow as pa

    generator = np.random.default_rng(seed)
    ids = generator.permutation(rows)  # stored out of order on purpose
    table = pa.table(
        {
            "id": pa.array(ids.tolist(), pa.int64()),
            "split": pa.array(["test"] * rows),
            "label": pa.array((ids % 10).tolist(), pa.int32()),
            "pixels": pa.array(
                generator.integers(0, 17, (rows, 64)).astype(float).tolist(),
                pa.list_(pa.float32()),
            ),
        }
    )
    tables = TableStore(store)
    tables.create("digits", table.schema)
    return tables.append("digits", table)


def model_config(directory: Path, name: str = "digits", version: str = "1") -> dict[str, Any]:
    """A model of the config file, with its ONNX file in ``directory``."""
    path = directory / f"{name}-{version}.onnx"
    sha256 = mlp(path)
    return {
        "name": name,
        "version": version,
        "path": str(path),
        "sha256": sha256,
        "lineage": LINEAGE,
    }


class Stream:
    """Everything of one stream below ``directory``; nothing is started yet."""

    def __init__(self, directory: Path, broker: KafkaBroker, partitions: int = 2) -> None:
        self.directory = directory
        self.broker = broker
        self.store = directory / "store"
        self.topic = broker.new_topic_name()
        ensure_topic(broker.bootstrap, self.topic, partitions, 24)
        self.endpoint_port = free_port()
        config = {
            "name": "test",
            "port": self.endpoint_port,
            "models": [model_config(directory)],
        }
        self.endpoint = self._service("workloads.serving", "endpoint", config)

    def processor(self, name: str = "processor", **changes: Any) -> tuple[Process, int]:
        """A processor and its metrics port."""
        port = free_port()
        config = self.processor_config(port) | changes
        return self._service("workloads.streaming.processor", name, config), port

    def processor_config(self, port: int) -> dict[str, Any]:
        """The config file of a processor."""
        return {
            "bootstrap": self.broker.bootstrap,
            "topic": self.topic,
            "group": "predict",
            "endpoint": f"http://127.0.0.1:{self.endpoint_port}",
            "model": "digits",
            "store": str(self.store),
            "table": "digits_predictions",
            "metrics_port": port,
            "batch_max_events": 50,
            "commit_seconds": 0.2,
            "session_timeout_seconds": 1.5,
        }

    def replay_request(self, snapshot_id: str, **changes: Any) -> dict[str, Any]:
        """The request of a replay of the table ``digits``."""
        return {
            "bootstrap": self.broker.bootstrap,
            "topic": self.topic,
            "store": str(self.store),
            "table": "digits",
            "snapshot_id": snapshot_id,
            "split": "test",
        } | changes

    def replay(self, snapshot_id: str, **changes: Any) -> tuple[Process, Path]:
        """A replay and its result file."""
        request, result = self.directory / "replay.json", self.directory / "replayed.json"
        request.write_text(json.dumps(self.replay_request(snapshot_id, **changes)))
        command = [sys.executable, "-m", "workloads.streaming.replay", "--request", str(request)]
        files = ["--result", str(result), "--progress", str(self.directory / "progress.jsonl")]
        return Process([*command, *files], self.directory / "replay.log"), result

    def predictions(self, table: str = "digits_predictions") -> Any:
        """The predictions committed so far."""
        return TableStore(self.store).read(table)

    def count(self) -> int:
        """How many predictions are committed."""
        tables = TableStore(self.store)
        there = "digits_predictions" in tables.names()
        return int(tables.read("digits_predictions").num_rows) if there else 0

    def _service(self, module: str, name: str, config: dict[str, Any]) -> Process:
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-m", module, "--config", str(path)]
        return Process(command, self.directory / f"{name}.log")


def send(stream: Stream, values: Sequence[object]) -> None:
    """Produce ``values`` (bytes as they are, else JSON) in order."""
    producer = Producer({"bootstrap.servers": stream.broker.bootstrap})
    for value in values:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        producer.produce(stream.topic, value=raw)
    assert producer.flush(20) == 0


def digit(number: int) -> dict[str, Any]:
    """A good event."""
    return {"id": f"e{number}", "pixels": [float(number % 17)] * 64}


def dead(stream: Stream) -> list[dict[str, Any]]:
    """All dead letters by offset."""
    rows = stream.predictions("digits_predictions_dead_letter").to_pylist()
    return sorted(rows, key=lambda row: row["offset"])


def http_get(port: int, path: str) -> tuple[int, str]:
    """Status and body; (0, "") when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_healthy(port: int, path: str, process: Process, seconds: float = 60) -> None:
    """Wait for status 200."""

    def healthy() -> bool:
        assert process.running, process.output()[-3000:]
        return http_get(port, path)[0] == 200

    wait_until(healthy, seconds, f"{path} of {process.command[2]}")
