"""Events of a stream: JSON in, the model's inputs out, or the reason why not.

An event is ``{"id": str, "<input>": values, …}`` with one key for each input of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from workloads.serving.tensors import ANY, Array, RequestError, TensorSpec, from_json

_MAX_ID_LENGTH = 512


class BadEventError(Exception):
    """The event can't be predicted; ``event_id`` is its id where it has one."""

    def __init__(self, reason: str, event_id: str | None = None) -> None:
        super().__init__(reason)
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class Event:
    """One record of a topic, as it came."""

    value: bytes
    partition: int
    offset: int
    time: datetime | None


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """An event whose ``inputs`` fit the model, each with a first dimension of 1."""

    event: Event
    event_id: str
    inputs: dict[str, Array]


def event_of(message: Any) -> Event:
    """A message of Kafka's client as an event."""
    kind, timestamp_ms = message.timestamp()
    time = datetime.fromtimestamp(timestamp_ms / 1000, UTC) if kind else None
    return Event(message.value() or b"", message.partition(), message.offset(), time)


def parse_event(event: Event, specs: Sequence[TensorSpec]) -> ParsedEvent:
    """Read an event for a model with inputs ``specs``; raises ``BadEventError``."""
    try:
        value = orjson.loads(event.value)
    except orjson.JSONDecodeError as error:
        raise BadEventError(f"not JSON: {error}") from None
    if type(value) is not dict:
        raise BadEventError("not a JSON object")
    event_id = value.get("id")
    if type(event_id) is not str or not 0 < len(event_id) <= _MAX_ID_LENGTH:
        raise BadEventError(f'"id" must be a string of 1 to {_MAX_ID_LENGTH} characters')
    inputs = {}
    for spec in specs:
        if spec.name not in value:
            raise BadEventError(f"{spec.name!r} is missing", event_id)
        try:
            inputs[spec.name] = _row(spec, value[spec.name])
        except RequestError as error:
            raise BadEventError(str(error), event_id) from None
    return ParsedEvent(event, event_id, inputs)


def _row(spec: TensorSpec, value: Any) -> Array:
    """One row for ``spec``: the sizes that the model fixes, else those of the nested lists."""
    nested: list[int] = [1]
    level = value
    while type(level) is list and len(nested) <= len(spec.shape):
        nested.append(len(level))
        level = level[0] if level else None
    free = ANY in spec.shape[1:]
    shape = spec.check_shape(nested if free else [1, *spec.shape[1:]])
    return from_json(spec, shape, [value])
