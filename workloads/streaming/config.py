"""The stream processor's config file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from workloads.services import ServiceConfig

_TableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
_GroupName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
_TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class ProcessorConfig(ServiceConfig):
    """``--config`` of ``python -m workloads.streaming.processor``.

    ``batch_max_events`` is the most that one request to the endpoint carries; what was predicted is
    committed every ``commit_seconds``, earlier when ``commit_max_events`` wait.
    ``session_timeout_seconds``: after so long without a sign of life another processor of ``group``
    takes over. ``drain_seconds``: how long SIGTERM waits for an endpoint that doesn't answer.
    """

    bootstrap: str = Field(min_length=1)
    topic: _TopicName
    group: _GroupName
    endpoint: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    store: Path
    table: _TableName
    metrics_port: int = Field(ge=0, le=65535)
    batch_max_events: int = Field(default=256, ge=1, le=100_000)
    commit_seconds: float = Field(default=2.0, gt=0, le=3600)
    commit_max_events: int = Field(default=20_000, ge=1, le=1_000_000)
    session_timeout_seconds: float = Field(default=6.0, ge=1, le=1800)
    endpoint_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    drain_seconds: float = Field(default=10.0, ge=0, le=600)
