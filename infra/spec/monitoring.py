"""What is watched, where it goes, and what drift sets off."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from infra.spec.base import Also, Spec
from infra.spec.secrets import SecretRef
from infra.spec.units import Count, Name, Number

DATADOG_SECRET = "datadog-api-key"  # noqa: S105 - the name of a config key, not its value


class Sink(Spec):
    """A service that gets the metrics as well."""

    kind: Literal["datadog"] = Field(description="Which service.")
    api_key: SecretRef = Field(
        default=SecretRef(secret=DATADOG_SECRET),
        description=f"Secret with the key; the bare word `datadog` means `{DATADOG_SECRET}`.",
    )
    host: Annotated[str, Also("site")] = Field(
        default="datadoghq.com",
        pattern="^[a-z0-9.-]{4,253}$",
        description="Host of the service's region.",
    )


def _bare_word(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


AnySink = Annotated[
    Sink, BeforeValidator(_bare_word, json_schema_input_type=Literal["datadog"] | Sink)
]


class Drift(Spec):
    """When inputs or scores have moved too far."""

    psi_max: Annotated[Number, Field(gt=0, le=100), Also("psi", "threshold")] = Field(
        default=0.2, description="Population stability index that counts as drift."
    )
    check_minutes: Annotated[Number, Field(gt=0, le=10_080), Also("interval", "every")] = Field(
        default=60.0, description="Minutes from one check to the next."
    )
    retrain: Name | None = Field(
        default=None, description="Training that drift starts; not given: it only alerts."
    )


class Monitoring(Spec):
    """Metrics, dashboards, drift."""

    metrics: Literal["prometheus", "managed"] = Field(
        default="prometheus", description="Own Prometheus, or the cloud's managed one."
    )
    dashboards: Literal["grafana", "managed", "none"] = Field(
        default="none", description="Where dashboards are put."
    )
    sinks: tuple[AnySink, ...] = Field(
        default=(),
        max_length=10,
        description="Further services: `datadog`, or a mapping with its key.",
    )
    drift: Drift | None = Field(default=None, description="Drift checks; not given: none.")
    scrape_seconds: Annotated[Number, Field(ge=1, le=3600), Also("interval", "scrape")] = Field(
        default=5.0, description="Seconds from one scrape to the next."
    )
    retention_days: Annotated[Count, Field(ge=1, le=3650), Also("keep")] = Field(
        default=7, description="Days that metrics are kept."
    )
