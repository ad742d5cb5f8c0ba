"""The processor in the test's process, against a real broker and a real endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from onnx import TensorProto, helper, numpy_helper

from tests.support.kafka import KafkaBroker
from tests.support.onnx_models import write
from tests.support.processes import free_port, wait_until
from tests.support.serving import running_server, server_config
from tests.support.streams import (
    LINEAGE,
    Stream,
    dead,
    digit,
    http_get,
    model_config,
    send,
)
from workloads.data.tables import TableStore
from workloads.streaming.config import ProcessorConfig
from workloads.streaming.processor import Processor
from workloads.streaming.topics import delete_topic, ensure_topic


@pytest.fixture
def stream(tmp_path: Path, kafka_broker: KafkaBroker) -> Stream:
    return Stream(tmp_path, kafka_broker, partitions=1)


@contextmanager
def endpoint(stream: Stream, *models: dict[str, Any]) -> Iterator[None]:
    """The stream's endpoint in a thread, on the port that its processors know."""
    config = server_config(*(models or [model_config(stream.directory)]), port=stream.endpoint_port)
    with running_server(config):
        yield


@contextmanager
def processing(stream: Stream, **changes: Any) -> Iterator[Processor]:
    """A processor in a thread; stopped, and with it finished, at the end."""
    config = stream.processor_config(0) | {"drain_seconds": 0.2} | changes
    processor = Processor(ProcessorConfig.model_validate(config))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            processor.run()
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield processor
    finally:
        processor.stop()
        thread.join(30)
        assert not thread.is_alive()
        assert not failures


def ids(stream: Stream) -> list[str]:
    """The ids of all predictions."""
    found: list[str] = stream.predictions()["event_id"].to_pylist()
    return found


def health(processor: Processor) -> str:
    """The reason on the health page."""
    return str(json.loads(http_get(processor.status.port, "/healthz")[1])["reason"])


def _is_healthy(port: int) -> bool:
    return http_get(port, "/healthz")[0] == 200


def test_malformed_events_are_kept_aside_and_counted(stream: Stream) -> None:
    bad = [b"\xff", b"[]", {"id": "x"}, {"id": "y", "pixels": ["a"] * 64}, b""]
    send(stream, [digit(0), *bad, digit(1)])
    for _ in range(2):  # a second run finds nothing to do
        with endpoint(stream), processing(stream) as processor:
            wait_until(lambda: stream.count() == 2, 30, "predictions")
            port = processor.status.port
            wait_until(partial(_is_healthy, port))
            page = http_get(processor.status.port, "/metrics")[1]
    assert 'outcome="dead_letter",topic' in page
    assert sorted(ids(stream)) == ["e0", "e1"]
    rows = dead(stream)
    assert [row["offset"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["event_id"] for row in rows] == [None, None, "x", "y", None]
    assert rows[0]["payload"] == b"\xff"
    assert "not JSON" in rows[0]["reason"] and "pixels" in rows[2]["reason"]


def test_it_waits_for_its_endpoint_and_says_so(stream: Stream) -> None:
    send(stream, [digit(number) for number in range(120)])
    with processing(stream) as processor:
        wait_until(lambda: "endpoint: http" in health(processor), 20, "the reason")
        with endpoint(stream):
            wait_until(lambda: stream.count() == 120, 30, "predictions")
        send(stream, [digit(number) for number in range(120, 130)])
        wait_until(lambda: "endpoint: http" in health(processor), 20, "the reason")
    assert stream.count() == 120  # stopped while it waited: what it read isn't lost
    with endpoint(stream), processing(stream):
        wait_until(lambda: stream.count() == 130, 30, "the rest")
    assert len(set(ids(stream))) == 130


def test_it_can_be_stopped_before_there_is_a_topic_or_an_endpoint(stream: Stream) -> None:
    with processing(stream, topic="nothing-here") as processor:
        wait_until(lambda: health(processor), 20, "its page")
    with processing(stream, bootstrap=f"127.0.0.1:{free_port()}"):
        pass
    with processing(stream):
        pass
    assert stream.count() == 0


def test_a_topic_that_comes_late(stream: Stream) -> None:
    stream.topic = stream.broker.new_topic_name()
    with endpoint(stream), processing(stream):
        ensure_topic(stream.broker.bootstrap, stream.topic, 1, 1)
        send(stream, [digit(1)])
        wait_until(lambda: stream.count() == 1, 30, "the prediction")


def test_a_topic_made_again_is_read_from_its_start(stream: Stream) -> None:
    with endpoint(stream):
        with processing(stream):
            send(stream, [digit(number) for number in range(5)])
            wait_until(lambda: stream.count() == 5, 30, "the first")
        delete_topic(stream.broker.bootstrap, stream.topic)
        ensure_topic(stream.broker.bootstrap, stream.topic, 1, 1)
        send(stream, [digit(number) for number in range(5, 8)])
        with processing(stream):
            wait_until(lambda: stream.count() == 8, 30, "the rest")
    assert len(set(ids(stream))) == 8


def test_events_that_expired_unread_are_counted(stream: Stream) -> None:
    with endpoint(stream):
        with processing(stream):
            send(stream, [digit(number) for number in range(3)])
            wait_until(lambda: stream.count() == 3, 30, "the first")
        send(stream, [digit(number) for number in range(3, 10)])
        admin = AdminClient({"bootstrap.servers": stream.broker.bootstrap})
        for future in admin.delete_records([TopicPartition(stream.topic, 0, 7)]).values():
            future.result(20)
        with processing(stream) as processor:
            wait_until(lambda: stream.count() == 6, 30, "the rest")
            page = http_get(processor.status.port, "/metrics")[1]
    assert f'mlscale_stream_lost_events_total{{group="predict",topic="{stream.topic}"}} 4.0' in page
    assert sorted(ids(stream)) == ["e0", "e1", "e2", "e7", "e8", "e9"]


def _picky(stream: Stream, outputs: Sequence[str] = ("label", "probabilities")) -> dict[str, Any]:
    """A model that takes indices 0 to 3 and refuses a batch with any other."""
    path = stream.directory / "picky.onnx"
    table = numpy_helper.from_array(np.eye(4, dtype=np.float32), "table")
    values = {
        "label": helper.make_tensor_value_info(outputs[0], TensorProto.INT64, ["n"]),
        "probabilities": helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, ["n", 4]),
    }
    nodes = [
        helper.make_node("Gather", ["table", "index"], [outputs[1]]),
        helper.make_node("ArgMax", [outputs[1]], [outputs[0]], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("index", TensorProto.INT64, ["n"])]
    sha256 = write(path, nodes, inputs, list(values.values()), [table])
    base = {"name": "digits", "version": "1", "path": path, "sha256": sha256}
    return base | {"lineage": LINEAGE}


def test_events_that_the_model_refuses_dont_take_their_batch_along(stream: Stream) -> None:
    send(stream, [{"id": f"e{number}", "index": number % 7} for number in range(40)])
    with endpoint(stream, _picky(stream)), processing(stream):
        good = [number for number in range(40) if number % 7 < 4]
        wait_until(lambda: stream.count() == len(good), 30, "predictions")
    assert sorted(ids(stream)) == sorted(f"e{number}" for number in good)
    assert [row["event_id"] for row in dead(stream)] == [
        f"e{number}" for number in range(40) if number % 7 >= 4
    ]
    assert all("refuses these values" in row["reason"] for row in dead(stream))


def test_a_model_with_other_outputs_is_waited_out(stream: Stream) -> None:
    send(stream, [{"id": "e1", "index": 2}])
    with processing(stream) as processor:
        with endpoint(stream, _picky(stream, ("class", "score"))):
            wait_until(lambda: "must give label" in health(processor), 30, "the reason")
        with endpoint(stream, _picky(stream)):
            wait_until(lambda: stream.count() == 1, 30, "the prediction")
    assert stream.predictions()["label"].to_pylist() == [2]


def test_a_model_with_another_input_takes_over(stream: Stream) -> None:
    """What the old signature would refuse is judged by the model that answers now."""
    with processing(stream) as processor:
        with endpoint(stream):
            wait_until(lambda: health(processor) == "None", 30, "assignment")
        with endpoint(stream, _picky(stream)):
            send(stream, [{"id": "e1", "index": 2}])
            wait_until(lambda: stream.count() == 1, 30, "the prediction")
    assert dead(stream) == []


def test_two_processors_share_and_take_over(tmp_path: Path, kafka_broker: KafkaBroker) -> None:
    stream = Stream(tmp_path, kafka_broker, partitions=2)
    with endpoint(stream), ExitStack() as first_stack:
        first = first_stack.enter_context(processing(stream))
        wait_until(lambda: health(first) == "None", 30, "the first's assignment")
        with processing(stream) as second:
            wait_until(lambda: health(second) == "None", 30, "the second's assignment")
            send(stream, [digit(number) for number in range(300)])
            wait_until(lambda: stream.count() >= 300, 30, "predictions")
            first_stack.close()
            send(stream, [digit(number) for number in range(300, 400)])
            wait_until(lambda: stream.count() >= 400, 30, "the rest")
    assert len(ids(stream)) == len(set(ids(stream))) == 400
    assert "digits_predictions" in TableStore(stream.store).names()
