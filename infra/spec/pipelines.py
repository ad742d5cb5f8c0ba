"""Work on a schedule: retraining, table upkeep, Spark jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field

from infra.spec.base import Also, Finding, Spec
from infra.spec.cron import cron_problem
from infra.spec.rules import secret_findings
from infra.spec.suggest import did_you_mean
from infra.spec.units import Count, Key, Name, Number, Scalar


class Executors(Spec):
    """Workers of a Spark pipeline."""

    count: Annotated[Count, Field(ge=1, le=10_000)] = Field(default=2, description="How many.")
    cores: Annotated[Count, Field(ge=1, le=256)] = Field(default=2, description="Cores of each.")
    memory_gib: Annotated[Number, Field(ge=0.5, le=8192)] = Field(
        default=4.0, description="Memory of each, in GiB."
    )


class Pipeline(Spec):
    """A package that is run on a schedule, or when asked for."""

    site: Name = Field(description="Site that runs it.")
    engine: Literal["airflow", "spark", "process"] = Field(
        default="process", description="What runs it; `process`: the site's own scheduler."
    )
    package: Name = Field(description="Folder under workloads/packages/.")
    schedule: Annotated[str, Also("cron")] | None = Field(
        default=None,
        description='Cron, five fields, such as "0 3 * * *"; not given: on request only.',
    )
    timezone: str = Field(default="UTC", description="IANA time zone of the schedule.")
    training: Name | None = Field(default=None, description="Training that it starts again.")
    parameters: Mapping[Key, Scalar] = Field(
        default_factory=dict, description="Scalars for the package, by name."
    )
    retries: Annotated[Count, Field(ge=0, le=10)] = Field(
        default=2, description="Times that a failed step is run again."
    )
    timeout_hours: Annotated[Number, Field(gt=0, le=720)] = Field(
        default=24.0, description="Hours after which a run is given up."
    )
    executors: Executors | None = Field(default=None, description="Workers; spark only.")

    def findings(self, _context: Mapping[str, Any]) -> Iterator[Finding]:
        """A schedule that can come true, and executors only where there are some."""
        problem = cron_problem(self.schedule) if self.schedule is not None else None
        if problem is not None:
            expected = 'five fields: minute hour day month weekday, such as "0 3 * * *"'
            yield Finding(("schedule",), problem, expected)
        yield from _zone_findings(self.timezone)
        if self.executors is not None and self.engine != "spark":
            message = f"`executors` are for spark, this pipeline runs on {self.engine}"
            yield Finding(("executors",), message, fix="remove `executors`")
        yield from secret_findings("parameters", self.parameters)


def _zone_findings(zone: str) -> Iterator[Finding]:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones() - {zone}
        # A machine without a zone database can't judge; the engine that runs the pipeline can.
        if known and zone != "UTC":
            fix = did_you_mean(zone, known)
            expected = "an IANA name such as Europe/Berlin"
            yield Finding(("timezone",), f"`{zone}` is no time zone", expected, fix)
