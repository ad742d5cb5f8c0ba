"""Topics of a broker: ensure, describe, delete. Every call ends within its time-out.

Partitions grow in place; they never shrink, because Kafka can't give a record another partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from infra.core.errors import BadInput, MissingTool, Problem, Refused, Unsupported

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TIMEOUT_SECONDS = 30.0
_RETENTION = "retention.ms"
_HOUR_MS = 3_600_000

_T = TypeVar("_T")


def ensure_topic(
    bootstrap: str,
    name: str,
    partitions: int,
    retention_hours: float,
    config: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """Make the topic what is asked, and describe it as :func:`describe_topic` does.

    ``config`` are further topic settings of Kafka. Raises ``BadInput`` (an illegal name or setting),
    ``Unsupported`` (fewer partitions than there are), ``MissingTool`` (no broker answers).
    """
    from confluent_kafka import KafkaError
    from confluent_kafka.admin import NewPartitions, NewTopic

    wanted = {_RETENTION: str(round(retention_hours * _HOUR_MS)), **(config or {})}
    deadline = time.monotonic() + timeout_seconds
    admin = _admin(bootstrap)
    found = describe_topic(bootstrap, name, timeout_seconds)
    if found is None:
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=wanted)
        _wait(
            lambda left: admin.create_topics([topic], operation_timeout=left, request_timeout=left),
            bootstrap,
            deadline,
            ignore=KafkaError.TOPIC_ALREADY_EXISTS,
        )
        found = _described(bootstrap, name, deadline)
    if partitions < found["partitions"]:
        raise Unsupported(
            Problem(
                f"topic {name} has {found['partitions']} partitions and can't shrink to {partitions}",
                path=name,
                expected=f"at least {found['partitions']} partitions",
                fix="keep the number, or delete the topic and its events first",
            )
        )
    if partitions > found["partitions"]:
        growth = NewPartitions(name, partitions)
        _wait(
            lambda left: admin.create_partitions(
                [growth], operation_timeout=left, request_timeout=left
            ),
            bootstrap,
            deadline,
        )
    changed = {key: value for key, value in wanted.items() if found["config"].get(key) != value}
    if changed:
        _set_config(admin, name, changed, bootstrap, deadline)
    while True:  # the broker's metadata follows its controller
        found = _described(bootstrap, name, deadline)
        settled = all(found["config"].get(key) == value for key, value in wanted.items())
        if (found["partitions"] >= partitions and settled) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def describe_topic(
    bootstrap: str, name: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> dict[str, Any] | None:
    """``{topic, topic_id, partitions, retention_hours, config}``, or None when there is none.

    ``config`` has the settings that differ from the broker's. Raises ``MissingTool``.
    """
    from confluent_kafka import KafkaError, KafkaException, TopicCollection
    from confluent_kafka.admin import ConfigResource, ConfigSource, ResourceType

    deadline = time.monotonic() + timeout_seconds
    admin = _admin(bootstrap)
    try:
        description = _wait(
            lambda left: admin.describe_topics(TopicCollection([name]), request_timeout=left),
            bootstrap,
            deadline,
        )
        resource = ConfigResource(ResourceType.TOPIC, name)
        entries = _wait(
            lambda left: admin.describe_configs([resource], request_timeout=left),
            bootstrap,
            deadline,
        )
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    retention_ms = int(entries[_RETENTION].value)
    return {
        "topic": name,
        "topic_id": str(description.topic_id),
        "partitions": len(description.partitions),
        "retention_hours": retention_ms / _HOUR_MS if retention_ms >= 0 else None,
        "config": {key: entry.value for key, entry in entries.items() if entry.source == own},
    }


def delete_topic(bootstrap: str, name: str, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """Delete the topic with its events; False when there was none. Raises ``MissingTool``."""
    from confluent_kafka import KafkaError

    deadline = time.monotonic() + timeout_seconds
    if describe_topic(bootstrap, name, timeout_seconds) is None:
        return False
    admin = _admin(bootstrap)
    _wait(
        lambda left: admin.delete_topics([name], operation_timeout=left, request_timeout=left),
        bootstrap,
        deadline,
        ignore=KafkaError.UNKNOWN_TOPIC_OR_PART,
    )
    while describe_topic(bootstrap, name, timeout_seconds) is not None:
        if time.monotonic() > deadline:
            raise Refused(Problem(f"topic {name} is still there after {timeout_seconds:g} s"))
        time.sleep(0.05)
    return True


def _admin(bootstrap: str) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    # No log_level below 3: connection errors come back as typed errors from the calls.
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 2, "socket.timeout.ms": 10000})


def _described(bootstrap: str, name: str, deadline: float) -> dict[str, Any]:
    """The topic that was just made; the broker may not know it for a moment."""
    while True:
        found = describe_topic(bootstrap, name, max(1.0, deadline - time.monotonic()))
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise _unreachable(bootstrap, f"topic {name} doesn't appear")
        time.sleep(0.05)


def _set_config(
    admin: AdminClient, name: str, values: Mapping[str, str], bootstrap: str, deadline: float
) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in values.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    _wait(
        lambda left: admin.incremental_alter_configs([resource], request_timeout=left),
        bootstrap,
        deadline,
    )


def _wait(
    call: Callable[[float], Mapping[Any, Any]],
    bootstrap: str,
    deadline: float,
    ignore: int | None = None,
) -> Any:
    """The only result of an admin call; Kafka's errors as ours."""
    from confluent_kafka import KafkaError, KafkaException

    left = max(1.0, deadline - time.monotonic())
    (future,) = call(left).values()
    try:
        return future.result(timeout=left + 1)
    except TimeoutError:
        raise _unreachable(bootstrap, "no answer") from None
    except KafkaException as error:
        kafka: KafkaError = error.args[0]
        if ignore is not None and kafka.code() == ignore:
            return None
        if kafka.code() in (
            KafkaError.TOPIC_EXCEPTION,
            KafkaError.INVALID_CONFIG,
            KafkaError.INVALID_PARTITIONS,
            KafkaError._INVALID_ARG,
        ):
            raise BadInput(Problem(f"the broker refuses it: {kafka.str()}")) from None
        if kafka.code() in (
            KafkaError._TIMED_OUT,
            KafkaError._TRANSPORT,
            KafkaError._ALL_BROKERS_DOWN,
            KafkaError._RESOLVE,
        ):
            raise _unreachable(bootstrap, kafka.str()) from None
        raise


def _unreachable(bootstrap: str, why: str) -> MissingTool:
    return MissingTool(
        Problem(
            f"no Kafka broker answers at {bootstrap}: {why}",
            expected="a running broker",
            fix="start the stack that has it (mlscale up), or look at its log",
        )
    )
