"""How far a run is: a small file that rank 0 rewrites and launchers read."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from workloads.jobs import write_json_atomically
from workloads.training.context import RunContext

_STATUS_SECONDS = 0.5


class StatusFile:
    """Rank 0's word on how far it is, for whoever launched it; at most twice a second."""

    def __init__(self, context: RunContext) -> None:
        self._path = context.status
        self._last = 0.0

    def __call__(self, status: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self._path is not None and (
            now - self._last >= _STATUS_SECONDS or status["step"] == status["steps"]
        ):
            self._last = now
            write_json_atomically(self._path, dict(status))


def read_status(text: str) -> tuple[str, float]:
    """A status as ``(message, fraction)`` for people."""
    status = json.loads(text)
    message = (
        f"epoch {status['epoch']}/{status['epochs']}, step {status['step']}/{status['steps']},"
        f" loss {status['loss']:.4f}"
    )
    return message, status["step"] / status["steps"]
