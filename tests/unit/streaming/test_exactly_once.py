"""The whole stream with real processes that are killed: every event once, none lost."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import KafkaBroker
from tests.support.processes import Process, wait_until
from tests.support.streams import (
    Stream,
    dead,
    digit,
    digits_table,
    http_get,
    send,
    wait_healthy,
)

ROWS = 400


@pytest.fixture
def stream(tmp_path: Path, kafka_broker: KafkaBroker) -> Iterator[Stream]:
    made = Stream(tmp_path, kafka_broker)
    yield made
    made.endpoint.kill()


def _expected(snapshot_id: str, passes: int = 1) -> set[str]:
    return {
        f"digits-{snapshot_id}-test-{turn}-{row:06d}"
        for turn in range(passes)
        for row in range(ROWS)
    }


def _check_exactly_once(stream: Stream, expected: set[str]) -> None:
    counts = Counter(stream.predictions()["event_id"].to_pylist())
    assert {key: count for key, count in counts.items() if count > 1} == {}
    assert set(counts) == expected


def test_an_undisturbed_stream(stream: Stream) -> None:
    snapshot_id = digits_table(stream.store, ROWS)
    stream.endpoint.start()
    processor, port = stream.processor()
    processor.start()
    wait_healthy(port, "/healthz", processor)
    replay, result = stream.replay(snapshot_id, passes=2)
    assert replay.start().wait() == 0, replay.output()
    assert json.loads(result.read_text())["result"] == {"events": 2 * ROWS}
    wait_until(lambda: stream.count() == 2 * ROWS, 30, "all predictions")
    _check_exactly_once(stream, _expected(snapshot_id, 2))
    row = stream.predictions().to_pylist()[0]
    assert (row["run_id"], row["model_version"], row["data_snapshot"]) == ("run-1", "7", "12345")
    assert 0 <= row["label"] <= 9 and 0 < row["probability"] <= 1
    assert row["topic"] == stream.topic and row["event_time"] <= row["predicted_at"]
    wait_until(lambda: " 0.0" in _lag(port), 10, "a lag of zero")
    page = http_get(port, "/metrics")[1]
    assert 'outcome="predicted"' in page and f" {2 * ROWS}.0" in page
    assert processor.terminate() == 0, processor.output()


def _lag(port: int) -> str:
    lines = http_get(port, "/metrics")[1].splitlines()
    lags = [line for line in lines if line.startswith("mlscale_stream_lag_events{")]
    return " 0.0" if lags and all(line.endswith(" 0.0") for line in lags) else str(lags)


# Kills its own process at the n-th commit of a table: before it, in it, or right after it.
_CRASH = """
import os, signal, sys
from pyiceberg.catalog.sql import SqlCatalog
table, when, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
def die():
    os.kill(os.getpid(), signal.SIGKILL)
commit, write = SqlCatalog.commit_table, SqlCatalog._write_metadata
def crashing(self, target, requirements, updates):
    global count
    if target.name()[-1] == table and any(update.action == "add-snapshot" for update in updates):
        count -= 1
        if count == 0:
            if when == "before":
                die()
            if when == "inside":
                SqlCatalog._write_metadata = staticmethod(lambda *a, **k: (write(*a, **k), die()))
            result = commit(self, target, requirements, updates)
            die()
    return commit(self, target, requirements, updates)
SqlCatalog.commit_table = crashing
from workloads.services import main
from workloads.streaming.processor import ProcessorConfig, process
main(process, ProcessorConfig, ["--config", sys.argv[4]])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("digits_predictions_dead_letter", "after"),
        ("digits_predictions", "inside"),
        ("digits_predictions", "after"),
    ],
)
def test_a_kill_within_a_commit(stream: Stream, table: str, when: str) -> None:
    send(stream, [b"bad" if number % 10 == 0 else digit(number) for number in range(200)])
    stream.endpoint.start()
    processor, _ = stream.processor(commit_max_events=50, session_timeout_seconds=1)
    config = processor.command[-1]
    command = [sys.executable, "-c", _CRASH, table, when, "2", config]
    crashing = Process(command, stream.directory / "crashing.log").start()
    assert crashing.wait(60) == -signal.SIGKILL, crashing.output()
    assert 0 < stream.count() < 180
    processor.start()
    wait_until(lambda: stream.count() >= 180, 60, "the rest")
    assert processor.terminate() == 0, processor.output()
    _check_exactly_once(stream, {f"e{number}" for number in range(200) if number % 10})
    assert (
        len(dead(stream)) == len({(row["partition"], row["offset"]) for row in dead(stream)}) == 20
    )


@pytest.mark.slow
def test_a_processor_that_was_thought_dead_writes_nothing_twice(stream: Stream) -> None:
    stream.endpoint.start()
    sleeper, _ = stream.processor("sleeper", session_timeout_seconds=1, commit_seconds=5)
    sleeper.start()
    wait_until(lambda: "assigned [(0" in sleeper.output(), 30, "the first's assignment")
    send(stream, [digit(number) for number in range(100)])
    wait_until(lambda: _served(stream) >= 2, 30, "predictions")
    sleeper.signal(signal.SIGSTOP)
    assert stream.count() == 0
    heir, _ = stream.processor("heir", session_timeout_seconds=1)
    heir.start()
    wait_until(lambda: stream.count() == 100, 30, "the heir's predictions")
    sleeper.signal(signal.SIGCONT)
    send(stream, [digit(number) for number in range(100, 200)])
    wait_until(lambda: stream.count() >= 200, 30, "the rest")
    time.sleep(1)  # the sleeper may still want to write what it had
    assert sleeper.terminate() == 0
    assert heir.terminate() == 0
    _check_exactly_once(stream, {f"e{number}" for number in range(200)})


def _served(stream: Stream) -> int:
    """Requests that the endpoint has answered."""
    lines = http_get(stream.endpoint_port, "/metrics")[1].splitlines()
    return sum(int(line.split()[-1]) for line in lines if 'outcome="ok"' in line)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_kills_anywhere_lose_and_double_nothing(stream: Stream, seed: int) -> None:
    _trial(stream, seed, kills=5)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_kills_lose_and_double_nothing(stream: Stream, seed: int) -> None:
    _trial(stream, seed, kills=20)


def _trial(stream: Stream, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    snapshot_id = digits_table(stream.store, ROWS)
    stream.endpoint.start()
    processor, _ = stream.processor(commit_seconds=0.05, batch_max_events=20)
    processor.start()
    replay, result = stream.replay(snapshot_id, passes=3, events_per_second=200)
    replay.start()
    victims: dict[str, Process] = {
        "processor": processor,
        "replay": replay,
        "broker": stream.broker.process,
        "endpoint": stream.endpoint,
    }
    killed = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.1, 1.5))
        name = chance.choice(list(victims))
        killed.append(name)
        if name == "replay" and result.exists():
            continue
        victims[name].kill()
        time.sleep(chance.uniform(0, 0.5))
        victims[name].start()
    wait_until(result.exists, 120, f"the replay after {killed}: {replay.output()[-2000:]}")
    wait_until(lambda: stream.count() >= 3 * ROWS, 120, f"the predictions after {killed}")
    assert processor.terminate() == 0, processor.output()[-3000:]
    _check_exactly_once(stream, _expected(snapshot_id, 3))
