"""The whole stream with real processes that are killed: every event once, none lost."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka import KafkaBroker
from tests.support.processes import Process, wait_until
from tests.support.streams import Stream, digits_table, http_get, wait_healthy

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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_kills_anywhere_lose_and_double_nothing(stream: Stream, seed: int) -> None:
    _trial(stream, seed, kills=8)


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
