"""The replay: order, place, pace, fencing, waiting."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from infra.core.errors import BadInput, Refused
from tests.support.kafka import KafkaBroker
from tests.support.processes import wait_until
from tests.support.streams import Stream, digits_table
from workloads.jobs import Job
from workloads.streaming.replay import _Pace, replay
from workloads.streaming.topics import delete_topic, ensure_topic

ROWS = 120


@pytest.fixture
def stream(tmp_path: Path, kafka_broker: KafkaBroker) -> Stream:
    return Stream(tmp_path, kafka_broker, partitions=2)


@pytest.fixture
def snapshot_id(stream: Stream) -> str:
    return digits_table(stream.store, ROWS)


def job(stream: Stream, snapshot_id: str, **changes: Any) -> Job:
    """A replay's job; progress goes to ``progress.jsonl``."""
    request = stream.replay_request(snapshot_id, **changes)
    return Job(request, stream.directory / "progress.jsonl")


def messages(stream: Stream) -> list[str]:
    """What a line of progress said, in order."""
    path = stream.directory / "progress.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["message"] for line in lines]


def events(stream: Stream, partition: int) -> Iterator[dict[str, Any]]:
    """All committed events of a partition, in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": stream.broker.bootstrap,
            "group.id": "reader",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(stream.topic, partition, OFFSET_BEGINNING)])
    try:
        while True:
            message = consumer.poll(20)
            assert message is not None
            if message.error() is not None:
                return
            value = json.loads(message.value() or b"")
            assert message.key() == value["id"].encode()
            yield value
    finally:
        consumer.close()


def all_ids(stream: Stream) -> list[str]:
    """The ids of both partitions; each partition must be in order."""
    found = []
    for partition in (0, 1):
        ids = [event["id"] for event in events(stream, partition)]
        assert ids == sorted(ids)
        found += ids
    return sorted(found)


def expected(snapshot_id: str, passes: int) -> list[str]:
    """Every id once."""
    return sorted(
        f"digits-{snapshot_id}-test-{turn}-{row:06d}"
        for turn in range(passes)
        for row in range(ROWS)
    )


def test_each_event_once_in_order_and_more_passes_later(stream: Stream, snapshot_id: str) -> None:
    assert replay(job(stream, snapshot_id)) == {"events": ROWS}
    assert replay(job(stream, snapshot_id)) == {"events": ROWS}
    assert all_ids(stream) == expected(snapshot_id, 1)
    assert replay(job(stream, snapshot_id, passes=3)) == {"events": 3 * ROWS}
    assert all_ids(stream) == expected(snapshot_id, 3)
    first = next(events(stream, 0))
    assert set(first) == {"id", "pixels"}
    assert len(first["pixels"]) == 64


def test_a_topic_made_again_gets_all_again(stream: Stream, snapshot_id: str) -> None:
    replay(job(stream, snapshot_id))
    delete_topic(stream.broker.bootstrap, stream.topic)
    ensure_topic(stream.broker.bootstrap, stream.topic, 2, 24)
    assert replay(job(stream, snapshot_id)) == {"events": ROWS}
    assert all_ids(stream) == expected(snapshot_id, 1)


def test_a_second_replay_takes_over_and_the_first_says_so(stream: Stream, snapshot_id: str) -> None:
    refused: list[Refused] = []

    def first() -> None:
        try:
            replay(job(stream, snapshot_id, events_per_second=20))
        except Refused as error:
            refused.append(error)

    thread = threading.Thread(target=first, daemon=True)
    thread.start()
    wait_until(lambda: messages(stream), 30, "the first's start")
    assert replay(job(stream, snapshot_id)) == {"events": ROWS}
    thread.join(30)
    assert "taken over" in str(refused[0])
    assert all_ids(stream) == expected(snapshot_id, 1)


def test_it_waits_for_the_broker_with_progress(stream: Stream, snapshot_id: str) -> None:
    stream.broker.kill()
    results: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.append(replay(job(stream, snapshot_id))), daemon=True
    )
    thread.start()
    wait_until(lambda: any("waiting: no Kafka" in line for line in messages(stream)), 30, "a word")
    stream.broker.start()
    thread.join(60)
    assert results == [{"events": ROWS}]
    assert all_ids(stream) == expected(snapshot_id, 1)


def test_the_pace() -> None:
    waits: list[float] = []
    pace = _Pace(100, waits.append)
    assert pace.chunk == 50
    for _ in range(4):
        pace.wait(50)
    assert sum(waits[-1:]) == pytest.approx(2.0, abs=0.6)  # nothing slept, so the last is all of it
    assert _Pace(1).chunk == 1
    free = _Pace(0, waits.append)
    before = len(waits)
    free.wait(1000)
    assert (free.chunk, len(waits)) == (1000, before)


@pytest.mark.parametrize(
    ("changes", "expected_text"),
    [
        ({"split": "nothing"}, "no rows"),
        ({"split": "a' or 'b"}, "request: split"),
        ({"table": "nothing"}, "there is no table"),
        ({"snapshot_id": "1"}, "has no snapshot"),
        ({"passes": 0, "colour": "red"}, "request: colour"),
        ({"topic": "nothing-here"}, "doesn't exist"),
    ],
)
def test_bad_requests(
    stream: Stream, snapshot_id: str, changes: dict[str, Any], expected_text: str
) -> None:
    with pytest.raises(BadInput, match=expected_text):
        replay(job(stream, **{"snapshot_id": snapshot_id} | changes))
