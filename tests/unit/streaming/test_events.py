"""Events that fit a model, and the reasons of those that don't."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.serving.tensors import TensorSpec
from workloads.streaming.events import BadEventError, Event, parse_event

PIXELS = TensorSpec("pixels", "FP32", (-1, 4))


def _event(value: object) -> Event:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Event(raw, 0, 7, None)


def test_a_good_event() -> None:
    parsed = parse_event(_event({"id": "a", "pixels": [1, 2.5, 3, 4], "more": None}), [PIXELS])
    assert parsed.event_id == "a"
    assert parsed.inputs["pixels"].dtype == np.float32
    np.testing.assert_array_equal(parsed.inputs["pixels"], [[1, 2.5, 3, 4]])


def test_shapes_of_rows() -> None:
    scalar, image = TensorSpec("index", "INT64", (-1,)), TensorSpec("image", "FP64", (-1, -1, 2))
    parsed = parse_event(
        _event({"id": "a", "index": 3, "image": [[1, 2], [3, 4]]}), [scalar, image]
    )
    assert parsed.inputs["index"].tolist() == [3]
    assert parsed.inputs["image"].shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("value", "reason", "event_id"),
    [
        (b"", "not JSON", None),
        (b"\xff\xfe", "not JSON", None),
        ([1], "not a JSON object", None),
        ({"pixels": [1, 2, 3, 4]}, '"id" must be', None),
        ({"id": "", "pixels": [1, 2, 3, 4]}, '"id" must be', None),
        ({"id": "x" * 600, "pixels": []}, '"id" must be', None),
        ({"id": "a"}, "'pixels' is missing", "a"),
        ({"id": "a", "pixels": [1, 2, 3]}, "needs 4 values", "a"),
        ({"id": "a", "pixels": ["1", "2", "3", "4"]}, "must be FP32 values", "a"),
        ({"id": "a", "pixels": [1, 2, 3, 1e300]}, "beyond FP32", "a"),
        ({"id": "a", "pixels": {"0": 1}}, "needs 4 values", "a"),
    ],
)
def test_bad_events(value: object, reason: str, event_id: str | None) -> None:
    with pytest.raises(BadEventError, match=reason) as caught:
        parse_event(_event(value), [PIXELS])
    assert caught.value.event_id == event_id


@given(st.binary(max_size=100))
def test_any_bytes_are_an_event_or_a_reason(raw: bytes) -> None:
    try:
        parse_event(_event(raw), [PIXELS])
    except BadEventError as error:
        assert str(error)
