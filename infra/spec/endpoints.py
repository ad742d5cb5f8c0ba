"""Endpoints: a registered model that answers requests, and keeps its promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from infra.spec.base import Also, Finding, Spec
from infra.spec.releases import Release
from infra.spec.rules import repeated
from infra.spec.units import MEANINGS, Count, Flag, Name, Number, TableName

MODEL_PATTERN = (
    r"^models:/[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}(@[a-z][a-z0-9_-]{0,62}|/[1-9][0-9]{0,8})$"
)
MEANINGS[MODEL_PATTERN] = "models:/name@alias or models:/name/version"

Runtime = Literal[
    "onnx",
    "pytorch",
    "tensorflow",
    "triton",
    "kserve",
    "vllm",
    "tfserving",
    "torchserve",
    "sagemaker",
    "vertex",
    "azureml",
    "serverless",
]


class Slo(Spec):
    """What the endpoint promises; sizing and gates work towards it."""

    p95_ms: Annotated[Number, Field(gt=0, le=600_000), Also("p95", "latency")] | None = Field(
        default=None, description="95th percentile of latency, in milliseconds."
    )
    p99_ms: Annotated[Number, Field(gt=0, le=600_000), Also("p99")] | None = Field(
        default=None, description="99th percentile of latency, in milliseconds."
    )
    requests_per_second: (
        Annotated[Number, Field(gt=0, le=100_000_000), Also("rps", "qps", "rate", "throughput")]
        | None
    ) = Field(default=None, description="Peak load, in requests a second.")
    availability: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Share of requests that are answered, such as 0.999."
    )

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Percentiles in order."""
        if self.p95_ms is not None and self.p99_ms is not None and self.p99_ms < self.p95_ms:
            message = "`p99_ms` is below `p95_ms`"
            yield Finding(("p99_ms",), message, f"at least {self.p95_ms:g}")


class Batching(Spec):
    """Requests that arrive together are computed together."""

    max_rows: Annotated[Count, Field(ge=1, le=65_536)] = Field(
        default=64, description="Rows in one computation."
    )
    max_delay_ms: Annotated[Number, Field(ge=0, le=10_000)] = Field(
        default=2.0, description="Longest wait for company, in milliseconds."
    )


class Streaming(Spec):
    """Predicts the events of a stream, each once, and writes them to a table."""

    stream: Annotated[Name, Also("source")] = Field(
        alias="from", description="Stream whose events are predicted."
    )
    store: Name = Field(description="Store that holds the table.")
    table: TableName = Field(description="Table that predictions are written to.")
    batch_max_events: Annotated[Count, Field(ge=1, le=1_000_000)] = Field(
        default=256, description="Events in one request."
    )
    commit_seconds: Annotated[Number, Field(gt=0, le=3600)] = Field(
        default=1.0, description="Seconds from one commit of the table to the next."
    )


class Endpoint(Spec):
    """One model behind one address, on one site or several."""

    sites: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20), Also("site")] = Field(
        description="Sites that serve it."
    )
    model: Annotated[str, StringConstraints(pattern=MODEL_PATTERN)] = Field(
        description="Model of the registry: models:/name@alias or models:/name/version."
    )
    runtime: Annotated[Runtime, Also("engine", "server", "framework")] = Field(
        default="onnx", description="What computes the predictions."
    )
    replicas: Annotated[Count, Field(ge=1, le=10_000), Also("instances", "count")] = Field(
        default=1, description="Servers on each site, at least."
    )
    scale_to_zero: Flag = Field(default=False, description="None runs while nobody asks.")
    slo: Slo = Field(default_factory=Slo, description="What it promises.")
    batching: Batching = Field(default_factory=Batching, description="Dynamic batching.")
    release: Release = Field(default_factory=Release, description="How a new version takes over.")
    streaming: Streaming | None = Field(
        default=None, description="Predict a stream's events into a table."
    )

    @property
    def model_name(self) -> str:
        """The model's name in the registry, without alias or version."""
        return self.model.removeprefix("models:/").partition("@")[0].partition("/")[0]

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Each site once."""
        yield from repeated("sites", self.sites)
