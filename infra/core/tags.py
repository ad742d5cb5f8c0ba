"""Tags that every resource carries, so that a bill can be read by team, environment and workload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LABEL_LIMIT = 63
"""GCP labels and Kubernetes label values; AWS and Azure tag values allow 256."""


@dataclass(frozen=True)
class Tags:
    """Who a resource belongs to; ``workload`` is the subject it serves (``training/ranker``)."""

    platform: str
    stack: str
    environment: str
    team: str
    cost_center: str
    contact: str
    workload: str = "platform"

    def of(self, workload: str) -> Tags:
        """The same for one workload."""
        return Tags(**{**self.__dict__, "workload": workload})

    def as_tags(self) -> dict[str, str]:
        """For AWS and Azure, in kebab case."""
        values = {name.replace("_", "-"): value for name, value in self.__dict__.items()}
        return {**values, "managed-by": "mlscale"}

    def as_labels(self) -> dict[str, str]:
        """For GCP and Kubernetes: only ``[a-z0-9_-]``, at most 63 characters, none empty."""
        return {name: label(value) for name, value in self.as_tags().items()}


def label(value: str) -> str:
    """A label value as close to ``value`` as the rules allow (``ml@example.com``: ``ml_at_example_com``)."""
    text = value.lower().replace("@", "_at_")
    text = re.sub(r"[^a-z0-9_-]", "_", text)[:_LABEL_LIMIT].strip("_-")
    return text or "none"


def tags_of(owner: Mapping[str, str], platform: str, environment: str, stack: str) -> Tags:
    """From a stack's owner (team, cost_center, contact) and names."""
    return Tags(
        platform=platform,
        stack=stack,
        environment=environment,
        team=owner["team"],
        cost_center=owner["cost_center"],
        contact=owner["contact"],
    )
