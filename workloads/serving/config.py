"""The model server's config file: what it serves, where, and within which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from workloads.services import ServiceConfig

# What may stand in a URL path segment and in a header unescaped.
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,256}$")]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Lineage(ServiceConfig):
    """Where a model came from; every prediction says so in its headers."""

    run_id: _HeaderValue
    model_version: _HeaderValue
    data_snapshot: _HeaderValue
    code_sha256: _HeaderValue

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The four ``x-mlscale-*`` response headers."""
        return [
            (f"x-mlscale-{key.replace('_', '-')}".encode(), value.encode())
            for key, value in self.model_dump().items()
        ]


class Batching(ServiceConfig):
    """How requests share a run of the model.

    ``mode``: ``loop`` runs the model in the event loop (no hand-over; best below about 0.25 ms a
    run), ``thread`` in a thread beside it, ``auto`` measures at warm-up. A batch is what queued
    while the server was busy, never more than ``max_batch_rows``; nothing waits for a batch to
    fill. ``queue_limit`` requests may wait; the next is answered 429.
    """

    mode: Literal["auto", "loop", "thread"] = "auto"
    max_batch_rows: int = Field(default=128, ge=1, le=65536)
    queue_limit: int = Field(default=1024, ge=1, le=1_000_000)


class ModelConfig(ServiceConfig):
    """One version of one model: a file whose content must be the one that was approved."""

    name: _Name
    version: _Name
    path: Path
    sha256: _Sha256
    lineage: Lineage
    batching: Batching = Batching()


class ServerConfig(ServiceConfig):
    """``--config`` of ``python -m workloads.serving``; ``port`` 0 takes a free one.

    ``drain_seconds``: after SIGTERM, how long new requests are still answered while
    ``/v2/health/ready`` says 503, so that a balancer can look away; ``shutdown_seconds``: how long
    requests in flight get after that.
    """

    name: _Name
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    models: tuple[ModelConfig, ...] = Field(min_length=1)
    payload_limit_mib: float = Field(default=8, gt=0, le=2048)
    body_timeout_seconds: float = Field(default=30, gt=0)
    drain_seconds: float = Field(default=0, ge=0, le=3600)
    shutdown_seconds: int = Field(default=20, ge=1, le=3600)

    @model_validator(mode="after")
    def _each_version_once(self) -> ServerConfig:
        seen: set[tuple[str, str]] = set()
        for model in self.models:
            key = (model.name, model.version)
            if key in seen:
                raise ValueError(f"model {model.name} version {model.version} is declared twice")
            seen.add(key)
        return self
