"""Streams of events: a Kafka topic, sized by what flows through it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.spec.base import Also, Spec
from infra.spec.units import Count, Name, Number


class Replay(Spec):
    """Sends a dataset's rows as events, for trials and for the whole loop on one machine."""

    training: Name = Field(description="Training whose dataset is replayed.")
    split: Literal["train", "test"] = Field(default="test", description="Part of the dataset.")
    events_per_second: Annotated[Number, Field(ge=0, le=10_000_000)] = Field(
        default=0.0, description="Pace, in events a second; 0: as fast as it goes."
    )
    passes: Annotated[Count, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="How often the split is sent."
    )


class Stream(Spec):
    """One topic; the site chooses brokers from what is asked here."""

    site: Name = Field(description="Site that holds it.")
    mib_per_second: Annotated[
        Number,
        Field(gt=0, le=1_000_000),
        Also("bandwidth", "throughput", "rate", "traffic"),
    ] = Field(default=1.0, description="What producers write at peak, in MiB a second.")
    partitions: Annotated[Count, Field(ge=1, le=10_000)] = Field(
        default=1, description="Partitions: the most consumers of one group."
    )
    retention_hours: Annotated[Number, Field(gt=0, le=87_600), Also("ttl", "keep")] = Field(
        default=24.0, description="Hours that an event can be read again."
    )
    replay: Replay | None = Field(
        default=None, description="Feed it from a dataset; not given: others write to it."
    )
