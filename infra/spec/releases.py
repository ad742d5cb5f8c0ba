"""How a new model version takes over an endpoint, and what makes it go back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from infra.spec.base import Also, Finding, Spec
from infra.spec.units import Count, Fraction, Key, Name, Number

Percent = Annotated[Count, Field(ge=1, le=100)]
Strategy = Literal["rolling", "canary", "blue-green", "shadow", "ab"]
DEFAULT_STEPS = (5, 25, 50, 100)


class Query(Spec):
    """A bound on any PromQL query."""

    promql: str = Field(min_length=1, max_length=4000, description="Query with one value.")
    min: Number | None = Field(default=None, description="Smallest value that passes.")
    max: Number | None = Field(default=None, description="Largest value that passes.")

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """At least one bound, and not crossed."""
        if self.min is None and self.max is None:
            yield Finding(("max",), "a query without a bound decides nothing", "`min` or `max`")
        elif self.min is not None and self.max is not None and self.min > self.max:
            yield Finding(("min",), "`min` is above `max`: nothing can pass", f"≤ {self.max:g}")


class Gates(Spec):
    """What has to hold while a release goes on; too little data is not success."""

    error_rate_max: Annotated[Fraction, Also("errors", "error_rate")] | None = Field(
        default=None, description="Share of requests that may fail."
    )
    p95_ms_max: Annotated[Number, Field(gt=0), Also("p95")] | None = Field(
        default=None, description="95th percentile of latency, in milliseconds."
    )
    p99_ms_max: Annotated[Number, Field(gt=0), Also("p99")] | None = Field(
        default=None, description="99th percentile of latency, in milliseconds."
    )
    score_drift_max: Annotated[Number, Field(gt=0), Also("drift")] | None = Field(
        default=None, description="Population stability index of scores against the champion."
    )
    min_requests: Annotated[Count, Field(ge=1)] = Field(
        default=100, description="Requests that a step needs before its gates are read."
    )
    queries: Mapping[Name, Query] = Field(
        default_factory=dict, description="Further bounds, by name."
    )


class Experiment(Spec):
    """An A/B test with a sequential decision (always-valid p-values)."""

    metric: Key = Field(description="Metric that decides.")
    minimum_effect: Annotated[Number, Field(gt=0)] = Field(
        description="Smallest relative difference worth finding."
    )
    significance: Annotated[Number, Field(gt=0, lt=1)] = Field(
        default=0.05, description="Rate of false alarms, peeking included."
    )
    power: Annotated[Number, Field(gt=0, lt=1)] = Field(
        default=0.8, description="Chance to see an effect of the smallest size."
    )
    max_hours: Annotated[Number, Field(gt=0, le=8760)] = Field(
        default=336.0, description="Hours after which it ends undecided."
    )


class Release(Spec):
    """One strategy, its steps and its gates."""

    strategy: Strategy = Field(default="rolling", description="How traffic moves over.")
    steps: tuple[Percent, ...] = Field(
        default=(),
        max_length=50,
        description="canary: percent of traffic, ascending, ending in 100 (5, 25, 50, 100).",
    )
    bake_minutes: Annotated[Number, Field(ge=0, le=10_080), Also("bake", "wait")] = Field(
        default=1.0, description="Minutes that each step is watched before the next."
    )
    gates: Annotated[Gates, Also("gate")] = Field(
        default_factory=Gates, description="What has to hold at every step."
    )
    on_breach: Literal["rollback", "pause"] = Field(
        default="rollback", description="What happens when a gate is broken."
    )
    approvals: Annotated[Count, Field(ge=0, le=5)] = Field(
        default=0, description="People who have to approve before it starts."
    )
    mirror_percent: Percent | None = Field(
        default=None, description="shadow: percent of requests that are copied (100)."
    )
    split_percent: Annotated[Count, Field(ge=1, le=99)] | None = Field(
        default=None, description="ab: percent of traffic for the challenger (50)."
    )
    experiment: Experiment | None = Field(default=None, description="ab: what decides.")

    def traffic_steps(self) -> tuple[int, ...]:
        """Percent of traffic of the new version at each step, ending in 100."""
        if self.strategy == "canary":
            return self.steps or DEFAULT_STEPS
        return (self.split_percent or 50, 100) if self.strategy == "ab" else (100,)

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """Each strategy with its own fields, and steps that lead somewhere."""
        owners = {
            "steps": "canary",
            "mirror_percent": "shadow",
            "split_percent": "ab",
            "experiment": "ab",
        }
        for field, strategy in owners.items():
            if getattr(self, field) and self.strategy != strategy:
                message = f"`{field}` is for {strategy}, this release is {self.strategy}"
                fix = f"remove `{field}` or write `strategy: {strategy}`"
                yield Finding((field,), message, fix=fix)
        if self.strategy == "ab" and self.experiment is None:
            message = "`experiment` is missing: an A/B release needs a metric that decides"
            yield Finding(("experiment",), message, "a mapping with metric and minimum_effect")
        if self.strategy == "canary" and self.steps:
            yield from self._step_findings()

    def _step_findings(self) -> Iterator[Finding]:
        expected = "percentages that ascend and end in 100, such as [5, 25, 50, 100]"
        for index in range(1, len(self.steps)):
            if self.steps[index] <= self.steps[index - 1]:
                message = f"{self.steps[index]} comes after {self.steps[index - 1]}"
                fix = f"write `steps: {sorted({*self.steps, 100})}`"
                yield Finding(("steps", index), message, expected, fix)
                return
        if self.steps[-1] != 100:
            fix = f"write `steps: {[*self.steps, 100]}`"
            yield Finding(("steps",), f"ends in {self.steps[-1]}", expected, fix)
