"""A split of an Iceberg table as a stream of events, each sent exactly once, in order.

A step (:mod:`workloads.jobs`). Events go out in transactions, and each transaction also moves the
replay's place (a group's offset that nobody but the replay reads): events and place are
there together or not at all. Whatever goes wrong, the next attempt takes the same transactional
id, which fences the former one and ends its open transaction, and goes on from the place.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from pydantic import Field, ValidationError

from infra.core.errors import BadInput, MissingTool, Problem, Refused
from workloads.data.tables import TableStore
from workloads.jobs import Job, main
from workloads.services import ServiceConfig, explained
from workloads.streaming.topics import describe_topic

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_CALL_SECONDS = 15.0
_CHUNK_EVENTS = 1000  # a transaction's most; fewer when throttled, so that events flow evenly
_CHUNK_SECONDS = 0.5


class ReplayRequest(ServiceConfig):
    """What to send where. ``events_per_second`` 0 is as fast as the broker takes them.

    The table has the columns ``id`` (integer), ``split`` and those of the event (all others but
    ``label``); rows go out by ``id``, ``passes`` times.
    """

    bootstrap: str = Field(min_length=1)
    topic: str = Field(min_length=1)
    store: Path
    table: str = Field(min_length=1)
    snapshot_id: str = Field(pattern=r"^[0-9]{1,20}$")
    split: str = Field(default="test", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    events_per_second: float = Field(default=0, ge=0)
    passes: int = Field(default=1, ge=1, le=1_000_000)


@dataclass(frozen=True)
class _Source:
    """The events of one pass, without their pass: ``row_ids`` and ``values`` in order."""

    prefix: str
    row_ids: list[int]
    values: list[dict[str, Any]]
    passes: int

    def __len__(self) -> int:
        return len(self.row_ids) * self.passes

    def events(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        """Key and value of the events numbered ``start`` to ``end`` - 1."""
        for number in range(start, end):
            turn, index = divmod(number, len(self.row_ids))
            event_id = f"{self.prefix}-{turn}-{self.row_ids[index]:06d}"
            yield event_id.encode(), orjson.dumps({"id": event_id, **self.values[index]})


class _Place:
    """How many events of this replay the topic has: an offset of a group of its own."""

    def __init__(self, request: ReplayRequest, name: str) -> None:
        self._topic = request.topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": request.bootstrap,
                "group.id": name,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )

    def read(self) -> int:
        """The number of events that are in the topic for good."""
        (found,) = self._consumer.committed([TopicPartition(self._topic, 0)], timeout=_CALL_SECONDS)
        if found.error is not None:
            raise KafkaException(found.error)
        return max(0, found.offset)

    def add_to(self, producer: Producer, events: int) -> None:
        """Make the place part of ``producer``'s open transaction."""
        producer.send_offsets_to_transaction(
            [TopicPartition(self._topic, 0, events)],
            self._consumer.consumer_group_metadata(),
            _CALL_SECONDS,
        )

    def close(self) -> None:
        self._consumer.close()


def replay(job: Job) -> dict[str, int]:
    """Send what isn't sent yet; returns ``{"events": number sent in all runs together}``.

    Raises ``BadInput`` (request, table, snapshot, an empty split), ``Refused`` (another replay of
    the same events took over). Waits for a broker that is away, and says so.
    """
    request = _request(job.request)
    source = _source(request)
    name = replay_name(request)
    pause = _FIRST_PAUSE_SECONDS
    sent = -1
    while True:
        try:
            _wait_for_topic(request, job)
            sent = _send_rest(request, source, name, job)
            job.progress(f"sent {sent} events to {request.topic}", 1.0)
            return {"events": sent}
        except KafkaException as error:
            kafka: KafkaError = error.args[0]
            if kafka.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
                raise _taken_over(request) from None
            job.progress(f"Kafka: {kafka.str()}; next try in {pause:.1f} s")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def replay_name(request: ReplayRequest) -> str:
    """The transactional id, and the group that holds the place: one for each distinct replay."""
    parts = [request.topic, request.table, request.snapshot_id, request.split]
    identity = "\0".join([*parts, str(request.store.absolute())])
    return f"mlscale-replay-{request.topic}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _send_rest(request: ReplayRequest, source: _Source, name: str, job: Job) -> int:
    """One attempt: fence the former one, find the place, send from there to the end."""
    place = _Place(request, name)
    fatal: list[KafkaError] = []  # what ended the producer's life, fencing above all
    try:
        producer = Producer(
            {
                "bootstrap.servers": request.bootstrap,
                "transactional.id": name,
                "enable.idempotence": True,
                "transaction.timeout.ms": 20_000,
                "linger.ms": 5,
                "log_level": 2,
                "error_cb": lambda error: fatal.append(error) if error.fatal() else None,
            }
        )
        producer.init_transactions(_CALL_SECONDS)
        sent = place.read()
        pace = _Pace(request.events_per_second)
        while sent < len(source):
            end = min(sent + pace.chunk, len(source))
            pace.wait(end - sent)
            _send_transaction(producer, place, request.topic, source, sent, end)
            sent = end
            job.progress(f"sent {sent} of {len(source)} events", sent / len(source))
        return sent
    except (KafkaException, SystemError) as error:
        if fatal:
            raise KafkaException(fatal[0]) from None
        # The client may raise its fatal error while one of our callbacks runs: Python's SystemError.
        if isinstance(error, SystemError) and isinstance(error.__cause__, KafkaException):
            raise error.__cause__ from None
        raise
    finally:
        place.close()


def _send_transaction(
    producer: Producer, place: _Place, topic: str, source: _Source, start: int, end: int
) -> None:
    """Events ``start`` to ``end`` - 1 and the place after them, all or nothing."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    producer.begin_transaction()
    for key, value in source.events(start, end):
        producer.produce(topic, value=value, key=key, on_delivery=delivered)
        producer.poll(0)
    if producer.flush(_CALL_SECONDS):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker takes no events"))
    if failed:
        raise KafkaException(failed[0])
    place.add_to(producer, end)
    producer.commit_transaction(_CALL_SECONDS)


class _Pace:
    """Keeps to ``events_per_second`` by waiting before a chunk; 0 never waits."""

    def __init__(
        self, events_per_second: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate = events_per_second
        self._sleep = sleep
        self._due = time.monotonic()
        by_rate = max(1, int(events_per_second * _CHUNK_SECONDS))
        self.chunk = min(_CHUNK_EVENTS, by_rate) if events_per_second else _CHUNK_EVENTS

    def wait(self, events: int) -> None:
        """Wait until ``events`` more may go out."""
        if not self._rate:
            return
        now = time.monotonic()
        self._due = max(self._due, now - _CHUNK_SECONDS) + events / self._rate
        if self._due > now:
            self._sleep(self._due - now)


def _wait_for_topic(request: ReplayRequest, job: Job) -> None:
    """Wait for the broker; raises ``BadInput`` when it answers and has no such topic."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            found = describe_topic(request.bootstrap, request.topic, 5.0)
        except MissingTool as error:
            job.progress(f"waiting: {error.problems[0].message}")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            continue
        if found is None:
            raise BadInput(Problem(f"topic {request.topic} doesn't exist", path="topic"))
        return


def _request(value: Mapping[str, Any]) -> ReplayRequest:
    try:
        return ReplayRequest.model_validate(dict(value))
    except ValidationError as error:
        raise explained(error, "request") from None


def _source(request: ReplayRequest) -> _Source:
    rows = TableStore(request.store).read(
        request.table, request.snapshot_id, row_filter=f"split = '{request.split}'"
    )
    if "id" not in rows.column_names or not rows.num_rows:
        raise BadInput(
            Problem(
                f"{request.table} has no rows with an id in the split {request.split!r}",
                path="split",
                fix="name a split that the table has",
            )
        )
    rows = rows.sort_by("id")
    values = rows.drop_columns(
        [name for name in ("id", "split", "label") if name in rows.column_names]
    )
    return _Source(
        f"{request.table}-{request.snapshot_id}-{request.split}",
        rows["id"].to_pylist(),
        values.to_pylist(),
        request.passes,
    )


def _taken_over(request: ReplayRequest) -> Refused:
    return Refused(
        Problem(
            f"another replay of the same events to {request.topic} has taken over",
            path="topic",
            fix="let that one finish; nothing is sent twice",
        )
    )


if __name__ == "__main__":
    main(replay)
