"""Events of a topic to the endpoint, its predictions to an Iceberg table; each event exactly once.

``python -m workloads.streaming.processor --config C.json``. The consumer group hands out the
partitions, but where to go on is what the table says (:mod:`workloads.streaming.sink`); Kafka's own
group offsets are written for the eye only. Nothing is dropped: while the endpoint or the broker is
away the processor waits, and events that can't be predicted go to the dead-letter table.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from infra.core.errors import MissingTool
from workloads.services import main
from workloads.serving.client import InferenceClient
from workloads.streaming.config import ProcessorConfig
from workloads.streaming.events import Event, event_of
from workloads.streaming.predictor import DeadLetter, Predicted, Predictor, StoppedError
from workloads.streaming.sink import (
    PredictionSink,
    SinkMovedError,
    dead_letter_schema,
    prediction_schema,
)
from workloads.streaming.status import Health, Metrics, StatusServer
from workloads.streaming.topics import describe_topic

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger("mlscale.stream")

_POLL_SECONDS = 0.2
_LAG_EVERY_SECONDS = 1.0
_BROKER_PAUSE_SECONDS = 2.0
# A processor that waits longer than this for its endpoint gives its partitions to another.
_MAX_POLL_INTERVAL_MS = 300_000


@dataclass
class _Pending:
    """What is predicted and not committed: rows, and the next offset of each partition."""

    predicted: list[Predicted] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    since: float = 0.0

    def __len__(self) -> int:
        return len(self.predicted) + len(self.dead)


class Processor:
    """The loop; everything but the status pages happens in the thread that calls ``run``."""

    def __init__(self, config: ProcessorConfig) -> None:
        self._config = config
        self._stop = threading.Event()
        self._give_up = threading.Event()  # stop waiting for the endpoint, too
        self._metrics = Metrics(config.topic, config.group)
        self._health = Health(config.commit_seconds)
        self.status = StatusServer(config.metrics_port, self._metrics, self._health)
        self._client = InferenceClient(
            config.endpoint, config.model, timeout_seconds=config.endpoint_timeout_seconds
        )
        self._predictor = Predictor(self._client, self._give_up, self._endpoint_waits)
        self._pending = _Pending()
        self._assignment = 0  # counts rebalances
        self._committed: dict[int, int | None] = {}  # what the table holds, by assigned partition
        self._known_dead: dict[int, set[int]] = {}
        self._ends: dict[int, int] = {}  # where a partition ended, when its end was reached
        self._lag_due = 0.0

    def stop(self) -> None:
        """Finish what was read, commit and return from ``run``; safe in a signal handler."""
        self._stop.set()
        timer = threading.Timer(self._config.drain_seconds, self._give_up.set)
        timer.daemon = True
        timer.start()

    def run(self) -> None:
        """Process until ``stop``."""
        try:
            self._sink = self._open_sink()
            self._predictor.connect()
            self._health.endpoint_problem = None
            self._consumer = Consumer(self._consumer_settings())
        except StoppedError:
            self._close()
            return
        try:
            self._consumer.subscribe(
                [self._config.topic],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self._stop.is_set():
                self._turn()
            self._commit()
        except StoppedError as error:
            _log.warning("left with events unpredicted; they are read again: %s", error)
            self._commit()
        finally:
            self._consumer.close()
            self._close()

    def _close(self) -> None:
        self._client.close()
        self.status.close()

    def _open_sink(self) -> PredictionSink:
        """Wait for the broker and the topic; raises ``StoppedError``."""
        config = self._config
        while True:
            reason = f"topic {config.topic} doesn't exist"
            try:
                found = describe_topic(config.bootstrap, config.topic, 5.0)
                if found is not None:
                    return PredictionSink(
                        config.store, config.table, config.group, config.topic, found["topic_id"]
                    )
            except MissingTool as error:
                reason = str(error)
            _log.warning("waiting: %s", reason)
            if self._stop.wait(_BROKER_PAUSE_SECONDS):
                raise StoppedError(reason)

    def _consumer_settings(self) -> dict[str, Any]:
        session_ms = round(self._config.session_timeout_seconds * 1000)
        return {
            "bootstrap.servers": self._config.bootstrap,
            "group.id": self._config.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # a gap is counted and said, never jumped in silence
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(100, session_ms // 4),
            "max.poll.interval.ms": max(_MAX_POLL_INTERVAL_MS, session_ms),
            "reconnect.backoff.max.ms": 2000,
            "topic.metadata.refresh.interval.ms": 10_000,  # notices partitions that were added
        }

    def _turn(self) -> None:
        """Read what there is, predict it, commit when it is time."""
        events = self._collect()
        if events:
            dead = self._known_dead
            verdicts = self._predictor.predict(
                [each for each in events if each.offset not in dead.get(each.partition, ())]
            )
            self._health.endpoint_problem = None
            if not self._pending.ends:
                self._pending.since = time.monotonic()
            self._pending.predicted += verdicts.predicted
            self._pending.dead += verdicts.dead
            for event in events:
                self._pending.ends[event.partition] = event.offset + 1
        waited = time.monotonic() - self._pending.since
        full = len(self._pending) >= self._config.commit_max_events
        if self._pending.ends and (full or waited >= self._config.commit_seconds):
            self._commit()
        self._observe()

    def _collect(self) -> list[Event]:
        """Up to one request's worth of events of the partitions assigned now."""
        events: list[Event] = []
        assignment = self._assignment
        while len(events) < self._config.batch_max_events and not self._stop.is_set():
            message = self._consumer.poll(0 if events else _POLL_SECONDS)
            self._health.polled_at = time.monotonic()
            if self._assignment != assignment:
                # What was collected is read again: every assignment starts where the table ends.
                events, assignment = [], self._assignment
            if message is None:
                break
            error = message.error()
            if error is not None:
                self._handle(error, message)
                continue
            events.append(event_of(message))
        return events

    def _handle(self, error: KafkaError, message: Any) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self._ends[message.partition()] = message.offset()
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._mend_gap(message.partition())
        elif error.fatal():
            raise KafkaException(error)
        else:
            _log.warning("Kafka: %s", error.str())

    def _mend_gap(self, partition: int) -> None:
        """The table's offset is outside of what the broker has: say so, count, and go on."""
        here = TopicPartition(self._config.topic, partition)
        low, high = self._consumer.get_watermark_offsets(here, timeout=10)
        wanted = self._committed.get(partition) or 0
        if wanted < low:
            self._metrics.lost.inc(low - wanted)
            _log.error("partition %d: offsets %d to %d expired unread", partition, wanted, low - 1)
        else:
            _log.error(
                "partition %d: the broker lost offsets %d to %d", partition, high, wanted - 1
            )
        # Reading of the partition has stopped; only a new assignment starts it again.
        positions = self._positions(list(self._committed))
        for position in positions:
            if position.partition == partition:
                position.offset = low if wanted < low else high
        self._consumer.assign(positions)

    def _commit(self) -> None:
        """One snapshot with all that is pending; or nothing of it when another wrote it first."""
        pending, self._pending = self._pending, _Pending()
        if not pending.ends:
            return
        started = time.monotonic()
        starts = {partition: self._committed.get(partition) for partition in pending.ends}
        try:
            self._sink.add_dead_letters(
                _dead_letter_rows(self._config, self._sink.topic_id, pending.dead)
            )
            self._sink.commit(
                _prediction_rows(self._config.topic, pending.predicted), starts, pending.ends
            )
        except SinkMovedError as error:
            _log.warning("another processor was faster: %s", error)
            self._metrics.conflicts.inc()
            self._rewind()
            return
        self._committed.update(pending.ends)
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.commits.inc()
        self._metrics.predicted.inc(len(pending.predicted))
        self._metrics.dead_letters.inc(len(pending.dead))
        self._health.progressed_at = time.monotonic()
        self._tell_group(pending.ends)

    def _tell_group(self, ends: dict[int, int]) -> None:
        """Kafka's own tools show a group's lag from these; we never read them."""
        offsets = [TopicPartition(self._config.topic, key, end) for key, end in ends.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.info("the group's offsets weren't updated: %s", error)

    def _positions(self, partitions: list[int]) -> list[TopicPartition]:
        """Where the table says that each partition goes on; forgets all that isn't committed."""
        self._assignment += 1
        self._pending = _Pending()
        offsets = self._sink.next_offsets()
        self._committed = {partition: offsets.get(partition) for partition in partitions}
        self._known_dead = {
            partition: self._sink.dead_offsets(partition, start)
            for partition, start in self._committed.items()
        }
        self._ends = {}
        self._health.partitions = sorted(partitions)
        self._metrics.assigned.set(len(partitions))
        return [
            TopicPartition(
                self._config.topic, partition, OFFSET_BEGINNING if start is None else start
            )
            for partition, start in self._committed.items()
        ]

    def _rewind(self) -> None:
        self._consumer.assign(self._positions(list(self._committed)))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        positions = self._positions([each.partition for each in partitions])
        _log.info("assigned %s", [(each.partition, each.offset) for each in positions])
        consumer.assign(positions)

    def _revoked(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._commit()
        self._forget()

    def _lost(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._forget()

    def _forget(self) -> None:
        self._assignment += 1
        self._pending = _Pending()
        self._committed, self._known_dead, self._ends = {}, {}, {}
        self._health.partitions = None
        self._metrics.assigned.set(0)

    def _endpoint_waits(self, reason: str) -> None:
        self._health.endpoint_problem = reason
        self._metrics.waits.inc()
        self._observe()

    def _observe(self) -> None:
        """The lag, now and then: what the topic has beyond the table."""
        if time.monotonic() < self._lag_due:
            return
        self._lag_due = time.monotonic() + _LAG_EVERY_SECONDS
        lags = {}
        for partition, committed in self._committed.items():
            here = TopicPartition(self._config.topic, partition)
            low, high = self._consumer.get_watermark_offsets(here, cached=True)
            done = max(committed or 0, low, 0)
            if partition not in self._pending.ends:
                # A transaction's end takes an offset, too, and no event comes with it.
                done = max(done, self._ends.get(partition, 0))
            lags[partition] = max(0, high - done)
        self._metrics.set_lags(lags)
        if self._health.lag == 0:
            self._health.progressed_at = time.monotonic()
        self._health.lag = sum(lags.values())


def _columns(events: list[Event], topic: str) -> dict[str, list[Any]]:
    return {
        "topic": [topic] * len(events),
        "partition": [event.partition for event in events],
        "offset": [event.offset for event in events],
        "event_time": [event.time for event in events],
    }


def _prediction_rows(topic: str, predicted: list[Predicted]) -> pa.Table:
    import pyarrow as pa

    names = ("event_id", "label", "probability", "model_version", "run_id", "data_snapshot")
    columns: dict[str, list[Any]] = {
        name: [getattr(row, name) for row in predicted] for name in names
    }
    columns |= _columns([row.event for row in predicted], topic)
    columns["predicted_at"] = [row.at for row in predicted]
    return pa.table(columns, schema=prediction_schema())


def _dead_letter_rows(config: ProcessorConfig, topic_id: str, dead: list[DeadLetter]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {
        "event_id": [row.event_id for row in dead],
        "reason": [row.reason for row in dead],
        "payload": [row.event.value for row in dead],
        "consumer_group": [config.group] * len(dead),
        "topic_id": [topic_id] * len(dead),
        "seen_at": [datetime.now(UTC)] * len(dead),
    }
    columns |= _columns([row.event for row in dead], config.topic)
    return pa.table(columns, schema=dead_letter_schema())


def process(config: ProcessorConfig) -> None:
    """Run a processor until SIGTERM or SIGINT."""
    processor = Processor(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: processor.stop())
    processor.run()


if __name__ == "__main__":
    main(process, ProcessorConfig)
