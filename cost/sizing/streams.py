"""Partitions and brokers of a stream, executors of a Spark job, workers of Airflow.

Broker figures: Amazon MSK's documented best practices (partitions and sustained ingress a broker
with replication 3); Event Hubs: 1 MB/s or 1,000 events in, 2 MB/s out a throughput unit. Spark and
Airflow: the projects' tuning guides (4 to 5 cores an executor, 128 MiB a task, 16 tasks a Celery
worker).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from infra.core.errors import BadInput, Problem

_PARTITION_MIB_PER_SECOND = 5.0
_CONSUMER_MIB_PER_SECOND = 10.0
_DISK_HEADROOM = 1.3
_LEAST_BROKERS = 3


@dataclass(frozen=True)
class BrokerSize:
    """A broker type: MiB/s that producers may write to each, partitions (replicas included)."""

    name: str
    mib_per_second: float
    partitions: int


BROKERS = (
    BrokerSize("kafka.m7g.large", 4.8, 1000),
    BrokerSize("kafka.m7g.xlarge", 9.6, 1000),
    BrokerSize("kafka.m7g.2xlarge", 19.2, 2000),
    BrokerSize("kafka.m7g.4xlarge", 38.4, 4000),
    BrokerSize("kafka.m7g.8xlarge", 76.8, 4000),
    BrokerSize("kafka.m7g.12xlarge", 115.2, 4000),
    BrokerSize("kafka.m7g.16xlarge", 153.6, 4000),
)


@dataclass(frozen=True)
class StreamSize:
    """``disk_gib`` is for each broker; ``throughput_units`` is the same stream on Event Hubs."""

    partitions: int
    brokers: int
    broker_type: str
    disk_gib: int
    throughput_units: int


def size_stream(
    mib_per_second: float,
    retention_hours: float,
    *,
    partitions: int = 1,
    consumers: int = 1,
    readers: int = 1,
    replication: int = 3,
) -> StreamSize:
    """Partitions for the rate and for ``consumers`` of one group; the fewest brokers, in
    multiples of three zones, of the smallest type that carries it; disk with 30 % to spare.
    ``readers`` are consumer groups. BadInput for numbers that make no sense."""
    if not (mib_per_second > 0 and retention_hours > 0 and partitions > 0 and replication > 0):
        raise BadInput(
            Problem("a stream needs a rate, a retention, partitions", expected="above zero")
        )
    by_rate = math.ceil(mib_per_second / _PARTITION_MIB_PER_SECOND)
    by_reading = math.ceil(mib_per_second / _CONSUMER_MIB_PER_SECOND)
    count = max(partitions, by_rate, by_reading, consumers)
    best: tuple[int, BrokerSize] | None = None
    for size in BROKERS:
        need = max(
            math.ceil(mib_per_second / size.mib_per_second),
            math.ceil(count * replication / size.partitions),
            _LEAST_BROKERS,
        )
        need = math.ceil(need / _LEAST_BROKERS) * _LEAST_BROKERS
        if best is None or need < best[0]:
            best = (need, size)
    assert best is not None
    brokers, kind = best
    stored = mib_per_second * retention_hours * 3600 * replication / 1024
    disk = math.ceil(stored * _DISK_HEADROOM / brokers)
    megabytes = mib_per_second * 2**20 / 1e6
    units = math.ceil(max(megabytes, megabytes * readers / 2))
    return StreamSize(count, brokers, kind.name, disk, max(units, 1))


@dataclass(frozen=True)
class SparkSize:
    """Executors with their cores and memory; shuffle partitions of 128 MiB."""

    executors: int
    cores: int
    memory_gib: int
    shuffle_partitions: int


def size_spark(
    data_gib: float,
    deadline_minutes: float,
    *,
    mib_per_core_second: float = 25.0,
    expansion: float = 2.0,
) -> SparkSize:
    """Executors that read, shuffle and write ``data_gib`` in time.

    ``mib_per_core_second`` is what a core gets through (columnar scan, shuffle and write
    together), ``expansion`` what rows take in memory against the file. A tenth of the deadline is
    for starting up.
    """
    if not (data_gib > 0 and deadline_minutes > 0):
        raise BadInput(Problem("a Spark job needs data and a deadline", expected="above zero"))
    seconds = deadline_minutes * 60 * 0.9
    cores = max(math.ceil(data_gib * 1024 / mib_per_core_second / seconds), 1)
    each = 4
    executors = math.ceil(cores / each)
    slots = executors * each
    partitions = max(math.ceil(data_gib * 1024 / 128), slots)
    waves = math.ceil(partitions / slots)
    in_flight = data_gib * expansion / waves / executors
    memory = max(math.ceil(in_flight / 0.6) + 2, 2 * each)
    return SparkSize(executors, each, memory, math.ceil(partitions / slots) * slots)


@dataclass(frozen=True)
class AirflowSize:
    """Celery workers of 16 task slots, schedulers, and the pool's ceiling."""

    workers: int
    least_workers: int
    schedulers: int
    slots: int


def size_airflow(task_runs_per_hour: float, mean_task_minutes: float, dags: int = 1) -> AirflowSize:
    """Workers for the tasks that run at once: Little's law, plus three deviations of a Poisson
    count so that starts at the same minute don't queue."""
    if task_runs_per_hour < 0 or mean_task_minutes <= 0 or dags < 1:
        raise BadInput(Problem("Airflow needs tasks of some length", expected="above zero"))
    running = task_runs_per_hour * mean_task_minutes / 60
    slots = math.ceil(running + 3 * math.sqrt(running)) + 1
    workers = max(math.ceil(slots / 16), 1)
    return AirflowSize(workers, 1, 2 if dags > 50 or workers > 5 else 1, slots)
