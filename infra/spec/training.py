"""Training: which package, on what data, by when, and when its model is good enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from infra.spec.base import Also, Finding, Spec
from infra.spec.rules import repeated, secret_findings
from infra.spec.units import (
    MEANINGS,
    Alias,
    Count,
    Flag,
    Fraction,
    Key,
    ModelName,
    Name,
    Number,
    Scalar,
    TableName,
)

BOUND_PATTERN = "^[a-z][a-z0-9_]{0,57}_(min|max)$"
MEANINGS[BOUND_PATTERN] = "a metric's name with _min or _max behind it, such as accuracy_min"

MetricBound = Annotated[str, StringConstraints(pattern=BOUND_PATTERN)]
Degree = Annotated[Count, Field(ge=1, le=100_000)]


class Dataset(Spec):
    """A table in a store; each run reads one snapshot of it, which the lineage names."""

    store: Name = Field(description="Store that holds the table.")
    table: TableName = Field(description="Table in the store.")
    source: str | None = Field(
        default=None,
        min_length=1,
        description="File to ingest first; not given: what the package brings along.",
    )
    max_rejected_fraction: Fraction = Field(
        default=0.0,
        description="Share of rows that may break the data contract; they are kept aside.",
    )


class Work(Spec):
    """How much there is to compute; sizing turns it into machines."""

    parameters: Annotated[Count, Field(ge=1), Also("params")] | None = Field(
        default=None, description="Parameters of the model."
    )
    tokens: Annotated[Count, Field(ge=1)] | None = Field(
        default=None, description="Tokens that it is trained on, all epochs together."
    )
    samples: Annotated[Count, Field(ge=1), Also("examples", "rows")] | None = Field(
        default=None, description="Samples, where work is not counted in tokens; all epochs."
    )
    sequence_length: Annotated[Count, Field(ge=1, le=100_000_000), Also("seq_len")] | None = Field(
        default=None, description="Tokens in one sequence."
    )
    global_batch: Annotated[Count, Field(ge=1), Also("batch", "batch_size")] | None = Field(
        default=None, description="Sequences or samples in one step, all ranks together."
    )
    gflop_per_sample: Annotated[Number, Field(gt=0)] | None = Field(
        default=None, description="GFLOP of a forward and backward pass, where 6ND doesn't hold."
    )
    precision: Annotated[Literal["fp32", "tf32", "bf16", "fp16", "fp8"], Also("dtype")] = Field(
        default="bf16", description="Number format of the matrix products."
    )

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Work is counted in tokens or in samples."""
        if self.tokens is not None and self.samples is not None:
            message = "work is counted twice, in `tokens` and in `samples`"
            yield Finding(("samples",), message, "one of them", "remove one")


class Parallelism(Spec):
    """How ranks are laid out, by hand; not given, the capacity lock decides."""

    data: Degree = Field(default=1, description="Copies of the model that see different data.")
    tensor: Degree = Field(default=1, description="Ranks that share each layer.")
    pipeline: Degree = Field(default=1, description="Stages that the layers are dealt to.")
    context: Degree = Field(default=1, description="Ranks that share each sequence.")

    @property
    def world_size(self) -> int:
        """Ranks altogether."""
        return self.data * self.tensor * self.pipeline * self.context


class Preemptible(Spec):
    """Whether capacity that can be taken away is good enough."""

    allowed: Flag = Field(default=False, description="Spot or preemptible capacity may be used.")
    keep_base_fraction: Annotated[Fraction, Also("base")] = Field(
        default=0.0, description="Share of the capacity that is never preemptible."
    )

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """A base is kept of something that is allowed."""
        if self.keep_base_fraction > 0 and not self.allowed:
            message = "keeps a base of preemptible capacity that is not allowed"
            yield Finding(("keep_base_fraction",), message, fix="write `allowed: true`")


class Checkpoint(Spec):
    """How often a run can be taken up again."""

    every_steps: Annotated[Count, Field(ge=1, le=1_000_000_000)] = Field(
        default=100, description="Steps from one checkpoint to the next."
    )
    keep: Annotated[Count, Field(ge=1, le=1000)] = Field(
        default=3, description="Newest checkpoints that are kept."
    )


class Registers(Spec):
    """Where a model goes that passed its gate."""

    model: ModelName = Field(description="Name in the model registry.")
    alias: Alias = Field(default="champion", description="Alias that moves to the new version.")


class Training(Spec):
    """One training job, the same on every site."""

    sites: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20), Also("site")] = Field(
        description="Sites in order of preference; capacity falls through to the next."
    )
    package: Name = Field(description="Folder under workloads/packages/.")
    dataset: Annotated[Dataset | None, Also("data")] = Field(
        default=None, description="What it is trained on; not given: the package knows."
    )
    work: Work | None = Field(default=None, description="How much there is to compute.")
    parallelism: Parallelism | None = Field(
        default=None, description="Layout of ranks by hand; not given: from the capacity lock."
    )
    deadline_hours: Annotated[Number, Field(gt=0, le=8760)] | None = Field(
        default=None, description="Hours that a run may take; sizing reaches it."
    )
    preemptible: Annotated[Preemptible, Also("spot")] = Field(
        default_factory=Preemptible, description="Capacity that can be taken away."
    )
    hyperparameters: Annotated[Mapping[Key, Scalar], Also("params", "hparams")] = Field(
        default_factory=dict, description="Scalars for the package, by name."
    )
    seed: Annotated[Count, Field(ge=0, le=2**32 - 1)] = Field(
        default=1, description="Seed of everything random in a run."
    )
    checkpoint: Annotated[Checkpoint, Also("checkpoints")] = Field(
        default_factory=Checkpoint, description="How often a run can be taken up again."
    )
    max_restarts: Annotated[Count, Field(ge=0, le=1000), Also("restarts", "retries")] = Field(
        default=3, description="Times that a run goes on after a crash before it fails."
    )
    gate: Annotated[Mapping[MetricBound, Number], Also("gates")] = Field(
        default_factory=dict,
        description="Bounds on held-out metrics: `accuracy_min: 0.97`, `loss_max: 0.3`.",
    )
    registers: Annotated[Registers | None, Also("register", "registry")] = Field(
        default=None, description="Model that it registers; not given: the run is only logged."
    )

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Sites once each, gates that can be met, no secret among the hyperparameters."""
        yield from repeated("sites", self.sites)
        yield from secret_findings("hyperparameters", self.hyperparameters)
        for name, low in self.gate.items():
            high = self.gate.get(name.removesuffix("_min") + "_max")
            if name.endswith("_min") and high is not None and low > high:
                message = f"`{name}` is above `{name.removesuffix('_min')}_max`: nothing can pass"
                yield Finding(("gate", name), message, f"at most {high:g}")
