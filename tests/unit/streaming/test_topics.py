"""Topics on a real broker."""

from __future__ import annotations

import pytest

from infra.core.errors import BadInput, MissingTool, Unsupported
from tests.support.kafka import KafkaBroker
from tests.support.processes import free_port
from workloads.streaming.topics import delete_topic, describe_topic, ensure_topic


def test_a_topic_lives_grows_and_dies(kafka_broker: KafkaBroker) -> None:
    bootstrap, name = kafka_broker.bootstrap, kafka_broker.new_topic_name()
    assert describe_topic(bootstrap, name) is None
    made = ensure_topic(bootstrap, name, 2, 1.5, {"max.message.bytes": "2000000"})
    assert made["partitions"] == 2
    assert made["retention_hours"] == 1.5
    assert made["config"]["max.message.bytes"] == "2000000"
    assert ensure_topic(bootstrap, name, 2, 1.5) == made
    grown = ensure_topic(bootstrap, name, 3, 24)
    assert (grown["partitions"], grown["retention_hours"]) == (3, 24)
    assert grown["topic_id"] == made["topic_id"]
    with pytest.raises(Unsupported, match="can't shrink to 1"):
        ensure_topic(bootstrap, name, 1, 24)
    assert delete_topic(bootstrap, name)
    assert not delete_topic(bootstrap, name)
    again = ensure_topic(bootstrap, name, 1, 24)
    assert again["topic_id"] != made["topic_id"]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("no spaces please", {}),
        ("fine", {"max.message.bytes": "lots"}),
        ("fine", {"nonsense": "1"}),
    ],
)
def test_the_brokers_refusal_is_told(
    kafka_broker: KafkaBroker, name: str, config: dict[str, str]
) -> None:
    with pytest.raises(BadInput, match="the broker refuses it"):
        ensure_topic(kafka_broker.bootstrap, name, 1, 1, config)


def test_no_broker_is_one_error_in_time() -> None:
    with pytest.raises(MissingTool, match="no Kafka broker answers"):
        ensure_topic(f"127.0.0.1:{free_port()}", "events", 1, 1, timeout_seconds=1.5)
