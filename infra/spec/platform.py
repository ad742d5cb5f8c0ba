"""The whole of a stack's declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from infra.spec.base import Also, Finding, Spec
from infra.spec.budget import Budget
from infra.spec.endpoints import Endpoint
from infra.spec.environments import DEFAULTS, Defaults, Environment, filled
from infra.spec.links import Links
from infra.spec.monitoring import Monitoring
from infra.spec.owner import Owner
from infra.spec.pipelines import Pipeline
from infra.spec.references import cross_findings
from infra.spec.sites import Site
from infra.spec.stores import Store
from infra.spec.streams import Stream
from infra.spec.training import Training
from infra.spec.units import Name


class PlatformSpec(Spec):
    """What one stack asks for; immutable, and consistent in itself once it exists."""

    name: Annotated[Name, Also("project")] = Field(
        description="Name of the platform; resources are named and tagged after it."
    )
    environment: Annotated[Environment, Also("env", "stage")] = Field(
        description="Defaults and the strictness of policies follow from it."
    )
    owner: Owner = Field(description="Who answers for it.")
    budget: Budget | None = Field(default=None, description="What it may cost; not given: no cap.")
    sites: Mapping[Name, Site] = Field(min_length=1, description="Where it runs, by name.")
    links: Links = Field(default=(), description="Pairs of sites that are joined.")
    stores: Mapping[Name, Store] = Field(default_factory=dict, description="Stores, by name.")
    streams: Mapping[Name, Stream] = Field(default_factory=dict, description="Streams, by name.")
    pipelines: Mapping[Name, Pipeline] = Field(
        default_factory=dict, description="Scheduled work, by name."
    )
    training: Annotated[Mapping[Name, Training], Also("trainings", "jobs")] = Field(
        default_factory=dict, description="Training jobs, by name."
    )
    endpoints: Annotated[Mapping[Name, Endpoint], Also("serving")] = Field(
        default_factory=dict, description="Served models, by name."
    )
    monitoring: Monitoring = Field(default_factory=Monitoring, description="What is watched.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_environment(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, Mapping) else data

    @property
    def defaults(self) -> Defaults:
        """What follows from the environment, the strictness of policies included."""
        return DEFAULTS[self.environment]

    def as_data(self) -> dict[str, Any]:
        """The declaration as plain data that ``parse`` reads back to an equal value."""
        data: dict[str, Any] = _without_empties(self.model_dump(mode="json", exclude_none=True))
        return data

    def findings(self, context: Mapping[str, Any]) -> Iterator[Finding]:
        """Rules between subjects. ``context["names"]``: names that were declared, whole or not."""
        yield from cross_findings(self, context.get("names", {}))


def _without_empties(value: Any) -> Any:
    # An empty mapping or list is what a field has when it isn't written; a site of one kind may
    # not write those of another.
    if isinstance(value, list):
        return [_without_empties(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_empties(entry) for key, entry in value.items()}
    return {key: entry for key, entry in kept.items() if entry not in ({}, [])}
