"""Predictions for a batch of events, however often the endpoint must be asked."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from workloads.serving.client import (
    EndpointRejectedError,
    EndpointUnavailableError,
    InferenceClient,
    Prediction,
)
from workloads.serving.tensors import TensorSpec
from workloads.streaming.events import BadEventError, Event, ParsedEvent, parse_event

_log = logging.getLogger("mlscale.stream")
_T = TypeVar("_T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
# The statuses that are about these very events; any other may pass (rights, a missing model).
_ABOUT_THE_EVENTS = {400, 413, 422}


class StoppedError(Exception):
    """The processor was told to stop while the endpoint didn't answer."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One event with its prediction and the lineage of the model that made it."""

    event: Event
    event_id: str
    label: int
    probability: float
    model_version: str
    run_id: str
    data_snapshot: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that can't be predicted, and why."""

    event: Event
    event_id: str | None
    reason: str


@dataclass(slots=True)
class Verdicts:
    """Every event of a batch is in exactly one of the two."""

    predicted: list[Predicted] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


class Predictor:
    """Asks ``client`` until it answers. ``on_wait(reason)`` is called before each further try."""

    def __init__(
        self, client: InferenceClient, stop: threading.Event, on_wait: Callable[[str], None]
    ) -> None:
        self._client = client
        self._stop = stop
        self._on_wait = on_wait
        self._specs: list[TensorSpec] | None = None

    def connect(self) -> None:
        """Wait until the endpoint tells its model's inputs; raises ``StoppedError``."""
        self._specs = self._until_answered(self._client.inputs)

    def predict(self, events: Sequence[Event]) -> Verdicts:
        """A verdict for each event; raises ``StoppedError``."""
        while True:
            if self._specs is None:
                self.connect()
            specs = self._specs or []
            verdicts = Verdicts()
            parsed = []
            for event in events:
                try:
                    parsed.append(parse_event(event, specs))
                except BadEventError as error:
                    verdicts.dead.append(DeadLetter(event, error.event_id, str(error)))
            if parsed:
                self._infer(parsed, verdicts)
            if not verdicts.dead:
                return verdicts
            # Something was refused: by this model, or by one that another has replaced meanwhile?
            self.connect()
            if self._specs == specs:
                return verdicts

    def _infer(self, parsed: list[ParsedEvent], verdicts: Verdicts) -> None:
        """Predict ``parsed``, halving a refused batch down to the culprits."""
        inputs = {
            name: np.concatenate([each.inputs[name] for each in parsed])
            for name in parsed[0].inputs
        }
        try:
            rows = self._until_answered(lambda: _rows(parsed, self._client.infer(inputs)))
            verdicts.predicted += rows
        except EndpointRejectedError as error:
            if len(parsed) == 1:
                dead = DeadLetter(parsed[0].event, parsed[0].event_id, f"the endpoint: {error}")
                verdicts.dead.append(dead)
                return
            middle = len(parsed) // 2
            self._infer(parsed[:middle], verdicts)
            self._infer(parsed[middle:], verdicts)

    def _until_answered(self, ask: Callable[[], _T]) -> _T:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return ask()
            except EndpointRejectedError as error:
                if error.status in _ABOUT_THE_EVENTS:
                    raise
                reason, wait = str(error), pause
            except EndpointUnavailableError as error:
                reason, wait = str(error), error.retry_after_seconds or pause
            _log.warning("no prediction yet, next try in %.1f s: %s", wait, reason)
            self._on_wait(reason)
            # Jitter, so that several processors don't come back in step.
            if self._stop.wait(wait * random.uniform(0.5, 1.0)):
                raise StoppedError(reason)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _rows(parsed: Sequence[ParsedEvent], prediction: Prediction) -> list[Predicted]:
    try:
        labels = prediction.outputs["label"].reshape(len(parsed)).tolist()
        scores = prediction.outputs["probabilities"].reshape(len(parsed), -1).max(axis=1).tolist()
    except (KeyError, ValueError) as error:
        raise EndpointUnavailableError(
            f"the model must give label [batch] and probabilities [batch, classes]: {error!r}"
        ) from None
    lineage, at = prediction.lineage, datetime.now(UTC)
    return [
        Predicted(
            event=each.event,
            event_id=each.event_id,
            label=label,
            probability=score,
            model_version=lineage.model_version,
            run_id=lineage.run_id,
            data_snapshot=lineage.data_snapshot,
            at=at,
        )
        for each, label, score in zip(parsed, labels, scores, strict=True)
    ]
